"""The stage `pruned`: the student before it learns, its layers and rows cut from the teacher."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress.recipe import KeptRows
from babelpress.stages import layers, vocabulary
from babelpress.stages.engine import Stage
from babelpress.stages.run import Run, dump, read_plans, teacher_key
from babelpress.vocabulary.plan import VocabularyPlan

if TYPE_CHECKING:
    from babelpress.student.rows import Spelling


def settings(run: Run) -> Any:
    """Return what the pruned student depends on besides the plans."""
    fitted = run.recipe.student.kept_rows is KeptRows.FITTED
    student = dump(run.recipe.student)
    del student["stored_as"]  # the pruned student is always fp32
    return {
        "student": student,
        "language_exponent": run.recipe.vocabulary.language_exponent if fitted else None,
        "special_text": str(run.recipe.vocabulary.special_text),
        "seed": run.recipe.seed,
        "teacher": teacher_key(run),
    }


def make(run: Run, folder: Path) -> dict[str, Any]:
    """Write the pruned student."""
    from babelpress.evaluation.model_folders import model_facts
    from babelpress.student.build import press_student

    layers, vocabulary = read_plans(run)
    press_student(
        run.teacher,
        folder,
        layers=layers,
        vocabulary=vocabulary,
        settings=run.recipe.student,
        special_text=run.recipe.vocabulary.special_text,
        spelling=_spelling(run, vocabulary),
        seed=run.recipe.seed,
    )
    return model_facts(folder)


def _spelling(run: Run, vocabulary: VocabularyPlan) -> Spelling | None:
    """Return how dropped pieces are spelled, where the recipe asks to fit rows to that."""
    if run.recipe.student.kept_rows is KeptRows.TEACHER:
        return None
    from babelpress.student.rows import Spelling
    from babelpress.vocabulary.choose import spell_dropped
    from babelpress.vocabulary.count import PieceCounts
    from babelpress.vocabulary.tokenizer_file import read_tokenizer_file

    counts = PieceCounts.load(run.path("vocabulary") / "counts.npz")
    tokenizer = read_tokenizer_file(run.teacher.folder / "tokenizer.json")
    exponent = run.recipe.vocabulary.language_exponent
    return Spelling(*spell_dropped(tokenizer, vocabulary, counts, language_exponent=exponent))


STAGE = Stage("pruned", (vocabulary.STAGE, layers.STAGE), settings, make, version=4, formerly="pressed")
