"""How near students are to their teacher on any text: overall, by language, by length, and with perturbed text.

Every model embeds the same texts once: a sample balanced across languages, texts of fixed lengths made of their lines,
and perturbed versions of a part of the sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from babelpress.errors import EvaluationError
from babelpress.evaluation.fidelity.intrinsic import Embeddings, fidelity
from babelpress.evaluation.fidelity.lengths import LENGTHS, at_lengths, long_texts
from babelpress.evaluation.fidelity.neighbours import LEAST_TEXTS, Rows, nearest, shared
from babelpress.evaluation.fidelity.perturb import PERTURBATIONS, perturb_texts, robustness
from babelpress.evaluation.fidelity.shares import evenly, fair_shares
from babelpress.evaluation.fidelity.text_encoder import Encode, TextEncoder
from babelpress.schema.results import TEACHER, Closeness, Measures
from babelpress.utils.progress import bar, track

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SAMPLE = 1000
PERTURBED = 192
WHOLE_SHARE = 0.75
_ALL = ""  # in place of a language
_AT_ONCE = 256  # texts between two steps of the bar


@dataclass(frozen=True)
class SampleTexts:
    """The texts that every model embeds.

    `rows` are the rows of each language in `texts`; `long` are by length in tokens; `perturbed` are by perturbation
    and by the row of the original.
    """

    texts: list[str]
    rows: dict[str, NDArray[np.intp]]
    long: dict[int, list[str]]
    perturbed: dict[str, dict[int, str]]

    @property
    def size(self) -> int:
        """Return the number of texts that every model embeds, without those of fixed lengths."""
        return len(self.texts) + sum(map(len, self.perturbed.values()))


@dataclass(frozen=True)
class Embedded:
    """One model's embeddings of the sample; `whole` says, by length, which texts it reads without truncation."""

    texts: Embeddings
    long: dict[int, Embeddings]
    whole: dict[int, list[bool]]
    perturbed: dict[str, Embeddings]


def measure_models(
    encoders: Mapping[str, SentenceTransformer | TextEncoder | Encode],
    texts: Mapping[str, Sequence[str]],
    *,
    sample: int = SAMPLE,
    perturbed: int = PERTURBED,
    per_length: int = 64,
    batch_size: int = 32,
    seed: int = 0,
) -> dict[str, Measures]:
    """Measure models on texts by language; all are compared with "teacher", which must be among `encoders`.

    At most `sample` texts are compared, `perturbed` of them also perturbed, and `per_length` made of each length. The
    teacher's closeness to itself is 1 by definition; its figures for perturbed text are not. A function in place of a
    model counts as one without a length limit; as the teacher, it gives no figures by length.

    Raises EvaluationError for no text, and for a model whose dimensions differ from the teacher's.
    """
    readers = {name: TextEncoder.of(model, batch_size=batch_size) for name, model in encoders.items()}
    chosen = sample_texts(readers[TEACHER], texts, sample=sample, perturbed=perturbed, per_length=per_length, seed=seed)
    _check_dimensions(readers, chosen.texts[0])
    read = _read_lengths(readers, chosen)
    total = sum(chosen.size + sum(len(chosen.long[tokens]) for tokens in lengths) for lengths in read.values())
    embedded: dict[str, Embedded] = {}
    with bar("measures", total=total, unit="texts") as advance:
        for name, reader in readers.items():
            embedded[name] = _embed(reader, chosen, read[name], partial(advance, note=name))
    truths = _truths(embedded[TEACHER], chosen)
    shown = track(embedded.items(), "measures: neighbours", total=len(embedded), unit="models")
    return {name: _measures(model, embedded[TEACHER], truths, chosen) for name, model in shown}


