"""Which characters of the corpus to keep, so that next to nothing has to be spelled in bytes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from babelpress.vocabulary.alphabet import LARGE_SCRIPTS, in_scripts, scripts_of
from babelpress.vocabulary.count import PieceCounts
from babelpress.vocabulary.lexicon import Lexicon, Mask, Weights
from babelpress.vocabulary.segment import Ints

# How many counted tokens the teacher's own probabilities are worth.
_PRIOR_TOKENS = 100_000


@dataclass(frozen=True)
class Characters:
    """A language's characters beyond the alphabet: those that its byte rate asks for, most used first.

    `uses` are their occurrences in bytes, shape (numbers,).
    """

    numbers: tuple[int, ...]
    uses: Weights


def wanted_characters(lexicon: Lexicon, counts: PieceCounts, *, kept: Mask, byte_rate: float) -> dict[str, Characters]:
    """Return, per language, the characters without which more than `byte_rate` of its tokens would be bytes.

    Text to come holds characters that the counted text did not. Their share is estimated twice, by that of
    the characters counted once (Good 1953, Biometrika 40) and by the teacher's own probabilities, which tell
    more where the text is little or repeats itself; the larger estimate is met with unseen characters of the
    language's large scripts, likely ones first.
    """
    return {
        code: _wanted(lexicon, numbers, kept=kept, byte_rate=byte_rate, language=code)
        for code, numbers in counts.pieces.items()
    }


def _wanted(lexicon: Lexicon, counts: NDArray[np.int64], *, kept: Mask, byte_rate: float, language: str) -> Characters:
    atoms = lexicon.atoms
    pieces = len(kept)
    found, _ = atoms.frequency(counts * lexicon.file.plain_ids, pieces=pieces)
    sizes = np.zeros(pieces, dtype=np.int64)
    sizes[atoms.ids[atoms.ids >= 0]] = atoms.sizes[atoms.ids >= 0]
    in_bytes = found * sizes * ~kept
    seen = np.flatnonzero(in_bytes)
    seen = seen[np.argsort(-in_bytes[seen], kind="stable")]
    once = float((sizes * (found == 1)).sum())
    fresh, likely = _unseen(lexicon, found * sizes, kept=kept, language=language)
    likely *= _PRIOR_TOKENS / (_PRIOR_TOKENS + float(counts.sum()))
    if likely.sum() and likely.sum() < once:
        likely *= once / likely.sum()
    numbers = np.concatenate([seen, fresh])
    uses = np.concatenate([in_bytes[seen], likely])
    left = uses.sum() - np.cumsum(uses) + (0.0 if len(fresh) else once)
    enough = int(np.searchsorted(-left, -byte_rate * float(counts.sum()))) + 1
    if uses.sum() + (0.0 if len(fresh) else once) <= byte_rate * float(counts.sum()):
        enough = 0
    return Characters(tuple(numbers[:enough].tolist()), uses[:enough])


def _unseen(lexicon: Lexicon, found: Weights, *, kept: Mask, language: str) -> tuple[Ints, Weights]:
    """Return the uncounted characters of the language's large scripts, the likelier first, and their uses to expect.

    `found` are the uses of all, in bytes.
    """
    scripts = tuple(sorted(LARGE_SCRIPTS & set(scripts_of(language))))
    pieces = lexicon.file.pieces
    own = [number for number, piece in enumerate(pieces) if len(piece) == 1 and in_scripts(piece, scripts)]
    numbers = np.array(own, dtype=np.int64)
    prior = lexicon.prior()[numbers]
    fresh = (found[numbers] == 0) & ~kept[numbers]
    if not fresh.any():
        return numbers[:0], prior[:0]
    expected = found[numbers].sum() * prior / prior.sum()
    order = np.argsort(-prior[fresh], kind="stable")
    return numbers[fresh][order], expected[fresh][order]
