"""What any text says of how near students are to their teacher: over all, by language, by length, and disturbed.

Every model embeds the same texts once: a sample taken alike from the languages, texts of fixed lengths made of their
lines, and what disturbances make of a part of the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from babelpress.errors import EvaluationError
from babelpress.evaluation.fidelity.perturb import DISTURBANCES, disturb_texts, robustness
from babelpress.evaluation.fidelity.intrinsic import Embeddings, fidelity
from babelpress.evaluation.fidelity.lengths import LENGTHS, at_lengths, long_texts
from babelpress.evaluation.fidelity.neighbours import LEAST_TEXTS, Rows, nearest, shared
from babelpress.evaluation.fidelity.shares import evenly, fair_shares
from babelpress.evaluation.fidelity.text_encoder import Encode, TextEncoder
from babelpress.schema.results import TEACHER, Closeness, Measures
from babelpress.utils.progress import bar, track

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SAMPLE = 1000
DISTURBED = 192
WHOLE_SHARE = 0.75
_ALL = ""  # in place of a language
_AT_ONCE = 256  # texts between two steps of the bar


@dataclass(frozen=True)
class Probe:
    """The texts that every model is asked to embed.

    `rows` are each language's in `texts`; `long` are by length; `disturbed` by disturbance and row of the text that
    each was.
    """

    texts: list[str]
    rows: dict[str, NDArray[np.intp]]
    long: dict[int, list[str]]
    disturbed: dict[str, dict[int, str]]

    @property
    def size(self) -> int:
        """Return how many texts every model embeds, those of fixed lengths apart."""
        return len(self.texts) + sum(map(len, self.disturbed.values()))


@dataclass(frozen=True)
class Embedded:
    """What one model made of a probe; `whole` tells of the texts of each length whether it read all of them."""

    texts: Embeddings
    long: dict[int, Embeddings]
    whole: dict[int, list[bool]]
    disturbed: dict[str, Embeddings]


def measure_models(
    encoders: Mapping[str, SentenceTransformer | TextEncoder | Encode],
    texts: Mapping[str, Sequence[str]],
    *,
    sample: int = SAMPLE,
    disturbed: int = DISTURBED,
    per_length: int = 64,
    batch_size: int = 32,
    seed: int = 0,
) -> dict[str, Measures]:
    """Measure models on texts by language; `encoders` must hold "teacher", which all are compared with.

    At most `sample` texts are compared, `disturbed` of them disturbed, and `per_length` made of each length. The
    teacher's own closeness is 1 by definition; its figures for disturbed text are not. A function in place of a model
    is taken to read texts of any length, and as the teacher gives no figures by length.

    Raises EvaluationError when there is no text, or an embedding that has other dimensions than the teacher's.
    """
    readers = {name: TextEncoder.of(model, batch_size=batch_size) for name, model in encoders.items()}
    asked = make_probe(readers[TEACHER], texts, sample=sample, disturbed=disturbed, per_length=per_length, seed=seed)
    _check_dimensions(readers, asked.texts[0])
    read = _read_lengths(readers, asked)
    total = sum(asked.size + sum(len(asked.long[tokens]) for tokens in own) for own in read.values())
    embedded: dict[str, Embedded] = {}
    with bar("measures", total=total, unit="texts") as advance:
        for name, reader in readers.items():
            embedded[name] = _embed(reader, asked, read[name], partial(advance, note=name))
    truths = _truths(embedded[TEACHER], asked)
    shown = track(embedded.items(), "measures: neighbours", total=len(embedded), unit="models")
    return {name: _measures(own, embedded[TEACHER], truths, asked) for name, own in shown}


def make_probe(
    teacher: TextEncoder,
    texts: Mapping[str, Sequence[str]],
    *,
    sample: int,
    disturbed: int,
    per_length: int,
    seed: int,
) -> Probe:
    """Choose the texts. A text that stands there twice counts once; languages give alike, at even distances.

    Raises EvaluationError when there is none.
    """
    distinct = _distinct(texts)
    shares = fair_shares({code: len(lines) for code, lines in distinct.items()}, sample)
    chosen = {code: evenly(lines, shares[code]) for code, lines in distinct.items() if shares[code]}
    if not chosen:
        raise EvaluationError("there is no text to measure models on")
    ends = np.cumsum([len(lines) for lines in chosen.values()])
    rows = {code: np.arange(end - len(chosen[code]), end) for code, end in zip(chosen, ends, strict=True)}
    flat = [text for lines in chosen.values() for text in lines]
    parts = fair_shares({code: len(lines) for code, lines in chosen.items()}, disturbed)
    tried = {row: flat[row] for code in chosen for row in evenly(rows[code].tolist(), parts[code])}
    made = {name: disturb_texts(name, tried, seed=seed) for name in DISTURBANCES}
    long = long_texts(teacher, distinct, lengths=LENGTHS, count=per_length)
    return Probe(flat, rows, long, {name: changed for name, changed in made.items() if changed})


def _distinct(texts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Leave out what is no text, and what another language or line has already."""
    seen: dict[str, str] = {}
    for code, lines in texts.items():
        for text in lines:
            if text.strip():
                seen.setdefault(text, code)
    distinct: dict[str, list[str]] = {code: [] for code in texts}
    for text, code in seen.items():
        distinct[code].append(text)
    return distinct


