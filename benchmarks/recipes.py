"""Compare recipes: one teacher, one corpus, one size of student, one number of sentence visits.

    python -m benchmarks.recipes RECIPES.yaml --recipe me5s_cpu --teacher DIR --data-dir DIR \
        --parallel ud_pud.jsonl.gz [--visits 200000] [--seeds 20 21 22] [--only NAME ...] [--work runs/recipes]

RECIPES.yaml maps a name to a list of overrides of the recipe, as `--set` takes them (`benchmarks/recipes.yaml` holds
those of docs/results.md). `sentence-transformers` is what its users would do: EmbedDistillLoss in its trainer, on the
same pruned student, targets and visits. Everything is resumable: targets and the stages before the training are
shared, a finished training and finished measures are kept in --work.

Nothing here is a test set: fidelity, drop-in recall and long text are of the corpus' own held-out sentences, STS of the
*dev* splits of STSBenchmarkMultilingualSTS, classification of the *validation* split of AmazonCounterfactual and of
Banking77's *train* split, half of it to learn from and half to be scored on; bitext is of a file of parallel text that
the recipe does not train on. Mean ± half the range over the seeds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"TQDM_DISABLE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1"}
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import yaml

from babelpress import api
from babelpress.architectures.encoders import encode_texts, load_encoder
from babelpress.corpus.sentence import Split
from babelpress.evaluation.fidelity.intrinsic import bitext_hits
from babelpress.evaluation.fidelity.measures import measure_models
from babelpress.evaluation.tasks.mteb_tasks import open_task, quiet
from babelpress.stages.pipeline import bring_up
from babelpress.stages.run import Run, texts_by_language
from babelpress.stages.targets import targets_folder, targets_spec
from babelpress.utils.files import read_json, remove_tree, write_json
from babelpress.utils.machine import describe_machine

SHARED = ("corpus", "vocabulary", "layers")  # stages that no recipe here changes; linked, not copied
PEER = "sentence-transformers"
UNTRAINED = "not trained"
PARALLEL = 300  # meanings
LONG = (128, 256, 512)  # tokens
COLUMNS = (
    "cosine", "cosine_p5", "student_queries", "teacher_queries", "sts_en", "sts_others", "sts_worst",
    "banking77", "counterfactual", "bitext", "bitext_worst", "long", "long_worst",
)  # fmt: skip


def main() -> None:
    """Train, measure, print."""
    given = _arguments()
    recipes = yaml.safe_load(given.recipes.read_text(encoding="utf-8"))
    names = [UNTRAINED, *recipes, PEER]
    chosen = [name for name in names if given.only is None or name in given.only]
    found: dict[str, list[dict[str, float]]] = {}
    teacher: dict[str, float] | None = None
    for name in chosen:
        for seed in given.seeds if name != UNTRAINED else given.seeds[:1]:
            run = _open(given, name, recipes.get(name) or [], seed)
            folder = _train(run, given, name)
            teacher = teacher or _measured(run, run.teacher.folder, given, run.folder.parent / "teacher.json")
            figures = _measured(run, folder, given, run.folder / f"measures-{name}.json".replace(" ", "-"))
            found.setdefault(name, []).append(figures)
            print(json.dumps({"recipe": name, "seed": seed, **figures}), flush=True)
    print(f"\n{given.visits:,} visits, {describe_machine()}\n")
    print(_table(teacher or {}, found))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", type=Path)
    parser.add_argument("--recipe", default="me5s_cpu")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--parallel", type=Path, required=True)
    parser.add_argument("--visits", type=int, default=200_000)
    parser.add_argument("--sentences", type=int, help="distinct ones; visits / sentences epochs (default: one)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[20])
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--work", type=Path, default=Path("runs/recipes"))
    return parser.parse_args()


def _open(given: argparse.Namespace, name: str, overrides: list[str], seed: int) -> Run:
    """Open a recipe's run, with the stages linked that all share."""
    sentences = given.sentences or given.visits
    budget = [f"distillation.sentences={sentences}", f"distillation.epochs={max(1, given.visits // sentences)}"]
    folder = given.work / f"{given.visits}-{seed}" / name.replace(" ", "-")
    base = given.work / "base"

    def load(place: Path, changes: list[str]) -> Run:
        return api.load_run(
            given.recipe, output=place, overrides=changes, data_dir=given.data_dir, teacher=given.teacher
        )

    bring_up(load(base, []), SHARED)
    for stage in SHARED:
        if not (folder / stage).exists():
            _link(base / stage, folder / stage)
    run = load(folder, [*budget, *overrides, f"distillation.seed={seed}"])
    return Run(run.recipe, run.folder, run.teacher, run.data_dir, given.work / "cache")


