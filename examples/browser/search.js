// Search among embeddings: plain functions on arrays. A sentence is { text, language, meaning }.

/** The cosine of a query to every row of a matrix; both are normalised, so that a product is enough. */
export function similarities(query, matrix) {
  const width = query.length;
  const scores = new Float32Array(matrix.length / width);
  for (let row = 0; row < scores.length; row += 1) {
    let sum = 0;
    for (let column = 0; column < width; column += 1) sum += query[column] * matrix[row * width + column];
    scores[row] = sum;
  }
  return scores;
}

/** The `count` nearest of the known sentences, nearest first: [{ sentence, score }]. */
export function nearest(scores, sentences, known, count) {
  return ranked(scores, sentences, known).slice(0, count);
}

/** The nearest known sentence of every language, nearest first. */
export function nearestPerLanguage(scores, sentences, known) {
  const best = new Map();
  for (const found of ranked(scores, sentences, known)) {
    if (!best.has(found.sentence.language)) best.set(found.sentence.language, found);
  }
  return [...best.values()];
}

function ranked(scores, sentences, known) {
  return sentences
    .map((sentence, row) => ({ sentence, score: scores[row], row }))
    .filter(({ row }) => known[row])
    .sort((one, other) => other.score - one.score);
}

/**
 * How often the nearest sentence of another language is the translation, over all pairs of languages, both ways.
 *
 * Sentences lie meaning by meaning, every meaning in the same languages in the same order. Lets the page breathe
 * after each language.
 */
export async function translationsFound(matrix, languages, meanings) {
  const width = matrix.length / (languages * meanings);
  let hits = 0;
  for (let from = 0; from < languages; from += 1) {
    for (let meaning = 0; meaning < meanings; meaning += 1) {
      const start = (meaning * languages + from) * width;
      const scores = similarities(matrix.subarray(start, start + width), matrix);
      for (let to = 0; to < languages; to += 1) {
        if (to !== from && nearestMeaning(scores, to, languages) === meaning) hits += 1;
      }
    }
    await new Promise((resume) => setTimeout(resume));
  }
  return hits / (languages * (languages - 1) * meanings);
}

function nearestMeaning(scores, language, languages) {
  let best = language;
  for (let place = language; place < scores.length; place += languages) {
    if (scores[place] > scores[best]) best = place;
  }
  return (best - language) / languages;
}