def _check_dimensions(readers: Mapping[str, TextEncoder], text: str) -> None:
    widths = {name: reader.embed([text]).shape[1] for name, reader in readers.items()}
    for name, width in widths.items():
        if width != widths[TEACHER]:
            raise EvaluationError(
                f"{name} has {width} dimensions, the teacher {widths[TEACHER]}: there is no cosine between them; "
                "measure a student of the teacher's dimensions (student.fold_projection)"
            )


def _read_lengths(readers: Mapping[str, TextEncoder], probe: Probe) -> dict[str, dict[int, list[bool]]]:
    """Return model → length → whether each text is read whole, for the lengths that give figures.

    These are the lengths of which a model reads three quarters of the texts whole: what it does not see says nothing
    of what it makes of long text, and a small rest would be the texts of a few languages. A length that no student
    reads needs no embeddings of the teacher's either.
    """
    read: dict[str, dict[int, list[bool]]] = {}
    for name, reader in readers.items():
        whole = {tokens: reader.reads_whole(texts) for tokens, texts in probe.long.items()}
        read[name] = {tokens: seen for tokens, seen in whole.items() if np.mean(seen) >= WHOLE_SHARE}
    wanted = {tokens for name, lengths in read.items() if name != TEACHER for tokens in lengths}
    read[TEACHER] = {tokens: seen for tokens, seen in read[TEACHER].items() if tokens in wanted}
    return read


def _embed(reader: TextEncoder, probe: Probe, whole: dict[int, list[bool]], advance: Callable[[int], None]) -> Embedded:
    def embed(texts: Sequence[str]) -> Embeddings:
        parts = []
        for start in range(0, len(texts), _AT_ONCE):
            parts.append(reader.embed(texts[start : start + _AT_ONCE]))
            advance(len(parts[-1]))
        return np.concatenate(parts)

    return Embedded(
        texts=embed(probe.texts),
        long={tokens: embed(probe.long[tokens]) for tokens in whole},
        whole=whole,
        disturbed={name: embed(list(changed.values())) for name, changed in probe.disturbed.items()},
    )


def _truths(teacher: Embedded, probe: Probe) -> dict[str, Rows]:
    """Return what the teacher finds nearest, by language and of all texts (""); nothing of too few texts."""
    parts = {_ALL: teacher.texts, **{code: teacher.texts[rows] for code, rows in probe.rows.items()}}
    shown = track(parts.items(), "measures: the teacher's neighbours", total=len(parts), unit="sets of texts")
    return {code: nearest(vectors, vectors) for code, vectors in shown if len(vectors) >= LEAST_TEXTS}


def _measures(model: Embedded, teacher: Embedded, truths: Mapping[str, Rows], probe: Probe) -> Measures:
    disturbed = {
        name: robustness(vectors, list(probe.disturbed[name]), model.texts) for name, vectors in model.disturbed.items()
    }
    return Measures(
        overall=closeness(model.texts, teacher.texts, truth=truths.get(_ALL)),
        by_language={
            code: closeness(model.texts[rows], teacher.texts[rows], truth=truths.get(code))
            for code, rows in probe.rows.items()
        },
        by_length=at_lengths(model.long, teacher.long, model.whole),
        disturbed=disturbed,
    )


def closeness(model: Embeddings, teacher: Embeddings, *, truth: Rows | None = None) -> Closeness:
    """Compare embeddings of the same texts, both (texts, dimensions).

    `truth` is `nearest(teacher, teacher)`, where somebody knows it already.
    """
    near = fidelity(model, teacher)
    if len(model) < LEAST_TEXTS:
        return Closeness(texts=near.sentences, cosine=near.mean, cosine_p5=near.p5)
    truth = nearest(teacher, teacher) if truth is None else truth
    return Closeness(
        texts=near.sentences,
        cosine=near.mean,
        cosine_p5=near.p5,
        overlap=shared(nearest(model, model), truth),
        student_queries=shared(nearest(model, teacher), truth),
        teacher_queries=shared(nearest(teacher, model), truth),
    )
