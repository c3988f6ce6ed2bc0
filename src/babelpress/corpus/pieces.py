"""Texts made of the teacher's own pieces: word lists without meaning, for targets that cost no data.

A student has to learn how the pieces it kept add up to words whose own pieces were dropped. Little text
shows only some of those words; the teacher's vocabulary is a list of all of them, and its embedding of any
word list is a valid target. Such texts carry the language code zxx (ISO 639-2: no linguistic content) and
are left out of counts; they are never held out.
"""

from __future__ import annotations

import random
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

from babelpress.corpus.sentence import Sentence, Split
from babelpress.schema.languages import NO_LANGUAGE

SOURCE = "teacher's pieces"
_META = "▁"
_UNSPACED = {"CJK", "HIRAGANA", "KATAKANA", "THAI"}
_LONGEST = 10  # words


def read_pieces(pieces: Sequence[str], *, texts: int, seed: int) -> Iterator[Sentence]:
    """Yield `texts` lists of 1 to 10 words, each of one script; every word comes up equally often."""
    scripts = words_by_script(pieces)
    draw = random.Random(f"{seed}/pieces")
    names = sorted(scripts)
    weights = [len(scripts[name]) for name in names]
    decks: dict[str, list[str]] = {name: [] for name in names}
    for _ in range(texts if names else 0):
        name = draw.choices(names, weights)[0]
        chosen = []
        for _ in range(draw.randint(1, _LONGEST)):
            if not decks[name]:
                decks[name] = draw.sample(scripts[name], len(scripts[name]))
            chosen.append(decks[name].pop())
        yield Sentence(("" if name in _UNSPACED else " ").join(chosen), NO_LANGUAGE, SOURCE, split=Split.TRAIN)


def words_by_script(pieces: Sequence[str]) -> dict[str, list[str]]:
    """Return script → the pieces that are its words: letters alone, from a word's start where words are spaced."""
    scripts: defaultdict[str, list[str]] = defaultdict(list)
    for piece in pieces:
        word = piece.removeprefix(_META)
        if not word or not all(unicodedata.category(character)[0] in "LM" for character in word):
            continue
        script = unicodedata.name(word[0], "?").partition(" ")[0]
        if script in _UNSPACED or (piece.startswith(_META) and len(word) > 1):
            scripts[script].append(word)
    return {name: words for name, words in scripts.items() if len(words) > _LONGEST}
