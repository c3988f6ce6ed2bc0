"""Let the teacher and the student see the same text (FIELD_NOTES C2, C4)."""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Tokenizer


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
            covered = [
                stop
                for (_, stop), special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
                if not special
            ]
            end = max(covered, default=0)
        cuts.append(Cut(encoding.ids, end))
    return cuts
