"""The parallel sentences inside the package, written for this project.

Fifty meanings are held out for the picture and the evaluation; the others may be trained on. Rewrites
(runs of words of several sentences mixed, two sentences joined, a sentence without its punctuation, in
other case, or cut at a comma) give the student more text of the same kind. Their targets come from the
teacher like every other text's, so a rewrite needs to be a plausible input, not a paraphrase.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from babelpress.corpus.sentence import Sentence, Split
from babelpress.corpus.split import split_of

SOURCE = "bundled"
_UNSPACED = {"ja", "zh", "th"}
_CLAUSE_END = re.compile(r"[,;:،、,;:]\s*")
_FINAL = re.compile(r"[\s.!?。!?؟।…]+$")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class Meaning:
    """One meaning in all languages."""

    id: str
    topic: str
    held_out: bool
    texts: dict[str, str]


@lru_cache(maxsize=1)
def load_meanings() -> tuple[Meaning, ...]:
    """Read the bundled parallel sentences."""
    text = (resources.files("babelpress") / "assets" / "sentences.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return tuple(
        Meaning(id=row.pop("meaning"), topic=row.pop("topic"), held_out=row.pop("held_out"), texts=row) for row in rows
    )


def held_out_meanings() -> tuple[Meaning, ...]:
    """Return the meanings that nothing is ever trained on."""
    return tuple(meaning for meaning in load_meanings() if meaning.held_out)


def read_bundled(*, languages: tuple[str, ...], variants: int, seed: int, held_out: float) -> Iterator[Sentence]:
    """Yield the bundled sentences, `variants` rewrites of each that is trained on, in a fixed order.

    Rewrites join only sentences of the same split, so that nothing held out leaks into training.
    """
    meanings = load_meanings()
    splits = {
        meaning.id: Split.TEST if meaning.held_out else split_of(meaning.id, seed=seed, held_out=held_out)
        for meaning in meanings
    }
    for language in languages:
        partners = {
            split: [m.texts[language] for m in meanings if splits[m.id] is split and language in m.texts]
            for split in Split
        }
        for meaning in meanings:
            if (text := meaning.texts.get(language)) is None:
                continue
            split = splits[meaning.id]
            texts = [text]
            if split is Split.TRAIN:
                draw = random.Random(f"{seed}/{meaning.id}/{language}")
                texts += [rewrite(text, partners[split], language=language, draw=draw) for _ in range(variants)]
            for variant in texts:
                yield Sentence(variant, language, SOURCE, group=meaning.id, split=split)


def rewrite(text: str, partners: list[str], *, language: str, draw: random.Random) -> str:
    """Return a plausible other text made of this one and its neighbours; its meaning may change."""
    kind = draw.choices(["mix", "join", "case", "bare", "numbers", "clause"], [12, 3, 1, 1, 1, 1])[0]
    if kind == "mix":
        return _mix(text, partners, language=language, draw=draw)
    if kind == "join":
        return gap_between(language).join([text, draw.choice(partners)])
    if kind == "case":
        return draw.choice([text.lower(), text.upper()])
    if kind == "bare":
        return _FINAL.sub("", text)
    if kind == "numbers":
        return _DIGITS.sub(lambda found: str(draw.randrange(1, 10 ** len(found.group()))), text)
    return draw.choice(_CLAUSE_END.split(text)) or text


def _mix(text: str, partners: list[str], *, language: str, draw: random.Random) -> str:
    """Put together runs of words (of characters, where words are not spaced) of several sentences."""
    runs = [_run(text, language=language, draw=draw)]
    for _ in range(draw.randint(1, 5)):
        runs.append(_run(draw.choice(partners), language=language, draw=draw))
    draw.shuffle(runs)
    return gap_between(language).join(runs)


def _run(text: str, *, language: str, draw: random.Random) -> str:
    units = list(text) if language in _UNSPACED else text.split(" ")
    length = draw.randint(1, 4) * (3 if language in _UNSPACED else 1)
    start = draw.randrange(max(1, len(units) - length + 1))
    return gap_between(language).join(units[start : start + length])


def gap_between(language: str) -> str:
    """Return what stands between two sentences or words of a language: nothing where words are not spaced."""
    return "" if language.partition("-")[0] in _UNSPACED else " "
