"""What each stage depends on and what it does: thin functions between the run's folder and the modules."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelpress import processes
from babelpress.corpus.build import count_rows, read_texts
from babelpress.corpus.hub_sources import local_copy, mteb_train_source
from babelpress.corpus.sentence import Split
from babelpress.evaluation.missing import read_missing
from babelpress.evaluation.results import PRESSED, STUDENT, TEACHER, Score
from babelpress.files import hash_folder, read_json, write_json
from babelpress.machine import describe_machine
from babelpress.recipe import (
    DistillationSection,
    HubSource,
    KeptRows,
    LayerMethod,
    LossSection,
    MtebTrainSource,
    ParallelSource,
    Pooler,
    Recipe,
    StoredAs,
)
from babelpress.student.layers import LayerPlan, plan_layers
from babelpress.teacher import Teacher
from babelpress.vocabulary.plan import VocabularyPlan

if TYPE_CHECKING:
    from babelpress.student.rows import Spelling

logger = logging.getLogger(__name__)

# Settings of distillation that came after 0.1.
_ADDED = ("seed", "sentences", "embedding_rate", "cycles", "final_learning_rate", "average")
_ADDED_LOSSES = ("l2",)


@dataclass(frozen=True)
class Run:
    """A recipe at work: where its results go and what it reads."""

    recipe: Recipe
    folder: Path
    teacher: Teacher
    data_dir: Path | None
    cache: Path = Path("runs/cache")  # what runs share

    def path(self, stage: str) -> Path:
        """Return the folder of a stage."""
        return self.folder / stage


# --- vocabulary and layers ----------------------------------------------------------------------


def vocabulary_settings(run: Run) -> Any:
    """Return what the vocabulary depends on besides the corpus."""
    return {
        "vocabulary": dump(run.recipe.vocabulary),
        "languages": run.recipe.languages,
        "teacher": run.teacher.fingerprint,
        "rows": budget_rows(run),
    }


def budget_rows(run: Run) -> int | None:
    """Return the rows that the recipe's budget is worth. Raises PlanError where MiB do not suffice."""
    from babelpress.student.sizing import rows_within

    recipe = run.recipe
    if recipe.vocabulary.mib is None:
        return recipe.vocabulary.size
    layers = len(recipe.layers.keep or ()) or recipe.layers.count or 0
    return rows_within(
        run.teacher, mib=recipe.vocabulary.mib, layers=layers, pooler=recipe.student.pooler is Pooler.KEEP
    )


def make_vocabulary(run: Run, folder: Path) -> dict[str, Any]:
    """Count the corpus, write the vocabulary plan, and measure it on held-out text.

    Of several processes each counts its share of the corpus; the main one adds up and decides.
    """
    from babelpress.vocabulary.alphabet import alphabet
    from babelpress.vocabulary.choose import plan_vocabulary
    from babelpress.vocabulary.count import PieceCounts, count_pieces
    from babelpress.vocabulary.fertility import measure_fertility, save_fertility
    from babelpress.vocabulary.surgery import rewrite_tokenizer
    from babelpress.vocabulary.tokenizer_file import parse_tokenizer, read_tokenizer_file

    settings = run.recipe.vocabulary
    tokenizer = read_tokenizer_file(run.teacher.folder / "tokenizer.json")
    rows = count_rows(run.path("corpus"), Split.TRAIN) // processes.count()
    texts = processes.share(read_texts(run.path("corpus"), Split.TRAIN))
    part = folder / f"counts-{processes.rank()}.npz"
    count_pieces(tokenizer, texts, total=rows).save(part)
    processes.wait()
    if not processes.is_main():
        return {}
    parts = [folder / f"counts-{number}.npz" for number in range(processes.count())]
    counts = PieceCounts.sum([PieceCounts.load(path) for path in parts])
    counts.save(folder / "counts.npz")
    for path in parts:
        path.unlink()
    plan = plan_vocabulary(
        tokenizer, counts, method=settings.method, size=budget_rows(run), coverage=settings.coverage,
        objective=settings.objective, min_count=settings.min_count, language_exponent=settings.language_exponent,
        byte_fallback=settings.byte_fallback, byte_rate=settings.byte_rate, character_share=settings.character_share,
        characters=alphabet(run.recipe.languages, tokenizer) if settings.alphabet else None,
    )  # fmt: skip
    plan.save(folder / "plan.json")
    student = parse_tokenizer(rewrite_tokenizer(tokenizer, plan))
    held_out = read_texts(run.path("corpus"), Split.VALIDATION)
    save_fertility(folder / "fertility.json", measure_fertility(tokenizer, student, held_out))
    return {"rows": plan.rows, "kept": len(plan.kept), "new": len(plan.new_pieces), "unseen": plan.unseen}


def layers_settings(run: Run) -> Any:
    """Return what the layer plan depends on."""
    return {"layers": dump(run.recipe.layers), "teacher": run.teacher.fingerprint}


