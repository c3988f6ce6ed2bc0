"""The job itself, in a process of its own: teacher, corpus, press, targets, as long a training as fits, scores."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.gpu_job.pack import DATA, TEACHER, WHEELS
from tools.gpu_job.portions import JobError
from tools.gpu_job.unpack import shipment_of

if TYPE_CHECKING:
    from babelpress.stages.run import Run

OVERRIDES = "overrides.json"
UNTIL = ("student", "evaluation", "all")
STEPS = 300  # that the speed is measured in
SHARE = 0.9  # of the time, for steps; the rest is for held-out text, checkpoints and starting again
_BEFORE_TRAINING = ("corpus", "vocabulary", "layers", "pruned")


def work(folder: Path, *, until: str, train_until: float, epochs: int) -> None:
    """Do what is left of the job, up to the student, the evaluation or the end.

    How long the training is gets decided once, when its speed is known: as many epochs as fit before `train_until`
    (seconds since 1970), at most `epochs`. Raises BabelpressError, and Stopped on SIGTERM in the training; what is
    done stays done.
    """
    from babelpress import api
    from babelpress.stages.pipeline import bring_up

    run = open_job(folder)
    bring_up(run, ["pruned", "targets"])
    plan = read_plan(folder)
    if plan is None:
        plan = plan_training(run, folder, seconds=train_until - time.time(), epochs=epochs)
    run = open_job(folder, plan["overrides"])
    api.distill(run)
    if until != "student":
        api.evaluate(run)
    if until == "all":
        api.run(run)


def open_job(folder: Path, overrides: Iterable[str] = (), *, name: str = "run") -> Run:
    """Open the job's recipe at work in `folder`/`name`, having laid out its teacher.

    What was overridden on this machine comes before `overrides`.
    """
    from babelpress import api
    from babelpress.recipe import Recipe
    from babelpress.utils.files import read_json

    given = read_json(folder / OVERRIDES) if (folder / OVERRIDES).is_file() else []
    job = shipment_of(folder).job
    teacher = job["teacher"]
    if teacher == TEACHER:
        teacher = str(folder / TEACHER)
    elif teacher is not None:
        teacher = str(api.fetch(teacher, folder / TEACHER, wheels=folder / WHEELS).folder)
    data = folder / DATA if (folder / DATA).is_dir() else None
    recipe = Recipe.parse(job["recipe"], overrides=(*given, *overrides))
    return api.load_run(recipe, output=folder / name, data_dir=data, teacher=teacher)


def read_plan(folder: Path) -> dict[str, Any] | None:
    """Return how long the training is, None until that is decided."""
    from babelpress.utils.files import read_json

    path = folder / "plan.json"
    return read_json(path) if path.is_file() else None


def plan_training(run: Run, folder: Path, *, seconds: float, epochs: int) -> dict[str, Any]:
    """Measure the speed and write down the epochs that fit in so many seconds; less than one, the sentences."""
    from babelpress.corpus.build import count_rows
    from babelpress.corpus.sentence import Split
    from babelpress.utils.files import write_json

    started = time.monotonic()
    rows = count_rows(run.path("corpus"), Split.TRAIN)
    rate = measure_speed(folder, rows=rows, batch=run.recipe.distillation.batch_size)
    left = seconds - (time.monotonic() - started)
    if left <= 0:
        raise JobError("the budget was over before the training began; give a larger --budget")
    visits = int(SHARE * rate * left)
    chosen = min(epochs, visits // rows)
    overrides = [f"distillation.epochs={max(1, chosen)}"]
    if not chosen:
        overrides.append(f"distillation.sentences={max(run.recipe.distillation.batch_size, visits)}")
    plan = {"sentences_per_second": round(rate, 1), "seconds": round(left), "rows": rows, "overrides": overrides}
    print(f"{rate:,.0f} sentences a second, {left:.0f} s, {rows:,} sentences: {', '.join(overrides)}", flush=True)
    write_json(folder / "plan.json", plan)
    return plan


def measure_speed(folder: Path, *, rows: int, batch: int) -> float:
    """Train some hundred steps in a folder that is thrown away; return sentences a second."""
    from babelpress.stages.pipeline import bring_up
    from babelpress.utils.files import read_json, remove_tree

    place = folder / "trial"
    remove_tree(place)
    place.mkdir()
    for stage in _BEFORE_TRAINING:
        (place / stage).symlink_to((folder / "run" / stage).resolve())
    trained = min(rows, STEPS * batch)
    trial = open_job(
        folder, ["distillation.epochs=1", f"distillation.sentences={trained}", "distillation.trackers=[]"], name="trial"
    )
    bring_up(trial, ["distillation"])
    log = (place / "distillation" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    speeds = [line["sentences_per_second"] for line in map(json.loads, log) if "sentences_per_second" in line]
    seconds = read_json(place / "distillation" / "manifest.json")["seconds"]
    shutil.rmtree(place)
    steady = speeds[len(speeds) // 3 :]  # kernels and caches are warm
    return len(steady) / sum(1.0 / speed for speed in steady) if steady else trained / max(seconds, 0.1)