def sample_texts(
    teacher: TextEncoder,
    texts: Mapping[str, Sequence[str]],
    *,
    sample: int,
    perturbed: int,
    per_length: int,
    seed: int,
) -> SampleTexts:
    """Choose the texts: duplicates count once, languages give equal shares, spread evenly over their texts.

    Raises EvaluationError for no text.
    """
    distinct = _distinct(texts)
    shares = fair_shares({code: len(lines) for code, lines in distinct.items()}, sample)
    chosen = {code: evenly(lines, shares[code]) for code, lines in distinct.items() if shares[code]}
    if not chosen:
        raise EvaluationError("there is no text to measure models on")
    ends = np.cumsum([len(lines) for lines in chosen.values()])
    rows = {code: np.arange(end - len(chosen[code]), end) for code, end in zip(chosen, ends, strict=True)}
    flat = [text for lines in chosen.values() for text in lines]
    parts = fair_shares({code: len(lines) for code, lines in chosen.items()}, perturbed)
    tried = {row: flat[row] for code in chosen for row in evenly(rows[code].tolist(), parts[code])}
    made = {name: perturb_texts(name, tried, seed=seed) for name in PERTURBATIONS}
    long = long_texts(teacher, distinct, lengths=LENGTHS, count=per_length)
    return SampleTexts(flat, rows, long, {name: changed for name, changed in made.items() if changed})


def _distinct(texts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Drop blank texts, and those that an earlier line or language already has."""
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
                f"{name} has {width} dimensions, the teacher {widths[TEACHER]}: they cannot be compared; "
                "measure a student of the teacher's dimensions (student.fold_projection)"
            )


def _read_lengths(readers: Mapping[str, TextEncoder], sample: SampleTexts) -> dict[str, dict[int, list[bool]]]:
    """Return model → length → whether each text is read whole, for the lengths that give figures.

    These are the lengths of which a model reads at least three quarters of the texts whole: truncated texts say
    nothing about long text, and a smaller rest would be the texts of a few languages. The teacher embeds the lengths
    of which some student has figures.
    """
    read: dict[str, dict[int, list[bool]]] = {}
    for name, reader in readers.items():
        whole = {tokens: reader.reads_whole(texts) for tokens, texts in sample.long.items()}
        read[name] = {tokens: seen for tokens, seen in whole.items() if np.mean(seen) >= WHOLE_SHARE}
    wanted = {tokens for name, lengths in read.items() if name != TEACHER for tokens in lengths}
    read[TEACHER] = {tokens: seen for tokens, seen in read[TEACHER].items() if tokens in wanted}
    return read


def _embed(
    reader: TextEncoder, sample: SampleTexts, whole: dict[int, list[bool]], advance: Callable[[int], None]
) -> Embedded:
    def embed(texts: Sequence[str]) -> Embeddings:
        parts = []
        for start in range(0, len(texts), _AT_ONCE):
            parts.append(reader.embed(texts[start : start + _AT_ONCE]))
            advance(len(parts[-1]))
        return np.concatenate(parts)

    return Embedded(
        texts=embed(sample.texts),
        long={tokens: embed(sample.long[tokens]) for tokens in whole},
        whole=whole,
        perturbed={name: embed(list(changed.values())) for name, changed in sample.perturbed.items()},
    )


def _truths(teacher: Embedded, sample: SampleTexts) -> dict[str, Rows]:
    """Return the teacher's nearest neighbours, by language and of all texts (""), where there are enough texts."""
    parts = {_ALL: teacher.texts, **{code: teacher.texts[rows] for code, rows in sample.rows.items()}}
    shown = track(parts.items(), "measures: the teacher's neighbours", total=len(parts), unit="sets of texts")
    return {code: nearest(vectors, vectors) for code, vectors in shown if len(vectors) >= LEAST_TEXTS}


def _measures(model: Embedded, teacher: Embedded, truths: Mapping[str, Rows], sample: SampleTexts) -> Measures:
    perturbed = {
        name: robustness(vectors, list(sample.perturbed[name]), model.texts)
        for name, vectors in model.perturbed.items()
    }
    return Measures(
        overall=closeness(model.texts, teacher.texts, truth=truths.get(_ALL)),
        by_language={
            code: closeness(model.texts[rows], teacher.texts[rows], truth=truths.get(code))
            for code, rows in sample.rows.items()
        },
        by_length=at_lengths(model.long, teacher.long, model.whole),
        perturbed=perturbed,
    )


def closeness(model: Embeddings, teacher: Embeddings, *, truth: Rows | None = None) -> Closeness:
    """Compare embeddings of the same texts, both (texts, dimensions).

    `truth` is `nearest(teacher, teacher)`; it is computed unless given.
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
