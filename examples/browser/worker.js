// The student in a worker, so that typing stays smooth: texts in, embeddings out, nothing fetched from elsewhere.

import { idsOf } from './pieces.js';
import { AutoModel, AutoTokenizer, Tensor, env } from './vendor/transformers.min.js';

const vendor = new URL('./vendor/ort-wasm-simd-threaded', import.meta.url).href;
env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = './';
// Files keep their names when the student is exported again; the browser's own cache asks whether they changed.
env.useBrowserCache = false;
env.useWasmCache = false;
env.backends.onnx.wasm.wasmPaths = { mjs: `${vendor}.mjs`, wasm: `${vendor}.wasm` };

async function load() {
  const response = await fetch('./model/student.json');
  if (!response.ok) throw new Error('there is no student; make browser builds one');
  const facts = await response.json();
  const tokenizer = await AutoTokenizer.from_pretrained('model');
  const model = await AutoModel.from_pretrained('model', { dtype: 'q8', device: 'wasm' });
  return { facts, tokenizer, model };
}

/** Embed texts one by one: int8 scales are those of a whole batch, so that a neighbour would change a vector. */
async function encode({ facts, tokenizer, model }, texts) {
  const started = performance.now();
  const rows = [];
  const unknown = [];
  for (const text of texts) {
    const ids = idsOf(tokenizer, facts.prompt + text);
    const { sentence_embedding: embedding } = await model(asInputs(ids));
    rows.push(embedding.data);
    unknown.push(ids.includes(tokenizer.unk_token_id));
  }
  const dimensions = rows[0]?.length ?? 0;
  const vectors = new Float32Array(rows.length * dimensions);
  rows.forEach((row, number) => vectors.set(row, number * dimensions));
  return { vectors, dimensions, unknown, milliseconds: performance.now() - started };
}

function asInputs(ids) {
  const input = (numbers) => new Tensor('int64', BigInt64Array.from(numbers, BigInt), [1, numbers.length]);
  return { input_ids: input(ids), attention_mask: input(ids.map(() => 1)) };
}

const loaded = load();

loaded.then(
  ({ facts }) => {
    const threads = self.crossOriginIsolated ? env.backends.onnx.wasm.numThreads : 1;
    self.postMessage({ ready: { facts, threads, milliseconds: performance.now() } });
  },
  (error) => self.postMessage({ failed: String(error?.message ?? error) }),
);

self.onmessage = async ({ data: { id, texts } }) => {
  try {
    const result = await encode(await loaded, texts);
    self.postMessage({ id, result }, [result.vectors.buffer]);
  } catch (error) {
    self.postMessage({ id, failed: String(error?.message ?? error) });
  }
};
