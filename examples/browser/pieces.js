// Text as the student's ids. transformers.js makes one unknown piece of what a Unigram vocabulary lacks; the model's
// other readers spell it in UTF-8 bytes, for which the vocabulary has pieces of their own, and so does this.

/** The ids of a text, special tokens included, at most as many as the model sees. */
export function idsOf(tokenizer, text) {
  const ids = spelled(tokenizer, text);
  const most = tokenizer.model_max_length;
  return ids.length > most ? [...ids.slice(0, most - 1), ids.at(-1)] : ids;
}

function spelled(tokenizer, text) {
  const ids = tokenizer.encode(text);
  if (!ids.includes(tokenizer.unk_token_id)) return ids;
  const tokens = tokenizer.tokenize(text, { add_special_tokens: true });
  return ids.flatMap((id, place) => {
    const unknown = id === tokenizer.unk_token_id && tokens[place] !== tokenizer.unk_token;
    return unknown ? bytesOf(tokenizer, tokens[place]) : id;
  });
}

/** The ids of a text's bytes; the unknown piece where a vocabulary has no bytes. */
function bytesOf(tokenizer, text) {
  const names = Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16).toUpperCase().padStart(2, '0'));
  const ids = tokenizer.convert_tokens_to_ids(names.map((name) => `<0x${name}>`));
  return ids.includes(undefined) ? tokenizer.unk_token_id : ids;
}
