"""The stages in order. The only place that knows the order.

corpus → vocabulary → layers → pressed → targets → distillation → student → evaluation → report
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from babelpress.corpus.build import build_corpus, count_rows, read_texts
from babelpress.corpus.bundled import held_out_meanings
from babelpress.corpus.sentence import BadLine, Sentence, Split
from babelpress.corpus.sources import read_source, source_files
from babelpress.errors import BabelpressError
from babelpress.files import hash_file, hash_json, read_json, write_json, write_text
from babelpress.machine import describe_machine
from babelpress.recipe import FileSource, LayerMethod, PiecesSource, Recipe
from babelpress.stages import Stage, run_stage
from babelpress.student.layers import LayerPlan, plan_layers
from babelpress.teacher import Teacher, read_teacher
from babelpress.vocabulary.plan import VocabularyPlan

if TYPE_CHECKING:
    from babelpress.distillation.train import TrainingReport

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """A recipe at work: where its results go and what it reads."""

    recipe: Recipe
    folder: Path
    teacher: Teacher
    data_dir: Path | None

    def path(self, stage: str) -> Path:
        """Return the folder of a stage."""
        return self.folder / stage


# --- corpus -------------------------------------------------------------------------------------


def _corpus_settings(run: Run) -> Any:
    recipe = run.recipe
    files = [
        [file.name, hash_file(file)]  # not by name: en/train.txt and ko/train.txt share theirs
        for source in recipe.corpus.sources
        if isinstance(source, FileSource)
        for file, _ in source_files(source, languages=recipe.languages, data_dir=run.data_dir)
    ]
    embedded = [list(meaning.texts.values()) for meaning in held_out_meanings()] if recipe.evaluation.bundled else []
    return {
        "corpus": _dump(recipe.corpus),
        "languages": recipe.languages,
        "seed": recipe.seed,
        "files": files,
        "embedded": hash_json(embedded),
        "pieces": run.teacher.fingerprint if any(isinstance(s, PiecesSource) for s in recipe.corpus.sources) else None,
    }


def _build_corpus(run: Run, folder: Path) -> dict[str, Any]:
    recipe = run.recipe
    forbidden = [text for meaning in held_out_meanings() for text in meaning.texts.values()]
    report = build_corpus(
        _items(run), folder, seed=recipe.seed, min_chars=recipe.corpus.min_chars, max_chars=recipe.corpus.max_chars,
        held_out=recipe.corpus.held_out, held_out_limit=recipe.corpus.held_out_limit, forbidden=forbidden,
    )  # fmt: skip
    write_json(folder / "report.json", asdict(report))
    return asdict(report)


def _items(run: Run) -> Iterator[Sentence | BadLine]:
    from babelpress.vocabulary.plan import unigram_vocabulary

    sources = run.recipe.corpus.sources
    pieces: list[str] = []
    if any(isinstance(source, PiecesSource) for source in sources):
        pieces = [piece for piece, _ in unigram_vocabulary(read_json(run.teacher.folder / "tokenizer.json"))]
    for source in sources:
        yield from read_source(source, recipe=run.recipe, data_dir=run.data_dir, pieces=pieces)


# --- vocabulary and layers ----------------------------------------------------------------------


def _vocabulary_settings(run: Run) -> Any:
    return {
        "vocabulary": _dump(run.recipe.vocabulary),
        "languages": run.recipe.languages,
        "teacher": run.teacher.fingerprint,
    }


def _plan_vocabulary(run: Run, folder: Path) -> dict[str, Any]:
    from babelpress.vocabulary.alphabet import alphabet
    from babelpress.vocabulary.count import count_pieces, open_tokenizer
    from babelpress.vocabulary.plan import plan_vocabulary, unigram_vocabulary

    settings = run.recipe.vocabulary
    raw = read_json(run.teacher.folder / "tokenizer.json")
    pieces = len(unigram_vocabulary(raw))
    tokenizer = open_tokenizer(run.teacher.folder / "tokenizer.json")
    rows = count_rows(run.path("corpus"), Split.TRAIN)
    counts = count_pieces(tokenizer, read_texts(run.path("corpus"), Split.TRAIN), ids=pieces, total=rows)
    counts.save(folder / "counts.npz")
    plan = plan_vocabulary(
        raw, counts, method=settings.method, size=settings.size, min_count=settings.min_count,
        language_exponent=settings.language_exponent, byte_fallback=settings.byte_fallback,
        characters=alphabet(run.recipe.languages, tokenizer.normalizer) if settings.alphabet else None,
    )  # fmt: skip
    plan.save(folder / "plan.json")
    return {"rows": plan.rows, "kept": len(plan.kept), "new": len(plan.new_pieces), "unseen": plan.unseen}


def _layers_settings(run: Run) -> Any:
    return {"layers": _dump(run.recipe.layers), "teacher": run.teacher.fingerprint}


def _plan_layers(run: Run, folder: Path) -> dict[str, Any]:
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


# --- student and distillation -------------------------------------------------------------------


def _pressed_settings(run: Run) -> Any:
    return {"student": _dump(run.recipe.student), "seed": run.recipe.seed, "teacher": _teacher_key(run)}


def _press(run: Run, folder: Path) -> dict[str, Any]:
    from babelpress.evaluation.evaluate import model_facts
    from babelpress.student.build import press_student

    layers, vocabulary = read_plans(run)
    press_student(
        run.teacher,
        folder,
        layers=layers,
        vocabulary=vocabulary,
        pooler=run.recipe.student.pooler,
        seed=run.recipe.seed,
    )
    return model_facts(folder)


def read_plans(run: Run) -> tuple[LayerPlan, VocabularyPlan]:
    """Return the plans that the run's stages wrote."""
    return LayerPlan.load(run.path("layers") / "plan.json"), VocabularyPlan.load(run.path("vocabulary") / "plan.json")


