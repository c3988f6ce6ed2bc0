"""Decide which teacher pieces stay: a pure function of the tokenizer, the counts and the request."""

from __future__ import annotations

import numpy as np

from babelpress.errors import PlanError
from babelpress.recipe import VocabularyMethod
from babelpress.schema.objectives import FERTILITY, OBJECTIVES
from babelpress.vocabulary.characters import Characters, wanted_characters
from babelpress.vocabulary.count import PieceCounts
from babelpress.vocabulary.lexicon import Lexicon, Mask, Weights
from babelpress.vocabulary.lexicons import open_lexicon
from babelpress.vocabulary.plan import DroppedCharacters, LanguageCoverage, VocabularyPlan
from babelpress.vocabulary.segment import Ints
from babelpress.vocabulary.tokenizer_file import TokenizerFile


def plan_vocabulary(
    tokenizer: TokenizerFile,
    counts: PieceCounts,
    *,
    method: VocabularyMethod,
    size: int | None = None,
    coverage: float | None = None,
    min_count: int = 1,
    objective: str = FERTILITY,
    language_exponent: float = 0.3,
    byte_fallback: bool = True,
    byte_rate: float = 0.001,
    character_share: float = 0.2,
    characters: list[str] | None = None,
) -> VocabularyPlan:
    """Choose the kept pieces of a tokenizer.

    `characters` is the alphabet that stays whatever its count; characters of the corpus that it lacks stay
    until no language has more than `byte_rate` of its tokens in bytes, as far as `character_share` of the
    room. A budget is met to the row: when the corpus uses fewer pieces than it allows, the teacher's own
    most probable pieces fill it. Raises PlanError when it is too small for what must stay, or larger than
    the teacher.
    """
    if not counts.pieces:
        raise PlanError("the corpus has no piece to count; give it at least one sentence in a language")
    lexicon = open_lexicon(tokenizer)
    new = lexicon.fallback() if byte_fallback else ()
    wanted, missing = _alphabet_ids(characters or [], lexicon)
    must = _mask(lexicon, tokenizer.named_ids | lexicon.required_ids(byte_fallback=byte_fallback) | wanted)
    must = lexicon.close(must)
    totals = counts.total()
    plain = tokenizer.plain_ids
    weights = balanced_frequency(counts, exponent=language_exponent) * (totals >= min_count) * plain
    asked = wanted_characters(lexicon, counts, kept=must, byte_rate=byte_rate)
    if method is VocabularyMethod.BUDGET:
        room = _room(size, new, int(must.sum()), lexicon)
        free = int((room - must.sum()) * character_share)
        must = lexicon.close(must | _mask(lexicon, _first_characters(asked, counts, free, exponent=language_exponent)))
        kept = _best(lexicon, weights, must=must, room=room, objective=objective)
    elif method is VocabularyMethod.COVERAGE:
        kept = lexicon.close(must | _covering(counts, share=coverage or 1.0, plain=plain))
    else:
        kept = lexicon.close(must | ((totals >= min_count) & (plain | _mask(lexicon, set(tokenizer.added.values())))))
    last = tokenizer.behind
    return VocabularyPlan(
        kept=tuple(sorted(np.flatnonzero(kept).tolist(), key=lambda number: (number in last, number))),
        behind=sum(bool(kept[number]) for number in last),
        new_pieces=new,
        languages=_coverage(lexicon, counts, kept=kept, asked=asked),
        unseen=int((totals[kept] == 0).sum()),
        alphabet_kept=len(wanted),
        alphabet_missing=tuple(missing),
        dropped=_dropped_characters(lexicon, weights, kept=kept) if new else DroppedCharacters((), ()),
    )


