// How a sentence looks in the list: its language, its words, how near it is.

const nameOf = (code, within) => new Intl.DisplayNames([within], { type: 'language' }).of(code);

function element(kind, className, text = '') {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

/**
 * A sentence as a list item with a button that calls `use` with its text.
 *
 * `first` is the sentence found first: those of its meaning are marked, others have `english` below them. Without it,
 * and without a score, the sentence is only proposed.
 */
export function row({ sentence, score, english }, first, use) {
  const same = first !== undefined && sentence.meaning === first.meaning;
  const item = element('li', first === undefined ? 'row' : same ? 'row same' : 'row other');
  const button = element('button', '');
  button.type = 'button';
  const language = element('span', 'language');
  const own = element('span', 'own', nameOf(sentence.language, sentence.language));
  own.lang = sentence.language;
  language.append(own);
  if (sentence.language !== 'en') language.append(element('span', 'english', nameOf(sentence.language, 'en')));
  const text = element('span', 'text');
  const words = element('span', 'words', sentence.text);
  words.lang = sentence.language;
  words.dir = 'auto';
  text.append(words);
  if (first !== undefined && !same && sentence.language !== 'en') text.append(gloss(english));
  button.append(language, text);
  if (score !== undefined) button.append(likeness(score, same));
  button.addEventListener('click', () => use(sentence.text));
  item.append(button);
  return item;
}

function gloss(english) {
  const line = element('span', 'gloss', english);
  line.lang = 'en';
  return line;
}

function likeness(score, same) {
  const shown = element('span', 'score');
  shown.append(element('span', 'hidden', same ? 'same meaning, similarity ' : 'another meaning, similarity '));
  shown.append(element('span', 'value', score.toFixed(2)));
  const bar = element('span', 'likeness');
  bar.style.setProperty('--share', Math.max(0, Math.min(1, score)));
  shown.append(bar);
  return shown;
}
