"""Open a run, and bring its stages up to date."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import yaml

from babelpress.errors import BabelpressError
from babelpress.recipe import Recipe
from babelpress.stages import STAGES, stages_of
from babelpress.stages.engine import run_stage, take_over
from babelpress.stages.run import Run, dump
from babelpress.teacher import read_teacher
from babelpress.utils import processes
from babelpress.utils.files import hold, write_text


def open_run(
    recipe: Recipe, *, output: Path | None = None, data_dir: Path | None = None, teacher: str | None = None
) -> Run:
    """Read the teacher and check what can be checked before any work. Raises BabelpressError.

    `teacher` is a local copy that stands in for the recipe's; it keeps the recipe's name. What runs share lies in
    `cache` beside the run's folder, or where BABELPRESS_CACHE says.
    """
    if data_dir is not None and not data_dir.is_dir():
        raise BabelpressError(f"--data-dir {data_dir} is not a folder")
    section = recipe.teacher
    facts = read_teacher(
        teacher or section.model,
        revision=None if teacher else section.revision,
        name=section.model if teacher else None,
        prompts=section.prompts, trust_remote_code=section.trust_remote_code,
    )  # fmt: skip
    folder = output or Path("runs") / recipe.name
    cache = Path(os.environ.get("BABELPRESS_CACHE") or folder.parent / "cache")
    run = Run(recipe, folder, facts, data_dir, cache)
    for name in stages_of(run):
        STAGES[name].check(run)
    return run


def bring_up(run: Run, until: Iterable[str]) -> list[str]:
    """Run the stages that lead to the wanted ones, in order; return the names of those that did work."""
    wanted = set(until)
    for name in reversed(STAGES):
        if name in wanted:
            wanted |= {stage.name for stage in STAGES[name].needs}
    run.folder.mkdir(parents=True, exist_ok=True)
    with _alone(run.folder) if processes.is_main() else nullcontext():
        if processes.is_main():
            _keep_recipe(run)
            for stage in STAGES.values():
                take_over(stage, run.folder)
        processes.wait()
        return [name for name, stage in STAGES.items() if name in wanted and run_stage(stage, run, run.folder)]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the run's folder."""
    with hold(folder / ".lock") as held:
        if not held:
            raise BabelpressError(f"another babelpress is at work in {folder}; wait for it or give another --output")
        yield


def _keep_recipe(run: Run) -> None:
    text = yaml.safe_dump(dump(run.recipe), sort_keys=False, allow_unicode=True)
    write_text(run.folder / "recipe.yaml", text)