def spell_dropped(
    tokenizer: TokenizerFile, plan: VocabularyPlan, counts: PieceCounts, *, language_exponent: float
) -> tuple[Ints, Ints, Ints, Weights, Weights]:
    """Return the counted pieces that a plan drops, how the student spells them, and how often all occur.

    That is their teacher ids; the student's ids laid flat, -1 for a byte; where each begins; their weights,
    shape (dropped,); and those of the student's rows, shape (rows,).
    """
    lexicon = open_lexicon(tokenizer)
    weights = balanced_frequency(counts, exponent=language_exponent) * tokenizer.plain_ids
    kept = _mask(lexicon, set(plan.kept))
    dropped = np.flatnonzero((weights > 0) & ~kept)
    parts, starts = lexicon.parts(dropped, kept)
    new_ids = np.full(len(kept) + 1, -1, dtype=np.int64)  # one more, for -1
    new_ids[list(plan.id_map)] = list(plan.id_map.values())
    own = np.array(plan.in_order(weights[list(plan.kept)].tolist(), [0.0] * len(plan.new_pieces)))
    return dropped, new_ids[parts], starts, weights[dropped], own


def balanced_frequency(counts: PieceCounts, *, exponent: float) -> Weights:
    """Return a piece's share of the corpus, languages weighed as (their share) ** exponent; shape (ids,)."""
    totals = {code: int(pieces.sum()) for code, pieces in counts.pieces.items()}
    grand = sum(totals.values()) or 1
    weights = {code: (total / grand) ** exponent for code, total in totals.items() if total}
    scale = sum(weights.values()) or 1.0
    frequency = np.zeros_like(counts.total(), dtype=np.float64)
    for code, weight in weights.items():
        frequency += counts.pieces[code] * (weight / scale / totals[code])
    return frequency


def _mask(lexicon: Lexicon, numbers: set[int] | frozenset[int]) -> Mask:
    mask = np.zeros(len(lexicon.file.pieces), dtype=np.bool_)
    mask[list(numbers)] = True
    return mask


def _alphabet_ids(characters: list[str], lexicon: Lexicon) -> tuple[set[int], list[str]]:
    """Return the ids of all forms of the characters, and the characters of which the teacher has none."""
    reachable = lexicon.reachable() if characters else None
    ids: set[int] = set()
    missing: list[str] = []
    for character in characters:
        found = {lexicon.file.ids[form] for form in lexicon.forms(character) if form in lexicon.file.ids}
        if not found:
            missing.append(character)
        ids |= {number for number in found if reachable is not None and reachable[number]}
    return ids, missing


def _room(size: int | None, new: tuple[str, ...], mandatory: int, lexicon: Lexicon) -> int:
    if size is None:
        raise PlanError("a vocabulary budget needs vocabulary.size")
    room = size - len(new)
    if room < mandatory:
        raise PlanError(
            f"vocabulary.size is {size}, but special tokens and alphabet ({mandatory}) and byte pieces "
            f"({len(new)}) need {mandatory + len(new)}; give at least that, or set vocabulary.alphabet to false"
        )
    pieces = len(lexicon.file.pieces)
    if room > pieces:
        raise PlanError(
            f"vocabulary.size is {size}, but the teacher has {pieces} pieces and {len(new)} byte pieces come to it"
        )
    return room


def _first_characters(asked: dict[str, Characters], counts: PieceCounts, limit: int, *, exponent: float) -> set[int]:
    """Return the characters that spare most bytes, languages weighed as everywhere, up to a limit."""
    totals = {code: int(pieces.sum()) for code, pieces in counts.pieces.items()}
    grand = sum(totals.values()) or 1
    spared: dict[int, float] = {}
    for code, characters in asked.items():
        weight = (totals[code] / grand) ** exponent / max(1, totals[code])
        for number, uses in zip(characters.numbers, characters.uses.tolist(), strict=True):
            spared[number] = spared.get(number, 0.0) + weight * uses
    return set(sorted(spared, key=lambda number: (-spared[number], number))[: max(0, limit)])


def _best(lexicon: Lexicon, weights: Weights, *, must: Mask, room: int, objective: str) -> Mask:
    """Return exactly `room` pieces: what the objective prefers of the counted, filled up with the uncounted."""
    counted = lexicon.close(must | (weights > 0))
    too_many = counted.sum() > room
    kept = OBJECTIVES[objective].choose(lexicon, weights, must=must, room=room) if too_many else counted
    return _filled(lexicon, kept, weights, room=room)


def fewest_tokens(lexicon: Lexicon, weights: Weights, *, must: Mask, room: int) -> Mask:
    """Return the pieces that spell the weighted ones in fewest tokens."""
    return lexicon.keep_best(weights, must=must, room=room)