def _targets_settings(run: Run) -> Any:
    settings = run.recipe.distillation
    return {
        "teacher": run.teacher.fingerprint,
        "max_length": settings.max_length,
        "prompts": settings.prompts,
        "batch_size": settings.target_batch_size,
    }


def _compute_targets(run: Run, folder: Path) -> dict[str, Any]:
    from babelpress.distillation.targets import compute_targets

    settings = run.recipe.distillation
    rows = compute_targets(
        run.teacher, run.path("corpus"), folder, max_length=settings.max_length, prompts=settings.prompts,
        batch_size=settings.target_batch_size,
    )  # fmt: skip
    return {"rows": rows}


def _distillation_settings(run: Run) -> Any:
    return {"distillation": _dump(run.recipe.distillation), "seed": run.recipe.seed}


def _distill(run: Run, folder: Path) -> dict[str, Any]:
    from babelpress.files import remove_tree

    path = folder / "report.json"
    if not path.is_file():  # else a run was killed behind the training, its checkpoints perhaps gone already
        write_json(path, asdict(_train(run, folder)))
    for rest in (folder / "tokens", *folder.glob("checkpoint*")):
        remove_tree(rest)
    report = read_json(path)
    return {key: report[key] for key in ("epochs", "steps", "best_epoch", "best_loss")}


def _train(run: Run, folder: Path) -> TrainingReport:
    from babelpress.distillation.targets import open_targets
    from babelpress.distillation.tokens import build_token_store
    from babelpress.distillation.train import TrainingText, train_student

    settings = run.recipe.distillation
    store = folder / "tokens"
    store.mkdir(exist_ok=True)
    texts = {}
    for split in (Split.TRAIN, Split.VALIDATION):
        targets = open_targets(run.path("targets"), split)
        tokens = build_token_store(
            run.path("pressed"), run.path("corpus"), store, split=split, ends=targets.ends, prompts=settings.prompts,
            max_length=run.teacher.max_length,
        )  # fmt: skip
        texts[split] = TrainingText(tokens, targets)
    return train_student(
        run.path("pressed"), folder, train=texts[Split.TRAIN], validation=texts[Split.VALIDATION], settings=settings,
        seed=run.recipe.seed,
    )  # fmt: skip


def _student_settings(run: Run) -> Any:
    recipe = run.recipe
    return {
        "recipe": recipe.name,
        "languages": recipe.languages,
        "teacher": {
            "name": run.teacher.name,
            "revision": run.teacher.revision,
            "fingerprint": run.teacher.fingerprint,
        },
        "distillation": _dump(recipe.distillation),
        "seed": recipe.seed,
    }


def _finish_student(run: Run, folder: Path) -> dict[str, Any]:
    from babelpress.evaluation.evaluate import model_facts
    from babelpress.student.build import replace_weights

    shutil.copytree(
        run.path("pressed"),
        folder,
        dirs_exist_ok=True,
        ignore=shutil.ignore_patterns("manifest.json", "model.safetensors"),
    )
    replace_weights(run.path("pressed"), run.path("distillation") / "best.safetensors", folder / "model.safetensors")
    layers, vocabulary = read_plans(run)
    return {**model_facts(folder), "layers_kept": list(layers.kept), "vocabulary": vocabulary.digest()}


# --- evaluation and report ----------------------------------------------------------------------


def _evaluation_settings(run: Run) -> Any:
    return {
        "evaluation": _dump(run.recipe.evaluation),
        "languages": run.recipe.languages,
        "teacher": _teacher_key(run),
        "data": _local_task_data(run),
    }


def _local_task_data(run: Run) -> dict[str, Any]:
    """Return the size of every file of local task data: other data, other scores."""
    if run.data_dir is None:
        return {}
    folders = [run.data_dir / name for name in run.recipe.evaluation.tasks]
    return {
        folder.name: sorted((file.name, file.stat().st_size) for file in folder.rglob("*") if file.is_file())
        for folder in folders
        if folder.is_dir()
    }


