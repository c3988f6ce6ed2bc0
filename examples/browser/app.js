// The page: it embeds the sentences, searches as you type, and shows what was found and how long it took.

import { Encoder } from './encoder.js';
import { row } from './rows.js';
import { nearest, nearestPerLanguage, similarities, translationsFound } from './search.js';

const SUGGESTIONS = ['de', 'ja', 'ar', 'hi', 'ru', 'ko']; // one meaning each, evenly spread
const CHUNK = 8; // sentences between two queries
const UNKNOWN = 'Part of this text is unknown to the student: its vocabulary lacks the characters, and has no bytes.';
const KEYS = 'Searches as you type. ↓ goes to the results, Enter searches with one of them.';
const $ = (id) => document.getElementById(id);

const encoder = new Encoder();
const page = {
  sentences: [], meanings: new Map(), known: [], matrix: null, // a row of the matrix for every sentence
  query: '', answer: null, times: [], status: '',
};

// Words and numbers

const number = (value, digits = 0) =>
  value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
const mebibytes = (bytes) => `${number(bytes / 2 ** 20, 1)} MiB`;
const median = (values) => values.toSorted((one, other) => one - other)[values.length >> 1];
const languages = () => page.sentences.length / page.meanings.size;
const english = (sentence) => page.meanings.get(sentence.meaning).texts.en;

function fact(id, value, note) {
  $(id).textContent = value;
  $(`${id}-note`).textContent = note;
}

// Search

/** Search with a text as if it had been typed. */
function use(text) {
  $('query').value = text;
  $('query').focus();
  asked();
}

let running = false;

/** Answer the newest query; what was typed in the meantime follows, what was typed over is skipped. */
async function asked() {
  page.query = $('query').value.trim();
  if (running || !page.matrix) return;
  running = true;
  try {
    while (page.query !== (page.answer?.query ?? '')) {
      page.answer = page.query ? await answer(page.query) : null;
      show();
    }
  } catch (error) {
    tell(`This text could not be searched with: ${error.message}`);
  } finally {
    running = false;
  }
}

async function answer(query) {
  const { vectors, unknown, milliseconds } = await encoder.encode([query]);
  const started = performance.now();
  const scores = similarities(vectors, page.matrix);
  page.times = [...page.times.slice(-20), milliseconds + performance.now() - started];
  return { query, vector: vectors, scores, unknown: unknown[0] };
}

function show() {
  const { answer } = page;
  $('results').dataset.query = answer?.query ?? '';
  $('view').hidden = !answer;
  $('meaning').hidden = !answer;
  $('status').textContent = answer?.unknown ? UNKNOWN : page.status;
  if (page.times.length) fact('speed', `${number(median(page.times), 1)} ms`, 'tokens, model, search; the last ones’ median');
  if (answer) showFound(answer);
  else showSuggestions();
}

function showSuggestions() {
  $('summary').textContent = 'Begin with one of these';
  const every = Math.floor(page.meanings.size / SUGGESTIONS.length);
  const meanings = [...page.meanings.values()];
  const shown = SUGGESTIONS.map((language, place) => {
    const meaning = meanings[place * every];
    return row({ sentence: { text: meaning.texts[language], language, meaning: meaning.id } }, undefined, use);
  });
  list(shown);
}

function showFound({ scores }) {
  const each = document.querySelector('[name=view]:checked').value === 'languages';
  const found = each
    ? nearestPerLanguage(scores, page.sentences, page.known)
    : nearest(scores, page.sentences, page.known, languages());
  if (!found.length) return;
  const first = found[0].sentence;
  const same = found.filter(({ sentence }) => sentence.meaning === first.meaning).length;
  $('summary').textContent = each
    ? `${same} of ${found.length} languages agree`
    : `${same} of the ${found.length} nearest sentences agree`;
  $('meaning').textContent = english(first);
  list(found.map((one) => row({ ...one, english: english(one.sentence) }, first, use)));
  announce(`${$('summary').textContent}: ${english(first)}`);
}

/** Show rows; whoever is at one by keyboard stays at that place. */
function list(rows) {
  const at = buttons().indexOf(document.activeElement);
  $('results').replaceChildren(...rows);
  if (at >= 0) buttons()[at]?.focus();
}

const buttons = () => [...$('results').querySelectorAll('button')];

let telling;

/** Tell a screen reader what was found, once typing rests. */
function announce(words) {
  clearTimeout(telling);
  telling = setTimeout(() => {
    $('said').textContent = words;
  }, 700);
}