def most_frequent(lexicon: Lexicon, weights: Weights, *, must: Mask, room: int) -> Mask:
    """Return the most frequent pieces, each with those that it cannot be reached without."""
    kept = must.copy()
    left = room - int(kept.sum())
    for number in np.argsort(-weights, kind="stable").tolist():
        if left <= 0 or not weights[number]:
            break
        if kept[number]:
            continue
        chain = _chain(lexicon, number, kept)
        if len(chain) <= left:
            kept[chain] = True
            left -= len(chain)
    return kept


def _chain(lexicon: Lexicon, number: int, kept: Mask) -> list[int]:
    """Return a piece and what it needs that is not kept yet."""
    chain = {number}
    front = [number]
    while front:
        front = [
            part for piece in front for part in lexicon.dependencies(piece) if not kept[part] and part not in chain
        ]
        chain |= set(front)
    return sorted(chain)


def _filled(lexicon: Lexicon, kept: Mask, weights: Weights, *, room: int) -> Mask:
    """Fill the room: counted pieces first, then single characters, which spare bytes, then the teacher's order."""
    left = room - int(kept.sum())
    if left <= 0:
        return kept
    kept = kept.copy()
    single = np.diff(lexicon.atoms.starts) == 1
    order = np.lexsort((-lexicon.prior(), ~single, -weights))
    reachable = lexicon.reachable()
    for number in order.tolist():
        if left and reachable[number] and not kept[number] and all(kept[part] for part in lexicon.dependencies(number)):
            kept[number] = True
            left -= 1
    if left:
        raise PlanError(
            f"the vocabulary's room is {room}, but the teacher's tokenizer can give no more than {room - left} pieces; "
            f"lower vocabulary.size by {left}"
        )
    return kept


def _covering(counts: PieceCounts, *, share: float, plain: Mask) -> Mask:
    """Return the fewest pieces that cover this share of every language's tokens."""
    kept = np.zeros(len(plain), dtype=np.bool_)
    for every in counts.pieces.values():
        numbers = every * plain
        order = np.argsort(-numbers, kind="stable")
        covered = np.cumsum(numbers[order])
        needed = int(np.searchsorted(covered, share * covered[-1])) + 1 if covered[-1] else 0
        kept[order[:needed]] = True
    return kept


def _dropped_characters(lexicon: Lexicon, weights: Weights, *, kept: Mask) -> DroppedCharacters:
    """Return the single characters that are spelled in bytes from now on, with their share of the counted ones."""
    found, _ = lexicon.atoms.frequency(weights, pieces=len(kept))
    single = (np.diff(lexicon.atoms.starts) == 1) & lexicon.file.plain_ids & ~kept
    numbers = np.flatnonzero(single)
    floor = found[found > 0].min() if (found > 0).any() else 1.0  # as if the uncounted had been seen once
    uses = np.maximum(found[numbers], floor)
    return DroppedCharacters(tuple(numbers.tolist()), tuple(np.round(uses / uses.sum(), 9).tolist()))


def _coverage(
    lexicon: Lexicon, counts: PieceCounts, *, kept: Mask, asked: dict[str, Characters]
) -> dict[str, LanguageCoverage]:
    """Measure on the counts what stays of each language."""
    plain = lexicon.file.plain_ids
    result = {}
    for code, every in counts.pieces.items():
        total = int(every.sum())
        used = lexicon.usage((every * plain).astype(np.float64), kept)
        used[:-1] += every * (~plain & kept)
        student = float(used.sum())
        byte_tokens = float(used[-1] + used[list(lexicon.file.byte_ids)].sum())
        result[code] = LanguageCoverage(
            sentences=counts.sentences[code],
            tokens_per_sentence=round(total / max(1, counts.sentences[code]), 4),
            kept=round(float(every[kept].sum()) / max(1, total), 6),
            fertility=round(student / max(1, total), 4),
            byte_rate=round(byte_tokens / max(1.0, student), 6),
            characters_more=sum(not kept[number] for number in asked[code].numbers),
        )
    return result
