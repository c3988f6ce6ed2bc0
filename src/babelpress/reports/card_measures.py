"""Tables of the card for what any text tells of a student, and for its exports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from babelpress.evaluation.fidelity.perturb import PERTURBATION_LABELS
from babelpress.reports.export_words import points_lost
from babelpress.schema.exports import Export, Missed
from babelpress.schema.results import ModelResult

_CLOSE = (
    ("cosine to the teacher, mean", "cosine"),
    ("cosine to the teacher, 5th percentile", "cosine_p5"),
    ("ten nearest texts that are the teacher's ten", "overlap"),
    ("drop-in recall: this model's queries, the teacher's index", "student_queries"),
    ("drop-in recall: the teacher's queries, this model's index", "teacher_queries"),
)


def closeness_rows(pruned: ModelResult, student: ModelResult) -> list[tuple[str, str, str]]:
    """Return what is kept of the teacher's embeddings, row by row: name, pruned, student."""
    before, after = pruned.measures.overall, student.measures.overall
    rows = [(name, _share(getattr(before, key), key), _share(getattr(after, key), key)) for name, key in _CLOSE]
    return [row for row in rows if row[2]]


def language_rows(student: ModelResult) -> list[tuple[str, ...]]:
    """Return, for each language, texts, cosine, 5th percentile and overlap."""
    return [
        (code, f"{near.texts:,}", f"{near.cosine:.3f}", f"{near.cosine_p5:.3f}", _share(near.overlap, "overlap") or "–")
        for code, near in student.measures.by_language.items()
    ]


def length_rows(student: ModelResult) -> list[tuple[str, ...]]:
    """Return, for each length in the teacher's tokens, texts, mean and 5th percentile of the cosine."""
    return [
        (str(at.tokens), f"{at.texts:,}", f"{at.cosine:.3f}", f"{at.cosine_p5:.3f}")
        for at in student.measures.by_length
    ]


def measured_beyond(student: ModelResult, tokens: int) -> bool:
    """Tell whether texts of more tokens than these were measured."""
    return any(at.tokens > tokens for at in student.measures.by_length)


def disturbed_rows(teacher: ModelResult, student: ModelResult) -> list[tuple[str, ...]]:
    """Return, for each disturbance, how often teacher and student find the text that it was, and of how many."""
    theirs, own = teacher.measures.perturbed, student.measures.perturbed
    return [
        (
            PERTURBATION_LABELS[name],
            _share(theirs[name].found, ""),
            _share(own[name].found, ""),
            str(own[name].texts),
        )
        for name in own
        if name in theirs
    ]


def export_rows(exports: Sequence[Export | Missed]) -> list[dict[str, Any]]:
    """Return the exports, beside the student, those that were not written among them."""
    return [
        {
            "file": one.file,
            "mib": "not written" if isinstance(one, Missed) else f"{one.bytes / 2**20:.1f}",
            "mean": f"{one.parity.mean:.4f}",
            "p5": f"{one.parity.p5:.4f}",
            "lowest": f"{one.parity.lowest_mean:.4f} ({one.parity.lowest_language})",
            "points": points_lost(one.parity),
            "texts": one.parity.texts,
        }
        for one in exports
    ]


def _share(value: float | None, key: str) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if key.startswith("cosine") else _percent(value)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"