// Keys

function moved(event) {
  if (event.isComposing || event.altKey || event.ctrlKey || event.metaKey) return;
  const rows = buttons();
  const at = rows.indexOf(document.activeElement);
  const typing = document.activeElement === $('query');
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && (typing || at >= 0)) {
    event.preventDefault();
    const to = at + step;
    (to < 0 ? $('query') : rows[Math.min(to, rows.length - 1)])?.focus();
  } else if (event.key === '/' && !typing) {
    event.preventDefault();
    $('query').focus();
    $('query').select();
  } else if (event.key === 'Escape') {
    use('');
  }
}

// Start

async function readSentences() {
  const response = await fetch('./sentences.json');
  if (!response.ok) throw new Error('sentences.json is missing; make browser builds it');
  const meanings = await response.json();
  page.meanings = new Map(meanings.map((meaning) => [meaning.id, meaning]));
  page.sentences = meanings.flatMap(({ id, texts }) =>
    Object.entries(texts).map(([language, text]) => ({ text, language, meaning: id })),
  );
  page.known = page.sentences.map(() => false);
}

/** Embed all sentences, short ones first; queries are answered in between, from what is known by then. */
async function embedAll() {
  const started = performance.now();
  const order = page.sentences.map((_, place) => place);
  order.sort((one, other) => page.sentences[one].text.length - page.sentences[other].text.length);
  for (let done = 0; done < order.length; done += CHUNK) {
    const rows = order.slice(done, done + CHUNK);
    const { vectors, dimensions } = await encoder.encode(rows.map((place) => page.sentences[place].text));
    page.matrix ??= new Float32Array(page.sentences.length * dimensions);
    rows.forEach((place, at) => {
      page.matrix.set(vectors.subarray(at * dimensions, (at + 1) * dimensions), place * dimensions);
      page.known[place] = true;
    });
    progressed(Math.min(done + CHUNK, order.length));
  }
  return performance.now() - started;
}

function progressed(done) {
  const share = done / page.sentences.length;
  $('progress').setAttribute('aria-valuenow', Math.round(100 * share));
  $('progress').style.setProperty('--share', share);
  fact('count', number(done), share < 1 ? `of ${number(page.sentences.length)}` : '');
  if (done % 80 < CHUNK || share === 1) refresh();
}

/** Bring the answer up to the sentences that are known now. */
function refresh() {
  if (page.answer) {
    page.answer.scores = similarities(page.answer.vector, page.matrix);
    show();
  } else if (page.query) {
    asked();
  }
}

function tell(words) {
  page.status = words;
  $('status').textContent = words;
}

async function start() {
  await readSentences();
  tell('Loading the model …');
  show();
  showStudent(await encoder.ready);
  tell('Embedding the sentences; you can search meanwhile.');
  const taken = await embedAll();
  const meanings = page.meanings.size;
  const kept = `${meanings} meanings, none trained on; embedded in ${number(taken / 1000, 1)} s`;
  fact('count', number(page.sentences.length), kept);
  const found = await translationsFound(page.matrix, languages(), meanings);
  fact('accuracy', `${number(100 * found, 1)} %`, `nearest of ${meanings} in each other language; measured here`);
  tell(matchMedia('(hover: hover)').matches ? KEYS : '');
  show();
  document.documentElement.dataset.state = 'ready';
}

function showStudent({ facts, threads, milliseconds }) {
  $('student').textContent = `Student “${facts.name}”`;
  const kept = `int8 of ${mebibytes(facts.student_bytes)}; cosine to it ${number(facts.cosine, 5)}`;
  fact('size', mebibytes(facts.weights_bytes), kept);
  fact('load', `${number(milliseconds / 1000, 2)} s`, 'runtime, tokenizer and weights');
  fact('backend', threads === 1 ? '1 thread' : `${threads} threads`, 'on the processor');
  fact('speed', '…', 'write something');
}

$('query').addEventListener('input', asked);
$('form').addEventListener('submit', (event) => event.preventDefault());
$('view').addEventListener('change', show);
document.addEventListener('keydown', moved);

/** For tests and the curious: the page's own embeddings, as arrays. */
window.embed = async (texts) => {
  await encoder.ready;
  const { vectors, dimensions } = await encoder.encode(texts);
  return texts.map((_, place) => Array.from(vectors.subarray(place * dimensions, (place + 1) * dimensions)));
};

start().catch((error) => {
  document.documentElement.dataset.state = 'failed';
  tell(`The page could not start: ${error.message}`);
});
