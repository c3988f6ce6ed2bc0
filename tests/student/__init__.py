"""What the student tests share: pressing a tiny teacher, and reading what came out with the real libraries."""

from __future__ import annotations

from pathlib import Path

from sentence_transformers import SentenceTransformer

from babelpress.corpus.bundled import load_meanings
from babelpress.recipe import NewRows, Pooler, SpecialText, StudentSection, VocabularyMethod
from babelpress.student.build import press_student
from babelpress.student.layers import LayerPlan
from babelpress.teacher import Teacher, read_teacher
from babelpress.utils.tokenizer import open_tokenizer
from babelpress.vocabulary.choose import plan_vocabulary
from babelpress.vocabulary.count import count_pieces
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.tokenizer_file import read_tokenizer_file

TEXTS = [text for meaning in load_meanings()[:12] for text in meaning.texts.values()]


def plan_for(teacher: Teacher, *, size: int) -> VocabularyPlan:
    """A budget counted on TEXTS."""
    tokenizer = read_tokenizer_file(teacher.folder / "tokenizer.json")
    counts = count_pieces(tokenizer, [(TEXTS, ["en"] * len(TEXTS))])
    return plan_vocabulary(tokenizer, counts, method=VocabularyMethod.BUDGET, size=size)


def press(
    teacher: Path,
    target: Path,
    *,
    layers: tuple[int, ...],
    size: int = 1500,
    pooler: Pooler = Pooler.KEEP,
    new_rows: NewRows = NewRows.DROPPED,
    special_text: SpecialText = SpecialText.AS_TEACHER,
    **options,
) -> VocabularyPlan:
    """Press a teacher folder into `target`."""
    facts = read_teacher(str(teacher), **options)
    plan = plan_for(facts, size=size)
    target.mkdir(parents=True)
    press_student(
        facts, target, layers=LayerPlan(layers, facts.layers, "test"), vocabulary=plan,
        settings=StudentSection(pooler=pooler, new_rows=new_rows), special_text=special_text, seed=0,
    )  # fmt: skip
    return plan


def load(folder: Path) -> SentenceTransformer:
    """Load as a user would."""
    return SentenceTransformer(str(folder), device="cpu")


def covered_texts(teacher: Path, plan: VocabularyPlan) -> list[str]:
    """The texts whose teacher pieces are all known and kept."""
    tokenizer = open_tokenizer(teacher / "tokenizer.json")
    kept = set(plan.kept) - {tokenizer.token_to_id("<unk>")}
    return [text for text in TEXTS if set(tokenizer.encode(text).ids) <= kept]
