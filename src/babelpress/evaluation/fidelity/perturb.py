"""Text as people really type it: typing errors, other case, no accents, no punctuation, lost spaces.

A perturbation is a function of a text and a random generator. It works on grapheme clusters (Unicode Annex 29), what a
reader takes for a character: it adds none and never splits one, so that a mark stays with its letter and a Hangul
syllable stays whole. `lower`, `upper` and `diacritics` only change clusters from within.
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
from babelpress.schema.results import Perturbed

Perturbation = Callable[[str, random.Random], str]

TYPO_SHARE = 0.05  # of a text's letters
SPACE_SHARE = 0.1  # of a text's spaces
_CLUSTERS = regex.compile(r"\X")
_ACCENTED = {"LATIN", "GREEK", "CYRILLIC"}
_SEPARATE_LETTERS = {"й", "Й", "ї", "Ї"}
_HARAKAT = frozenset("\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0652\u0670")
_INSIDE_WORDS, _INSIDE_NUMBERS = frozenset("'’-‐\u2011"), frozenset(".,:/-'’")


def perturb_texts(perturbation: str, texts: Mapping[int, str], *, seed: int) -> dict[int, str]:
    """Return the texts that a perturbation changes, by number; what becomes of a text does not depend on the others."""
    changed = {}
    for number, text in texts.items():
        key = f"{seed}/{perturbation}/{text}".encode("utf-8", "surrogatepass")
        perturbed = PERTURBATIONS[perturbation](text, random.Random(xxhash.xxh3_64_intdigest(key)))
        if perturbed != text and perturbed.strip():
            changed[number] = perturbed
    return changed


def robustness(perturbed: Embeddings, rows: Sequence[int], plain: Embeddings) -> Perturbed:
    """Search each perturbed text's original, at the given row, among all plain texts; both are one model's embeddings.

    Cosines that agree to six decimals are equal. Where the original is among n equally near texts, it counts 1/n.
    """
    origins = np.asarray(rows, dtype=np.intp)
    shares = []
    for start, cosines in cosine_blocks(perturbed, plain):
        most = cosines.max(axis=1)
        places = origins[start : start + len(cosines)]
        hits = cosines[np.arange(len(cosines)), places] == most
        shares.append(hits / (cosines == most[:, None]).sum(axis=1))
    cosine = np.einsum("td,td->t", normalised(perturbed), normalised(plain[origins])).mean()
    return Perturbed(found=float(np.concatenate(shares).mean()), cosine=float(cosine), texts=len(origins))


def typos(text: str, draw: random.Random) -> str:
    """Make typing errors in one letter of twenty, at least in one, inside words of two letters and more.

    A letter is swapped with the next one, dropped, doubled, or replaced by another letter of the text that is of the
    same script and case.
    """
    clusters = _CLUSTERS.findall(text)
    letters = [place for place, cluster in enumerate(clusters) if _kind(cluster)]
    inside = [place for place in letters if _kind_at(clusters, place - 1) or _kind_at(clusters, place + 1)]
    similar: Similar = {}
    for place in letters:
        similar.setdefault(_kind(clusters[place]), []).append(clusters[place])
    wanted = min(len(inside), max(1, round(TYPO_SHARE * len(letters))))
    for place in sorted(draw.sample(inside, wanted), reverse=True):  # places before it stay valid
        for edit in draw.sample(_EDITS, len(_EDITS)):
            stop, new = edit(clusters, place, similar, draw)
            around = [*clusters[max(0, place - 1) : place], *new, *clusters[stop : stop + 1]]
            if new != clusters[place:stop] and _stay_apart(around):
                clusters[place:stop] = new
                break
    return "".join(clusters)


def lower(text: str, _: random.Random) -> str:
    """Write everything in lower case."""
    return text.lower()


def upper(text: str, _: random.Random) -> str:
    """Write everything in capitals, as Unicode does: ß becomes SS."""
    return text.upper()


def diacritics(text: str, _: random.Random) -> str:
    """Drop the marks of Latin, Greek and Cyrillic letters (not of й and ї), and the Arabic harakat.

    Marks of all other scripts stay: they are vowels or parts of letters. So do strokes (ł, đ, ø), which are not marks.
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


PERTURBATIONS: dict[str, Perturbation] = {
    "typos": typos,
    "lower": lower,
    "upper": upper,
    "diacritics": diacritics,
    "punctuation": punctuation,
    "spaces": spaces,
}
# What they do, for readers of reports.
PERTURBATION_LABELS = {
    "typos": f"typing errors in {100 * TYPO_SHARE:g} % of the letters",
    "lower": "lower case",
    "upper": "capitals",
    "diacritics": "accents left out",
    "punctuation": "no punctuation",
    "spaces": f"{100 * SPACE_SHARE:g} % of the spaces lost",
}


Kind = tuple[str, str] | None  # a letter's script and category; None: no letter
Similar = dict[Kind, list[str]]
Edit = Callable[[list[str], int, Similar, random.Random], tuple[int, list[str]]]


def _swap(clusters: list[str], place: int, _: Similar, __: random.Random) -> tuple[int, list[str]]:
    pair = clusters[place : place + 2] if _kind_at(clusters, place + 1) else [clusters[place]]
    return place + len(pair), pair[::-1]


def _drop(clusters: list[str], place: int, _: Similar, __: random.Random) -> tuple[int, list[str]]:
    last = not (_kind_at(clusters, place - 1) or _kind_at(clusters, place + 1))
    return place + 1, [clusters[place]] if last else []


def _double(clusters: list[str], place: int, _: Similar, __: random.Random) -> tuple[int, list[str]]:
    return place + 1, [clusters[place]] * 2


def _replace(clusters: list[str], place: int, similar: Similar, draw: random.Random) -> tuple[int, list[str]]:
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
    if script not in _ACCENTED or unicodedata.normalize("NFC", cluster) in _SEPARATE_LETTERS:
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