def make_layers(run: Run, folder: Path) -> dict[str, Any]:
    """Write the layer plan."""
    request = run.recipe.layers
    measured = _embeddings_by_layer(run) if request.method is LayerMethod.IMPORTANCE else None
    plan = plan_layers(request, layers=run.teacher.layers, embeddings_by_layer=measured)
    plan.save(folder / "plan.json")
    return {"kept": list(plan.kept), "of": plan.of, "reason": plan.reason}


def _embeddings_by_layer(run: Run) -> Any:
    import numpy as np
    import torch

    from babelpress.encoders import embed_by_layer, load_encoder, pad_batch
    from babelpress.progress import bar
    from babelpress.vocabulary.count import open_tokenizer

    texts = first_texts(run.path("corpus"), Split.TRAIN, run.recipe.layers.sample)
    tokenizer = open_tokenizer(run.teacher.folder / "tokenizer.json")
    tokenizer.enable_truncation(run.recipe.distillation.max_length)
    model = load_encoder(run.teacher.folder, trust_remote_code=run.teacher.trust_remote_code)
    pad = int(model.tokenizer.pad_token_id)
    parts = []
    with bar("layers: measuring", total=len(texts), unit="sentences") as advance, torch.inference_mode():
        for start in range(0, len(texts), 32):
            batch = tokenizer.encode_batch(texts[start : start + 32])
            parts.append(
                embed_by_layer(model, pad_batch([encoding.ids for encoding in batch], pad=pad)).float().cpu().numpy()
            )
            advance(len(batch))
    return np.concatenate(parts, axis=1)


def first_texts(corpus: Path, split: Split, count: int) -> list[str]:
    """Return the first texts of a split (its order is that of hashes, so they are a fair sample)."""
    texts: list[str] = []
    for batch, _ in read_texts(corpus, split):
        texts += batch
        if len(texts) >= count:
            break
    return texts[:count]


def texts_by_language(corpus: Path, split: Split) -> dict[str, list[str]]:
    """Return all texts of a held-out split, by language."""
    found: dict[str, list[str]] = {}
    for texts, languages in read_texts(corpus, split):
        for text, language in zip(texts, languages, strict=True):
            found.setdefault(language, []).append(text)
    return {language: found[language] for language in sorted(found)}


# --- student and distillation -------------------------------------------------------------------


def pressed_settings(run: Run) -> Any:
    """Return what the pressed student depends on besides the plans."""
    fitted = run.recipe.student.kept_rows is KeptRows.FITTED
    student = dump(run.recipe.student)
    del student["stored_as"]  # the pressed student is always fp32
    return {
        "student": student,
        "language_exponent": run.recipe.vocabulary.language_exponent if fitted else None,
        "special_text": str(run.recipe.vocabulary.special_text),
        "seed": run.recipe.seed,
        "teacher": teacher_key(run),
    }


def make_pressed(run: Run, folder: Path) -> dict[str, Any]:
    """Write the pressed student."""
    from babelpress.evaluation.evaluate import model_facts
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


def read_plans(run: Run) -> tuple[LayerPlan, VocabularyPlan]:
    """Return the plans that the run's stages wrote."""
    return LayerPlan.load(run.path("layers") / "plan.json"), VocabularyPlan.load(run.path("vocabulary") / "plan.json")


def student_settings(run: Run) -> Any:
    """Return where the student comes from; its manifest travels with it."""
    recipe = run.recipe
    return {
        "recipe": recipe.name,
        "languages": recipe.languages,
        "teacher": {
            "name": run.teacher.name,
            "revision": run.teacher.revision,
            "fingerprint": run.teacher.fingerprint,
        },
        "distillation": dump_training(run),
        "fold_projection": recipe.student.fold_projection,
        "seed": recipe.seed,
        **({} if recipe.student.stored_as is StoredAs.FP32 else {"stored_as": str(recipe.student.stored_as)}),
    }


def make_student(run: Run, folder: Path) -> dict[str, Any]:
    """Write the final student: the pressed folder with the trained weights, and its tokenizer's golden file."""
    from babelpress.checks.golden import write_golden
    from babelpress.evaluation.evaluate import model_facts
    from babelpress.student.build import replace_weights
    from babelpress.student.dense import fold_projection

    shutil.copytree(
        run.path("pressed"),
        folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("manifest.json", "model.safetensors"),
    )
    replace_weights(
        run.path("pressed"), run.path("distillation") / "best.safetensors", folder / "model.safetensors",
        stored_as=run.recipe.student.stored_as,
    )  # fmt: skip
    projection = run.path("distillation") / "projection.safetensors"
    if projection.is_file() and run.recipe.student.fold_projection:
        fold_projection(folder, projection)
    write_golden(folder)
    layers, vocabulary = read_plans(run)
    return {**model_facts(folder), "layers_kept": list(layers.kept), "vocabulary": vocabulary.digest()}


# --- evaluation and report ----------------------------------------------------------------------


def evaluation_settings(run: Run) -> Any:
    """Return what the scores depend on besides the models."""
    return {
        "evaluation": _dump_evaluation(run),
        "languages": run.recipe.languages,
        "teacher": teacher_key(run),
        "data": task_data(run),
    }


