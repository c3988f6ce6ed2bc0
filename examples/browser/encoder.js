// The page's end of the worker.

/** The worker as a function: `encode(texts)` resolves to { vectors, dimensions, unknown }. */
export class Encoder {
  #worker = new Worker('./worker.js', { type: 'module' });
  #waiting = new Map();
  #last = 0;

  constructor() {
    this.ready = new Promise((resolve, reject) => {
      this.#worker.onerror = (event) => reject(new Error(event.message || 'the worker could not be started'));
      this.#worker.onmessage = ({ data }) => {
        if (data.ready) resolve(data.ready);
        else if (data.id === undefined) reject(new Error(data.failed));
        else this.#settle(data);
      };
    });
  }

  #settle({ id, result, failed }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (failed) reject(new Error(failed));
    else resolve(result);
  }

  encode(texts) {
    this.#last += 1;
    const id = this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, texts });
    });
  }
}
