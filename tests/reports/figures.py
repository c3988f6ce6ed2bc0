"""Made-up figures, each of them unlike all others, so that a number on a page tells where it is from."""

from __future__ import annotations

from babelpress.evaluation.evaluate import average
from babelpress.evaluation.fidelity.bundled import BITEXT, SIMILARITY
from babelpress.evaluation.tasks.entries import Entry
from babelpress.recipe import Recipe
from babelpress.schema.results import Closeness, Measures, ModelResult, Parallel, Results, Score, Speed, Spread
from babelpress.student.layers import LayerPlan
from babelpress.vocabulary.fertility import LanguageFertility
from babelpress.vocabulary.plan import LanguageCoverage, VocabularyPlan

RECIPE = """
name: try
languages: [ko, en, pt]
teacher: {model: intfloat/multilingual-e5-small}
corpus: {sources: [{kind: files, paths: [/srv/secret/chat.txt]}]}
layers: {method: uniform, count: 2}
vocabulary: {size: 1000}
distillation: {batch_size: 77, learning_rate: 3.25e-5, weight_decay: 0.017, clip_norm: 1.9, max_length: 48}
"""
NAME = "intfloat/multilingual-e5-small"
MODELS = ("teacher", "pruned", "distilled")
SUBSETS = ("ar-ar", "en-de", "en-en", "es-en", "ko-ko", "nl-en")
TASKS = ("Banking77Classification", "STS17", "STSBenchmark")


def make_recipe(*overrides: str) -> Recipe:
    return Recipe.parse(RECIPE, overrides=overrides)


def make_model(number: int, *, tasks: bool = True) -> ModelResult:
    """A model whose every figure ends in its number."""
    scores = {
        SIMILARITY: Score(kind="Similarity", score=90.10 + number),
        BITEXT: Score(kind="Bitext", score=80.20 + number),
    }
    if tasks:
        scores |= {
            "Banking77Classification": _single("Classification", 70.30 + number),
            "STS17": Score(
                kind="STS",
                score=33.0 + number,
                subsets={code: 30.5 + number + place for place, code in enumerate(SUBSETS)},
            ),
            "STSBenchmark": _single("STS", 50.40 + number),
        }
    return ModelResult(
        layers=12 - 5 * (number - 1), dimensions=384, vocab_size=250_037 if number == 1 else 15_424,
        parameters=117_653_760 + number, parameters_without_pooler=117_505_920 + number,
        weight_bytes=2**20 * (449 + number), stored_as="fp32", folder_bytes=2**20 * (470 + number),
        fidelity_mean=1.0 - 0.0713 * (number - 1), fidelity_p5=1.0 - 0.1831 * (number - 1),
        tokens_per_sentence=11.1 + number,
        scores=scores, average=average(scores), retention=1.0 - 0.0917 * (number - 1),
        measures=Measures(overall=make_closeness(number)), speed=make_speed(number), parallel=make_parallel(number),
    )  # fmt: skip


def make_closeness(number: int) -> Closeness:
    return Closeness(texts=723, cosine=1.0 - 0.0713 * (number - 1), cosine_p5=1.0 - 0.1831 * (number - 1))


def make_speed(number: int) -> Speed:
    return Speed(
        batched=make_spread(1_230.0 + number), single_p50=make_spread(17.3 + number),
        single_p95=make_spread(26.4 + number), load=make_spread(0.31 + number), resident=make_spread(8_760.0 + number),
        libraries=640.0 + number,
    )  # fmt: skip


def make_spread(median: float) -> Spread:
    """A tenth below and above."""
    return Spread(median=median, low=0.9 * median, high=1.1 * median)


def make_parallel(number: int) -> Parallel:
    return Parallel(
        languages=6, sentences=37, accuracy=0.851 + number / 100, mean_rank=1.65 + number,
        language_probe=0.424 + number / 100, language_chance=1 / 6, alignment=0.527 + number,
        uniformity=-3.145 - number,
    )  # fmt: skip