def task_data(run: Run) -> dict[str, str]:
    """Return the hashes of local task data: other data, other scores."""
    return {name: hash_folder(folder) for name, folder in _task_folders(run).items()}


def read_scores(run: Run, model: str) -> dict[str, Score]:
    """Return a model's scores from the finished evaluation."""
    scores = read_json(run.path("evaluation") / "models.json")[model]["scores"]
    return {name: Score.model_validate(score) for name, score in scores.items()}


def _dump_evaluation(run: Run) -> Any:
    """Return how models are scored; a suite is the tasks that it holds.

    What may fail changes no score, and the size of batches no more than rounding: whoever lowers it after running out
    of memory keeps the finished tasks.
    """
    section = run.recipe.evaluation
    settings = dump(section) | {"tasks": section.chosen_tasks(), "languages": section.chosen_languages()}
    del settings["suite"], settings["allow_missing"], settings["batch_size"]
    return settings


def nothing_is_missing(run: Run, folder: Path) -> bool:
    """Tell whether a finished evaluation has all its tasks; missing ones are tried again."""
    return not read_missing(folder / "mteb")


def copies(run: Run, sources: Iterable[object]) -> dict[str, str]:
    """Return the content hashes of the local copies that hub sources are read from."""
    if run.data_dir is None:
        return {}
    names: set[str] = set()
    for source in sources:
        if isinstance(source, HubSource | ParallelSource):
            names.add(source.dataset)
        elif isinstance(source, MtebTrainSource):
            languages = run.recipe.languages
            names |= {mteb_train_source(task, languages=languages, limit=None).dataset for task in source.tasks}
    found = {name: local_copy(name, run.data_dir) for name in names}
    return {name: hash_folder(folder) for name, folder in sorted(found.items()) if folder}


def _task_folders(run: Run) -> dict[str, Path]:
    """Return the folders of local task data."""
    if run.data_dir is None:
        return {}
    folders = {name: run.data_dir / name for name in run.recipe.evaluation.chosen_tasks()}
    return {name: folder for name, folder in folders.items() if folder.is_dir()}


def make_evaluation(run: Run, folder: Path) -> dict[str, Any]:
    """Score the three models.

    Timings go into the manifest's counts: no two are alike, and what hangs on the scores is not made again for them.
    """
    from babelpress.evaluation.evaluate import Candidate, evaluate_models, model_id

    recipe = run.recipe
    held_out = texts_by_language(run.path("corpus"), Split.TEST)
    found = evaluate_models(
        {name: Candidate(model, model_id(recipe.name, name)) for name, model in model_folders(run).items()},
        settings=recipe.evaluation,
        held_out=held_out,
        languages=recipe.languages,
        data_dir=run.data_dir,
        cache=folder / "mteb",
        trust_remote_code=run.teacher.trust_remote_code,
    )
    figures = {name: result.model_dump(mode="json") for name, result in found.items()}
    speed = {name: own.pop("speed") for name, own in figures.items()}
    write_json(folder / "models.json", figures)
    return {
        "held_out_sentences": sum(map(len, held_out.values())),
        "machine": describe_machine(),
        "speed": {name: own for name, own in speed.items() if own is not None},
    }


def report_settings(run: Run) -> Any:
    """Return what the picture depends on besides the models."""
    return {
        "visualization": dump(run.recipe.visualization),
        "copies": copies(run, [run.recipe.visualization.source]),
        "seed": run.recipe.seed,
        "languages": run.recipe.languages,
        "teacher": teacher_key(run),
    }


def make_report(run: Run, folder: Path) -> dict[str, Any]:
    """Draw the picture."""
    from babelpress.report.picture import draw_run

    trust = run.teacher.trust_remote_code
    return draw_run(run.recipe, model_folders(run), folder, data_dir=run.data_dir, trust_remote_code=trust)


def model_folders(run: Run) -> dict[str, Path]:
    """Return the folders of the run's models, by their names in the results."""
    return {TEACHER: run.teacher.folder, PRESSED: run.path("pressed"), STUDENT: run.path("student")}


def teacher_key(run: Run) -> Any:
    """Return what identifies the teacher in a stage's key."""
    return {"name": run.teacher.name, "fingerprint": run.teacher.fingerprint, "prompts": run.teacher.prompts}


def dump_training(run: Run) -> Any:
    """Return how a student is trained; who watches changes nothing.

    Settings that came later are left out where they are not used, so that older results stay valid.
    """
    settings = dump(run.recipe.distillation)
    del settings["trackers"]
    for values, added, section in (
        (settings, _ADDED, DistillationSection),
        (settings["loss"], _ADDED_LOSSES, LossSection),
    ):
        for name in added:
            if values[name] == section.model_fields[name].default:
                del values[name]
    return settings


def dump(section: Any) -> Any:
    """Return a recipe section as JSON-able values."""
    return section.model_dump(mode="json")
