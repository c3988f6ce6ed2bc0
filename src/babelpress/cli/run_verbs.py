"""The verbs of a run: all take the same arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelpress.cli.app import app
from babelpress.cli.shared import (
    AGAIN,
    BELOW_FLOOR,
    AsJson,
    DataDir,
    Output,
    Overrides,
    Quiet,
    RecipeArgument,
    TeacherPath,
    Verbose,
    fail,
    interruptible,
    out,
    print_json,
    set_up,
)
from babelpress.utils import processes
from babelpress.verbs import RUN_VERBS


@dataclass(frozen=True)
class _Verb:
    """A verb of the command line: what it says of itself, how its result is shown, whether it exports the student."""

    help: str
    example: str
    show: Callable[[Any, Path], None]
    facts: Callable[[Any], Any]
    exports: bool = False


def _register(name: str, verb: _Verb) -> None:
    """Add a command; all verbs take the same arguments."""

    def command(
        recipe: RecipeArgument,
        output: Output = None,
        overrides: Overrides = None,
        data_dir: DataDir = None,
        teacher: TeacherPath = None,
        as_json: AsJson = False,
        quiet: Quiet = False,
        verbose: Verbose = 0,
    ) -> None:
        quiet = quiet or not processes.is_main()
        set_up(quiet=quiet or as_json, verbose=verbose)
        with interruptible(AGAIN):
            from babelpress import api

            run = api.load_run(recipe, output=output, overrides=overrides or (), data_dir=data_dir, teacher=teacher)
            result = getattr(api, name)(run)
            if as_json and processes.is_main():
                print_json(verb.facts(result))
            elif not quiet:
                verb.show(result, run.folder)
        if verb.exports:
            _refuse_missed(run.folder)

    app.command(name, help=verb.help, epilog=f"Example: [bold]{verb.example}[/bold]")(command)


def _refuse_missed(folder: Path) -> None:
    """End with one line and a status of its own where the run has exports that are too far from the student."""
    from babelpress.schema.exports import FloorError
    from babelpress.schema.results import Results
    from babelpress.utils.files import read_json

    missed = Results.model_validate(read_json(folder / "results.json")).missed_exports
    if missed and processes.is_main():
        fail(str(FloorError(missed)), code=BELOW_FLOOR)


def _show_results(results: Any, folder: Path) -> None:
    from babelpress.cli.tables import results_view

    out.print(results_view(results, folder))


def _show_plan(plan: Any, _: Path) -> None:
    import torch

    from babelpress.cli.tables import plan_view
    from babelpress.distillation.precision import DTYPES, training_precision
    from babelpress.recipe import Precision
    from babelpress.utils.machine import matrix_peak

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = training_precision(Precision.AUTO, device, width=plan.teacher.hidden)
    peak = matrix_peak(device, DTYPES[precision], width=plan.teacher.hidden, inner=plan.teacher.feed_forward)
    out.print(plan_view(plan, gflops=peak / 1e9, precision=str(precision)))


def _show_model(folder: Path, _: Path) -> None:
    facts = _model(folder)
    out.print(
        f"{folder}: {facts['layers']} layers, {facts['vocab_size']:,} rows, {facts['parameters']:,} parameters "
        f"({facts['parameters_without_pooler']:,} without pooler), {facts['weight_bytes'] / 2**20:.1f} MiB",
        highlight=False,
        markup=False,
    )


def _model(folder: Path) -> dict[str, Any]:
    from babelpress.evaluation.model_folders import model_facts

    return {"folder": str(folder), **model_facts(folder)}


def _show_path(path: Path, _: Path) -> None:
    out.print(str(path), highlight=False, markup=False, soft_wrap=True)


def _results(results: Any) -> Any:
    return results.model_dump(mode="json")


_VERBS = {
    "run": _Verb(
        "Do the whole job: press, distil, evaluate, draw, write card and report.html. Ends with status 3 where an "
        "export is too far from the student; all else is done then.",
        "babelpress run demo --set distillation.epochs=1",
        _show_results,
        _results,
        exports=True,
    ),
    "plan": _Verb(
        "Show sizes, parameters, kept vocabulary per language and cost, before anything is trained.",
        "babelpress plan me5s_v3 --teacher ./multilingual-e5-small --data-dir ./data",
        _show_plan,
        lambda plan: plan.facts(),
    ),
    "press": _Verb(
        "Press without training: prune layers and vocabulary.",
        "babelpress press my_recipe.yaml --output runs/try",
        _show_model,
        _model,
    ),
    "distill": _Verb(
        "Press and distil; goes on where a killed run was.",
        "babelpress distill demo --set distillation.learning_rate=1e-4",
        _show_model,
        _model,
    ),
    "evaluate": _Verb(
        "Score teacher, pruned and distilled student in one run (training first what is not trained yet).",
        "babelpress evaluate demo --set 'evaluation.tasks=[STSBenchmark]' --data-dir ./data",
        _show_results,
        _results,
    ),
    "visualize": _Verb(
        "Draw parallel sentences as every model sees them (UMAP; PNG, SVG, and a page to explore).",
        "babelpress visualize demo --set visualization.sentences=20",
        _show_path,
        lambda path: {"picture": str(path), "interactive": str(path.with_suffix(".html"))},
    ),
    "card": _Verb(
        "Write the student's model card from what was measured (measuring first what was not).",
        "babelpress card demo",
        _show_path,
        lambda path: {"card": str(path)},
        exports=True,
    ),
    "report": _Verb(
        "Write report.html, one page of the whole run (measuring first what was not).",
        "babelpress report demo",
        _show_path,
        lambda path: {"page": str(path)},
        exports=True,
    ),
}
for _name in RUN_VERBS:
    _register(_name, _VERBS[_name])
