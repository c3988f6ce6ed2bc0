"""Whether every piece that has a row can be given at all."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import TYPE_CHECKING, Any

from babelpress.checks.result import CheckResult, Status, judge
from babelpress.checks.surface import ordinary_ids
from babelpress.vocabulary.tokenizer_file import Family, TokenizerFile

if TYPE_CHECKING:
    from tokenizers import Tokenizer


_TRIES = 8


def unreachable_pieces(file: TokenizerFile, *, tokenizer: Tokenizer) -> list[str]:
    """Return the ordinary pieces that the model does not give for their own text, in the order of ids.

    A piece that stands only inside a word is tried behind some first pieces, one that never ends a word
    before some last ones.
    """
    tokenize = tokenizer.model.tokenize
    pieces, trials = file.pieces, _trials(file)
    return [
        pieces[number]
        for number in ordinary_ids(file)
        if not any(_gives(tokenize(text), number, place) for text, place in trials(pieces[number]))
    ]


def _gives(tokens: list[Any], number: int, place: int | None) -> bool:
    """Tell whether tokens hold an id at a place, or are that id alone."""
    if place is None:
        return len(tokens) == 1 and tokens[0].id == number
    return bool(tokens) and tokens[place].id == number


def _trials(file: TokenizerFile) -> Callable[[str], list[tuple[str, int | None]]]:
    """Return what gives a piece's texts to try, each with the place where the piece is due."""
    prefix, suffix = file.model.get("continuing_subword_prefix") or "", file.model.get("end_of_word_suffix") or ""
    singles = [piece for piece in file.pieces if len(piece) == 1]
    if file.family is Family.WORDPIECE and prefix:
        return lambda piece: (
            [(single + piece.removeprefix(prefix), -1) for single in singles[-_TRIES:]]
            if piece.startswith(prefix) and len(piece) > len(prefix)
            else [(piece, None)]
        )
    if suffix:
        return lambda piece: (
            [(piece.removesuffix(suffix), None)]
            if piece.endswith(suffix)
            else [(piece + single, 0) for single in singles[-_TRIES:]]
        )
    return lambda piece: [(piece, None)]


def check_reachable(file: TokenizerFile, *, unreachable: list[str], teacher: Set[str] | None) -> CheckResult:
    """Judge the pieces that cannot be reached; `teacher` are those that cannot be in the teacher either.

    A Unigram's piece that others outscore was outscored in the teacher, too: fewer pieces leave fewer
    rivals. So without a teacher only merges and prefixes are judged.
    """
    tested = len(ordinary_ids(file))
    if teacher is None and file.family is Family.UNIGRAM:
        note = f"{len(unreachable):,} are outscored by others, as in any teacher" if unreachable else "all"
        return CheckResult("reachable", Status.PASS, tested, note, unreachable[0] if unreachable else None)
    lost = [piece for piece in unreachable if piece not in (teacher or ())]
    failures = [(piece, "the model never gives this piece, even for its own text") for piece in lost]
    same = len(unreachable) - len(lost)
    note = f"all but {same:,}, which the teacher never gives either" if same else "all"
    return judge("reachable", tested=tested, failures=failures, note=note)