def _single(kind: str, score: float) -> Score:
    return Score(kind=kind, score=score, subsets={"default": score})


def make_results(*, tasks: bool = True) -> Results:
    return Results(
        recipe="try",
        teacher_id="intfloat/multilingual-e5-small",
        languages=("ko", "en", "pt"),
        models={name: make_model(number, tasks=tasks) for number, name in enumerate(MODELS, 1)},
        corpus={
            "splits": {"train": 364_617, "validation": 711, "test": 723},
            "languages": {"ko": 100_001, "en": 264_616},
            "sources": {"chat.txt": 300_003, "mteb/banking77": 64_614},
            "dropped": {"duplicate": 5_551, "too short": 333},
            "contamination": {
                "embedded sentences": {"exact": 1_717, "near": 2_828},
                "STS17": {"exact": 4_949, "near": 0},
            },
        },
        distillation={"epochs": 13, "steps": 9_999, "best_epoch": 10, "best_loss": 0.009312, "history": []},
        held_out_sentences=723,
        machine={
            "processor": "Loom 9000", "threads": 6, "cores": 8, "memory_gib": 15.6, "accelerator": None,
            "system": "Linux x86_64",
        },
        versions={
            "babelpress": "0.1.0", "sentence-transformers": "6.2.0", "transformers": "5.23.0", "torch": "2.15.0",
            "mteb": "2.26.24",
        },
        paths={"student": "student", "pruned": "pruned", "picture": "umap/umap.png", "card": "student/README.md"},
    )  # fmt: skip


def without_scores(results: Results) -> Results:
    """The results of a run whose recipe names no task."""
    nothing = {"scores": {}, "average": 0.0, "retention": 0.0}
    models = {name: model.model_copy(update=nothing) for name, model in results.models.items()}
    return results.model_copy(update={"models": models})


def make_entries() -> tuple[Entry, ...]:
    """The student's mteb figures by subset and split; the last task's data are a local copy."""
    commits = {"Banking77Classification": 20 * "0f", "STS17": 20 * "17", "STSBenchmark": None}
    data = {
        "Banking77Classification": "banking77",
        "STS17": "sts17-crosslingual-sts",
        "STSBenchmark": "stsbenchmark-sts",
    }
    return tuple(
        Entry(
            task=task, kind=score.kind, dataset=f"mteb/{data[task]}", subset=subset, split="test",
            revision=commits[task], metric="accuracy" if score.kind == "Classification" else "cosine_spearman",
            score=value,
        )
        for task, score in make_model(3).scores.items()
        if task in TASKS
        for subset, value in score.subsets.items()
    )  # fmt: skip


def make_layers() -> LayerPlan:
    return LayerPlan((0, 11), 12, "evenly spaced")


def make_vocabulary(*, byte_pieces: bool = True) -> VocabularyPlan:
    return VocabularyPlan(
        kept=tuple(range(744)), new_pieces=tuple(f"<0x{value:02X}>" for value in range(256)) if byte_pieces else (),
        languages={
            "ko": LanguageCoverage(9, 7.5, 0.9876, 1.31, 0.0123, 0),
            "en": LanguageCoverage(9, 7.5, 0.9543, 1.17, 0.0045, 0),
            "zxx": LanguageCoverage(9, 7.5, 0.9321, 1.07, 0.0067, 0),
            "English|x": LanguageCoverage(9, 7.5, 0.9211, 1.03, 0.0071, 0),
        },
        unseen=3, alphabet_kept=90, alphabet_missing=(),
    )  # fmt: skip


def make_fertility() -> dict[str, LanguageFertility]:
    """Of two languages; there was no held-out text in the third."""
    return {
        "ko": LanguageFertility(711, 17.25, 23.75, 1.3768, 0.0217, 0.0),
        "en": LanguageFertility(712, 13.52, 15.14, 1.1198, 0.0039, 0.0),
    }