def _link(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for path in source.rglob("*"):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir()
        else:
            os.link(path, place)


def _train(run: Run, given: argparse.Namespace, name: str) -> Path:
    """Return the folder of the student, trained as its recipe says."""
    if name == UNTRAINED:
        bring_up(run, ["pruned"])
        return run.path("pruned")
    if name == PEER:
        bring_up(run, ["pruned", "targets"])
        return _train_peer(run)
    bring_up(run, ["student"])
    return run.path("student")


def _train_peer(run: Run) -> Path:
    """Train as sentence-transformers' documentation has it: EmbedDistillLoss on precomputed embeddings."""
    folder = run.folder / "peer"
    if (folder / "model.safetensors").is_file():
        return folder
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss

    from babelpress.distillation.targets import open_targets
    from babelpress.distillation.texts import read_shards

    settings = run.recipe.distillation
    spec = targets_spec(run)
    targets = open_targets(spec, targets_folder(run, spec), Split.TRAIN)
    count = settings.sentences or targets.rows
    texts: list[str] = []
    for shard in read_shards(run.path("corpus"), Split.TRAIN, spec.rules):
        texts += [text[:end] for text, end in zip(shard.texts, targets.ends(shard.number).tolist(), strict=True)]
        if len(texts) >= count:
            break
    labels = targets.gather(np.arange(count)).float().numpy()
    data = Dataset.from_dict({"sentence": texts[:count], "label": list(labels)})
    student = load_encoder(run.path("pruned"))
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(run.folder / "peer.work"), per_device_train_batch_size=64, num_train_epochs=settings.epochs,
        learning_rate=1e-4, warmup_steps=0.1, report_to="none", save_strategy="no", use_cpu=True, disable_tqdm=True,
        seed=run.recipe.seed,
    )  # fmt: skip
    SentenceTransformerTrainer(
        model=student, args=arguments, train_dataset=data, loss=EmbedDistillLoss(student)
    ).train()
    partial = run.folder / "peer.partial"
    remove_tree(partial)
    student.save_pretrained(str(partial), create_model_card=False)
    # transformers 5 rebuilds an XLM-R tokenizer without byte fallback; the peer keeps what it was given.
    for path in run.path("pruned").glob("*.json"):
        (partial / path.name).write_bytes(path.read_bytes())
    partial.rename(folder)
    return folder


def _measured(run: Run, folder: Path, given: argparse.Namespace, path: Path) -> dict[str, float]:
    """Return a model's figures, kept ones where they are."""
    if not path.is_file():
        write_json(path, _measure(run, folder, given))
    figures: dict[str, float] = read_json(path)
    return figures


def _measure(run: Run, folder: Path, given: argparse.Namespace) -> dict[str, float]:
    model = load_encoder(folder)
    teacher = load_encoder(run.teacher.folder)
    held_out = texts_by_language(run.path("corpus"), Split.TEST)
    near = measure_models({"teacher": teacher, "model": model}, held_out, sample=1600, perturbed=64)["model"]
    long = {each.tokens: each.cosine for each in near.by_length if each.tokens in LONG}
    sts = _dev_scores(model, given.data_dir)
    hits = _bitext(lambda texts: encode_texts(model, texts, batch_size=64), given.parallel)
    return {
        "cosine": near.overall.cosine,
        "cosine_p5": near.overall.cosine_p5,
        "cosine_worst": min(each.cosine for each in near.by_language.values()),
        "student_queries": near.overall.student_queries or 0.0,
        "teacher_queries": near.overall.teacher_queries or 0.0,
        **sts,
        "bitext": 100 * float(np.mean(list(hits.values()))),
        "bitext_worst": 100 * min(hits.values()),
        "long": float(np.mean(list(long.values()))),
        "long_worst": min(long.values()),
    }


def _dev_scores(model: Any, data_dir: Path) -> dict[str, float]:
    """Return scores by mteb, on splits that are no test sets."""
    import mteb
    from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper

    model.prompts = {}
    with quiet():
        encoder = SentenceTransformerEncoderWrapper(model)

    def scores(name: str, split: str, prepare: Callable[[Any], None] = lambda task: None) -> dict[str, float]:
        task = open_task(name, languages=None, data_dir=data_dir)
        task.metadata = task.metadata.model_copy(update={"eval_splits": [split]}, deep=True)
        task._eval_splits = [split]
        with quiet():
            prepare(task)
            result = mteb.evaluate(encoder, [task], cache=None, show_progress_bar=False)
        return {entry["hf_subset"]: 100 * entry["main_score"] for entry in result.task_results[0].scores[split]}

    def halve(task: Any) -> None:
        task.load_data()
        every = task.dataset["train"].shuffle(seed=0)
        task.dataset["train"], task.dataset["test"] = (every.shard(2, part) for part in (0, 1))

    sts = scores("STSBenchmarkMultilingualSTS", "dev")
    others = [value for code, value in sts.items() if code not in ("en", "nl")]  # nl is no language of the recipe
    return {
        "sts_en": sts["en"],
        "sts_others": float(np.mean(others)),
        "sts_worst": min(others),
        "banking77": scores("Banking77Classification", "test", halve)["default"],
        "counterfactual": float(np.mean(list(scores("AmazonCounterfactualClassification", "validation").values()))),
    }


def _bitext(encode: Callable[[list[str]], Any], path: Path) -> dict[str, float]:
    """Return, for every language, how often a sentence finds its English translation and the reverse."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][:PARALLEL]
    codes = [code for code in rows[0] if all(row.get(code) for row in rows)]
    vectors = {code: encode([row[code] for row in rows]) for code in codes}
    return {
        code: float(next(iter(bitext_hits({code: vectors[code], "en": vectors["en"]}).values())).mean())
        for code in codes if code != "en"
    }  # fmt: skip


def _table(teacher: dict[str, float], found: dict[str, list[dict[str, float]]]) -> str:
    """Return a table in Markdown, a column a figure."""
    lines = ["| | " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * len(COLUMNS)]
    for name, every in {"teacher": [teacher], **found}.items():
        cells = []
        for column in COLUMNS:
            values = [figures[column] for figures in every]
            digits = 3 if abs(values[0]) <= 1.0 else 1
            spread = (max(values) - min(values)) / 2
            cells.append(f"{np.mean(values):.{digits}f}" + (f" ± {spread:.{digits}f}" if len(values) > 1 else ""))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
