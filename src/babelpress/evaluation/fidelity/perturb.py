"""Text as people really type it: typing errors, other case, no accents, no punctuation, lost spaces.

A disturbance is a function of a text and of a random generator. It works on what a reader takes for a character
(grapheme clusters, Unicode Annex 29): of these it gives back none that was not there, and never parts one, so that a
mark stays with its letter and a Hangul syllable whole. `lower`, `upper` and `diacritics` change what is in them, no
more.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import regex
import xxhash

from babelpress.evaluation.fidelity.intrinsic import Embeddings, normalised
from babelpress.evaluation.fidelity.neighbours import cosine_blocks
from babelpress.schema.results import Disturbed

Disturbance = Callable[[str, random.Random], str]

TYPO_SHARE = 0.05  # of a text's letters
SPACE_SHARE = 0.1  # of a text's spaces
_CLUSTERS = regex.compile(r"\X")
_ACCENTED = {"LATIN", "GREEK", "CYRILLIC"}
_LETTERS_OF_THEIR_OWN = {"й", "Й", "ї", "Ї"}
_HARAKAT = frozenset("\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0670")
_INSIDE_WORDS, _INSIDE_NUMBERS = frozenset("'’-‐\u2011"), frozenset(".,:/-'’")


def disturb_texts(disturbance: str, texts: Mapping[int, str], *, seed: int) -> dict[int, str]:
    """Return the texts that a disturbance changes, by their numbers; each by itself, whatever stands beside it."""
    changed = {}
    for number, text in texts.items():
        key = f"{seed}/{disturbance}/{text}".encode("utf-8", "surrogatepass")
        perturbed = DISTURBANCES[disturbance](text, random.Random(xxhash.xxh3_64_intdigest(key)))
        if perturbed != text and perturbed.strip():
            changed[number] = perturbed
    return changed


def robustness(disturbed: Embeddings, rows: Sequence[int], undisturbed: Embeddings) -> Disturbed:
    """Look for each disturbed text's own among all undisturbed ones, where it stands in the row given.

    Both are embeddings of one model. Cosines that agree to six decimals are equal; of n equally near texts that have
    the own among them 1/n is found.
    """
    origins = np.asarray(rows, dtype=np.intp)
    shares = []
    for start, cosines in cosine_blocks(disturbed, undisturbed):
        most = cosines.max(axis=1)
        places = origins[start : start + len(cosines)]
        hits = cosines[np.arange(len(cosines)), places] == most
        shares.append(hits / (cosines == most[:, None]).sum(axis=1))
    cosine = np.einsum("td,td->t", normalised(disturbed), normalised(undisturbed[origins])).mean()
    return Disturbed(found=float(np.concatenate(shares).mean()), cosine=float(cosine), texts=len(origins))


def typos(text: str, draw: random.Random) -> str:
    """Make typing errors in one letter of twenty, at least in one, inside words of two letters and more.

    A letter is swapped with the next one, dropped, doubled, or replaced by another letter of the text that is of the
    same script and case.
    """
    clusters = _CLUSTERS.findall(text)
    letters = [place for place, cluster in enumerate(clusters) if _kind(cluster)]
    inside = [place for place in letters if _kind_at(clusters, place - 1) or _kind_at(clusters, place + 1)]
    similar: Alike = {}
    for place in letters:
        similar.setdefault(_kind(clusters[place]), []).append(clusters[place])
    wanted = min(len(inside), max(1, round(TYPO_SHARE * len(letters))))
    for place in sorted(draw.sample(inside, wanted), reverse=True):  # what lies before keeps its place
        for edit in draw.sample(_EDITS, len(_EDITS)):
            stop, new = edit(clusters, place, similar, draw)
            around = [*clusters[max(0, place - 1) : place], *new, *clusters[stop : stop + 1]]
            if new != clusters[place:stop] and _stay_apart(around):
                clusters[place:stop] = new
                break
    return "".join(clusters)


def lower(text: str, _: random.Random) -> str:
    """Write it all in small letters."""
    return text.lower()


def upper(text: str, _: random.Random) -> str:
    """Write it all in capitals, as Unicode does: ß becomes SS."""
    return text.upper()


def diacritics(text: str, _: random.Random) -> str:
    """Drop the marks of Latin, Greek and Cyrillic letters (not of й and ї), and the Arabic harakat.

    Marks of all other scripts stay: there they are vowels or parts of letters. So do strokes (ł, đ, ø), which are no
    marks.
    """
    return "".join(map(_without_marks, _CLUSTERS.findall(text)))


def punctuation(text: str, _: random.Random) -> str:
    """Drop punctuation, but for apostrophes and hyphens inside words and what stands inside numbers."""
    clusters = _CLUSTERS.findall(text)
    return _without(clusters, {place for place in range(len(clusters)) if _is_loose(clusters, place)})


def spaces(text: str, draw: random.Random) -> str:
    """Drop one space of ten, at least one."""
    clusters = _CLUSTERS.findall(text)
    places = [place for place, cluster in enumerate(clusters) if cluster == " "]
    wanted = min(len(places), max(1, round(SPACE_SHARE * len(places))))
    return _without(clusters, set(draw.sample(places, wanted)))


DISTURBANCES: dict[str, Disturbance] = {
    "typos": typos,
    "lower": lower,
    "upper": upper,
    "diacritics": diacritics,
    "punctuation": punctuation,
    "spaces": spaces,
}
# What a reader is told that they do.
WORDS = {
    "typos": f"typing errors in {100 * TYPO_SHARE:g} % of the letters",
    "lower": "lower case",
    "upper": "capitals",
    "diacritics": "accents left out",
    "punctuation": "no punctuation",
    "spaces": f"{100 * SPACE_SHARE:g} % of the spaces lost",
}


Kind = tuple[str, str] | None  # a letter's script and category; None: no letter
Alike = dict[Kind, list[str]]
Edit = Callable[[list[str], int, Alike, random.Random], tuple[int, list[str]]]


def _swap(clusters: list[str], place: int, _: Alike, __: random.Random) -> tuple[int, list[str]]:
    pair = clusters[place : place + 2] if _kind_at(clusters, place + 1) else [clusters[place]]
    return place + len(pair), pair[::-1]


def _drop(clusters: list[str], place: int, _: Alike, __: random.Random) -> tuple[int, list[str]]:
    last = not (_kind_at(clusters, place - 1) or _kind_at(clusters, place + 1))
    return place + 1, [clusters[place]] if last else []


def _double(clusters: list[str], place: int, _: Alike, __: random.Random) -> tuple[int, list[str]]:
    return place + 1, [clusters[place]] * 2


def _replace(clusters: list[str], place: int, similar: Alike, draw: random.Random) -> tuple[int, list[str]]:
    others = [letter for letter in similar[_kind(clusters[place])] if letter != clusters[place]]
    return place + 1, [draw.choice(others or [clusters[place]])]


_EDITS: tuple[Edit, ...] = (_swap, _drop, _double, _replace)


@lru_cache(maxsize=1 << 16)
def _kind(cluster: str) -> Kind:
    """Return the script and the category of a letter with its marks; None for anything else."""
    category = unicodedata.category(cluster[0])
    return (_script(cluster[0]), category) if category[0] == "L" else None


def _kind_at(clusters: Sequence[str], place: int) -> Kind:
    return _kind(clusters[place]) if 0 <= place < len(clusters) else None


def _script(character: str) -> str:
    """Return the first word of a character's name, which is its script where it is a letter."""
    return unicodedata.name(character, "").partition(" ")[0]


