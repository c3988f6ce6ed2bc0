"""The reference shape with random weights: 12 x 384 over 250,001 rows, pressed to 4 x 384 over 15,424; real text.

Weights have the spread that gives attention scores a standard deviation of 1, as trained encoders have it (0.2 to 1.5
in the bundled teacher). Wilder ones make shares of attention that processors compute several times slower.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from babelpress.recipe import StudentSection, VocabularyMethod
from babelpress.student.build import press_student
from babelpress.student.layers import LayerPlan
from babelpress.teacher import Teacher, read_teacher
from babelpress.vocabulary.alphabet import alphabet
from babelpress.vocabulary.choose import plan_vocabulary
from babelpress.vocabulary.tokenizer_file import read_tokenizer_file
from benchmarks.text import LANGUAGES, batches, split_folder
from benchmarks.tokenizers_250k import train_unigram
from benchmarks.vocabulary import PIECES, counted

LAYERS = (0, 4, 7, 11)
ROWS = 15_424
SCALE = 0.05


@dataclass(frozen=True)
class ReferenceShape:
    """A teacher, the student that it was pressed to, and real text of all languages in a fixed random order."""

    teacher: Teacher
    student: Path
    texts: list[str]


def make_reference_shape(corpus: Path, work: Path, folder: Path, *, sentences: int) -> ReferenceShape:
    """Write both models below `folder`; what takes long (the 250,001 pieces, their counts) is kept in `work`."""
    from tests.tiny import make_teacher

    text = split_folder(corpus, work)
    tokenizer = train_unigram(text["train"], work / "teacher.json", pieces=PIECES)
    raw = json.loads(tokenizer.read_text(encoding="utf-8"))
    made = make_teacher(
        folder / "teacher",
        layers=12,
        hidden=384,
        heads=12,
        feed_forward=1536,
        positions=512,
        tokenizer=raw,
        scale=SCALE,
    )
    teacher = read_teacher(str(made))
    file = read_tokenizer_file(made / "tokenizer.json")
    plan = plan_vocabulary(
        file, counted(file, text["count"], work / "teacher-count.npz"), method=VocabularyMethod.BUDGET, size=ROWS,
        characters=alphabet(LANGUAGES, file), character_share=0.6,
    )  # fmt: skip
    student = folder / "pruned"
    student.mkdir()
    press_student(
        teacher, student, layers=LayerPlan(LAYERS, 12, "given"), vocabulary=plan, settings=StudentSection(), seed=20
    )
    texts = [one for some, _ in batches(text["report"], limit=sentences) for one in some]
    return ReferenceShape(teacher, student, texts)
