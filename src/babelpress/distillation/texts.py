"""Let the teacher and the student see the same text (FIELD_NOTES C2, C4)."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer


@dataclass(frozen=True)
class Cut:
    """A text's teacher tokens, special tokens included, and how many of its characters they cover."""

    ids: list[int]
    end: int


def prompt_of(row: int, prompts: tuple[str, ...]) -> str:
    """Return the prompt of a corpus row: the recipe's prompts take turns."""
    return prompts[row % len(prompts)]


def cut_texts(tokenizer: Tokenizer, texts: list[str]) -> list[Cut]:
    """Tokenize with the tokenizer's truncation and say where each text was cut."""
    cuts = []
    for text, encoding in zip(texts, tokenizer.encode_batch(texts), strict=True):
        end = len(text)
        if encoding.overflowing:
            # A lone ▁ claims the character behind it, which the next token holds: that one is not covered.
            end = min(max(_spans(encoding))[1], min(_spans(encoding.overflowing[0]))[0])
        cuts.append(Cut(encoding.ids, end))
    return cuts


def _spans(encoding: Encoding) -> list[tuple[int, int]]:
    """Return the characters of every token that is not a special one; one empty span when there is none."""
    pairs = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    return [span for span, special in pairs if not special] or [(0, 0)]