def _without_marks(cluster: str) -> str:
    script = _script(cluster[0]) if _kind(cluster) else ""
    if script == "ARABIC":
        return "".join(character for character in cluster if character not in _HARAKAT)
    if script not in _ACCENTED or unicodedata.normalize("NFC", cluster) in _LETTERS_OF_THEIR_OWN:
        return cluster
    parts = unicodedata.normalize("NFD", cluster)
    bare = [character for character in parts if unicodedata.category(character) != "Mn"]
    return unicodedata.normalize("NFC", "".join(bare)) if len(bare) < len(parts) else cluster


def _is_loose(clusters: Sequence[str], place: int) -> bool:
    """Tell punctuation that may be dropped."""
    cluster = clusters[place]
    if unicodedata.category(cluster[0])[0] != "P":
        return False
    around = {_class_at(clusters, place - 1), _class_at(clusters, place + 1)}
    inside = {"L": _INSIDE_WORDS, "N": _INSIDE_NUMBERS}.get("".join(around), frozenset())
    return cluster not in inside


def _class_at(clusters: Sequence[str], place: int) -> str:
    return unicodedata.category(clusters[place][0])[0] if 0 <= place < len(clusters) else ""


def _without(clusters: Sequence[str], dropped: set[int]) -> str:
    """Leave clusters out, but for one between two that would become one."""
    kept: list[str] = []
    for place, cluster in enumerate(clusters):
        if place in dropped:
            continue
        if kept and place - 1 in dropped and not _stay_apart([kept[-1], cluster]):
            kept.append(clusters[place - 1])
        kept.append(cluster)
    return "".join(kept)


def _stay_apart(clusters: list[str]) -> bool:
    return _CLUSTERS.findall("".join(clusters)) == clusters