def _evaluate(run: Run, folder: Path) -> dict[str, Any]:
    from babelpress.evaluation.evaluate import Candidate, evaluate_models

    recipe = run.recipe
    held_out = first_texts(run.path("corpus"), Split.TEST, recipe.corpus.held_out_limit)
    found = evaluate_models(
        {
            "teacher": Candidate(run.teacher.folder, f"babelpress/{recipe.name}-teacher"),
            "pressed": Candidate(run.path("pressed"), f"babelpress/{recipe.name}-pressed"),
            "distilled": Candidate(run.path("student"), f"babelpress/{recipe.name}"),
        },
        settings=recipe.evaluation,
        held_out=held_out,
        languages=recipe.languages,
        data_dir=run.data_dir,
        cache=folder / "mteb",
        trust_remote_code=run.teacher.trust_remote_code,
    )
    write_json(folder / "models.json", {name: result.model_dump(mode="json") for name, result in found.items()})
    return {"held_out_sentences": len(held_out), "machine": describe_machine()}


def _report_settings(run: Run) -> Any:
    return {
        "visualization": _dump(run.recipe.visualization),
        "seed": run.recipe.seed,
        "languages": run.recipe.languages,
        "teacher": _teacher_key(run),
    }


def _draw(run: Run, folder: Path) -> dict[str, Any]:
    from babelpress.report.picture import draw_run

    folders = {
        "teacher": run.teacher.folder,
        "pressed": run.path("pressed"),
        "distilled": run.path("student"),
    }
    return draw_run(run.recipe, folders, folder, data_dir=run.data_dir, trust_remote_code=run.teacher.trust_remote_code)


STAGES: dict[str, Stage[Run]] = {
    stage.name: stage
    for stage in (
        Stage("corpus", (), _corpus_settings, _build_corpus),
        Stage("vocabulary", ("corpus",), _vocabulary_settings, _plan_vocabulary),
        Stage("layers", ("corpus",), _layers_settings, _plan_layers),
        Stage("pressed", ("vocabulary", "layers"), _pressed_settings, _press),
        Stage("targets", ("corpus",), _targets_settings, _compute_targets, resumable=True),
        Stage("distillation", ("pressed", "targets", "corpus"), _distillation_settings, _distill, resumable=True),
        Stage("student", ("pressed", "distillation"), _student_settings, _finish_student),
        Stage("evaluation", ("pressed", "student", "corpus"), _evaluation_settings, _evaluate, resumable=True),
        Stage("report", ("pressed", "student"), _report_settings, _draw),
    )
}


def open_run(
    recipe: Recipe, *, output: Path | None = None, data_dir: Path | None = None, teacher: str | None = None
) -> Run:
    """Read the teacher and check what can be checked before any work. Raises BabelpressError.

    `teacher` is a local copy that stands in for the recipe's; it keeps the recipe's name.
    """
    from babelpress.evaluation.tasks import check_tasks

    if data_dir is not None and not data_dir.is_dir():
        raise BabelpressError(f"--data-dir {data_dir} is not a folder")
    section = recipe.teacher
    facts = read_teacher(
        teacher or section.model,
        revision=None if teacher else section.revision,
        name=section.model if teacher else None,
        prompts=section.prompts, trust_remote_code=section.trust_remote_code,
    )  # fmt: skip
    plan_early(recipe, facts)
    check_tasks(recipe.evaluation.tasks)
    return Run(recipe, output or Path("runs") / recipe.name, facts, data_dir)


def plan_early(recipe: Recipe, teacher: Teacher) -> None:
    """Refuse what this teacher cannot give before an hour is spent. Raises PlanError or TeacherError."""
    from babelpress.distillation.targets import check_length
    from babelpress.vocabulary.plan import unigram_vocabulary

    if recipe.layers.method is not LayerMethod.IMPORTANCE:
        plan_layers(recipe.layers, layers=teacher.layers)
    unigram_vocabulary(read_json(teacher.folder / "tokenizer.json"))
    check_length(teacher, recipe.distillation.max_length)


def bring_up(run: Run, until: Iterable[str]) -> list[str]:
    """Run the stages that lead to the wanted ones, in order; return the names of those that did work."""
    wanted = set(until)
    for name in reversed(STAGES):
        if name in wanted:
            wanted |= set(STAGES[name].needs)
    run.folder.mkdir(parents=True, exist_ok=True)
    with _alone(run.folder):
        _keep_recipe(run)
        return [name for name, stage in STAGES.items() if name in wanted and run_stage(stage, run, run.folder)]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the run's folder; the lock goes with the process, also when it is killed."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BabelpressError(
            f"another babelpress is at work in {folder}; wait for it or give another --output"
        ) from None
    try:
        yield
    finally:
        lock.release()


def _keep_recipe(run: Run) -> None:
    text = yaml.safe_dump(_dump(run.recipe), sort_keys=False, allow_unicode=True)
    write_text(run.folder / "recipe.yaml", text)


def _teacher_key(run: Run) -> Any:
    return {"name": run.teacher.name, "fingerprint": run.teacher.fingerprint, "prompts": run.teacher.prompts}


def _dump(section: Any) -> Any:
    return section.model_dump(mode="json")
