"""Texts of an exact number of tokens, and how near a model stays to its teacher on them.

A length is in the teacher's tokens as the teacher reads them: special tokens, and the prompt that it puts before every
text, are counted. Texts are lines of one language that follow each other, joined as the language joins sentences and
cut where a token ends, so most of them end in the middle of a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tokenizers import Tokenizer

from babelpress.corpus.bundled import gap_between
from babelpress.distillation.texts import cut_texts
from babelpress.evaluation.fidelity.intrinsic import Embeddings, fidelity
from babelpress.evaluation.fidelity.shares import fair_shares
from babelpress.evaluation.fidelity.text_encoder import TextEncoder
from babelpress.schema.results import AtLength
from babelpress.utils.tokenizer import copy_tokenizer

LENGTHS = (8, 16, 32, 64, 128, 256, 512)
LEAST_TEXTS = 8
_CHARACTERS_PER_TOKEN = 8  # enough for any script; the excess is cut
_TRIES = 8  # attempts per place
_SPARE = 2  # lines more than their tokens ask for: where two are joined, tokens of both may become one


def long_texts(
    teacher: TextEncoder, texts: Mapping[str, Sequence[str]], *, lengths: Sequence[int] = LENGTHS, count: int = 64
) -> dict[int, list[str]]:
    """Return length → texts of exactly that number of the teacher's tokens, up to `count` each.

    Languages give equal shares; one with too few lines gives less, since no line is used twice at one length. Lengths
    beyond the teacher's maximum are left out, and those of fewer than 8 texts.
    """
    if teacher.tokenizer is None:
        return {}
    shares = fair_shares({code: len(lines) for code, lines in texts.items()}, count)
    tokenizer = copy_tokenizer(teacher.tokenizer)  # its truncation is set below
    by_length = {}
    for tokens in lengths:
        if teacher.max_length is not None and tokens > teacher.max_length:
            continue
        cutter = _Cutter(tokenizer, teacher.prompt, tokens)
        made = [text for code, lines in texts.items() for text in cutter.cut(lines, gap_between(code), shares[code])]
        if len(made) >= LEAST_TEXTS:
            by_length[tokens] = made
    return by_length


def at_lengths(
    model: Mapping[int, Embeddings], teacher: Mapping[int, Embeddings], whole: Mapping[int, Sequence[bool]]
) -> tuple[AtLength, ...]:
    """Compare embeddings of texts of each length, over the texts that the model reads whole."""
    figures = []
    for tokens, vectors in model.items():
        seen = np.asarray(whole[tokens], dtype=bool)
        near = fidelity(vectors[seen], teacher[tokens][seen])
        figures.append(AtLength(tokens=tokens, texts=near.sentences, cosine=near.mean, cosine_p5=near.p5))
    return tuple(figures)


class _Cutter:
    """Makes texts of `tokens` tokens, with a tokenizer that it sets to truncate there."""

    def __init__(self, tokenizer: Tokenizer, prompt: str, tokens: int) -> None:
        tokenizer.enable_truncation(tokens)
        self.tokenizer = tokenizer
        self.prompt = prompt
        self.tokens = tokens

    def cut(self, lines: Sequence[str], gap: str, count: int) -> list[str]:
        """Return up to `count` texts that begin at even distances."""
        made: list[str] = []
        row = 0
        for place in range(count):
            row = max(row, place * len(lines) // count)
            for _ in range(_TRIES):
                text, row = self._text_at(lines, row, gap)
                if text is not None:
                    made.append(text)
                    break
        return made

    def _text_at(self, lines: Sequence[str], row: int, gap: str) -> tuple[str | None, int]:
        """Return the text that begins at a row (None where none can be made), and the next row."""
        parts: list[str] = []
        room = _CHARACTERS_PER_TOKEN * self.tokens
        while room > 0 and row + len(parts) < len(lines):
            parts.append(lines[row + len(parts)])
            room -= len(parts[-1])
        sizes = [len(encoding.ids) for encoding in self.tokenizer.encode_batch_fast(parts, add_special_tokens=False)]
        enough = int(np.searchsorted(np.cumsum(sizes), self.tokens)) + 1
        for count in range(enough, min(enough + _SPARE, len(parts)) + 1):
            text = self._exactly(gap.join(parts[:count]))
            if text is not None:
                return text, row + count
        return None, row + 1

    def _exactly(self, text: str) -> str | None:
        """Cut a text; None where it is too short, or where what is left is cut in another way by itself."""
        (first,) = cut_texts(self.tokenizer, [self.prompt + text])
        kept = (self.prompt + text)[len(self.prompt) : first.end]
        if not kept.strip():
            return None
        (again,) = cut_texts(self.tokenizer, [self.prompt + kept])
        whole = again.end == len(self.prompt + kept)
        return kept if len(again.ids) == self.tokens and whole else None
