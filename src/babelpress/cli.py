"""The command line: one thin function per verb."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.text import Text

from babelpress import processes, progress
from babelpress.errors import BabelpressError
from babelpress.recipe import Recipe
from babelpress.recipe_text import read_recipe_text, shipped_recipes

app = typer.Typer(
    name="babelpress",
    help="Press a large multilingual sentence encoder into a small one, and prove what was kept.\n\n"
    "Start with: babelpress run demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
recipes_app = typer.Typer(help="List, show and copy recipes.", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes")

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name or a path to a .yaml file.")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="The run's folder, runs/RECIPE unless given."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a recipe value, e.g. distillation.epochs=1."),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Local copies of hub data sets and of mteb task data."),
]
TeacherPath = Annotated[
    str | None, typer.Option("--teacher", metavar="DIR", help="A local copy of the recipe's teacher.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors (and the JSON, if asked for).")]
Verbose = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="Say more; -vv: what the libraries say, too.")
]

_out = Console()
_err = Console(stderr=True)


@dataclass(frozen=True)
class _Verb:
    """A verb of the command line: what it says of itself and how its result is shown."""

    help: str
    example: str
    show: Callable[[Any, Path], None]
    facts: Callable[[Any], Any]


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
        _set_up(quiet=quiet or as_json, verbose=verbose)
        try:
            from babelpress import api

            run = api.load_run(recipe, output=output, overrides=overrides or (), data_dir=data_dir, teacher=teacher)
            result = getattr(api, name)(run)
            if as_json and processes.is_main():
                _print_json(verb.facts(result))
            elif not quiet:
                verb.show(result, run.folder)
        except KeyboardInterrupt:  # typer would end without a word
            _fail("stopped; run the same command again to go on from here", code=130)

    app.command(name, help=verb.help, epilog=f"Example: [bold]{verb.example}[/bold]")(command)


def _show_results(results: Any, folder: Path) -> None:
    from babelpress.tables import results_view

    _out.print(results_view(results, folder))


def _show_plan(plan: Any, _: Path) -> None:
    import torch

    from babelpress.distillation.precision import DTYPES, training_precision
    from babelpress.machine import matrix_peak
    from babelpress.recipe import Precision
    from babelpress.tables import plan_view

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    precision = training_precision(Precision.AUTO, device, width=plan.teacher.hidden)
    peak = matrix_peak(device, DTYPES[precision], width=plan.teacher.hidden, inner=plan.teacher.feed_forward)
    _out.print(plan_view(plan, gflops=peak / 1e9, precision=str(precision)))


def _show_model(folder: Path, _: Path) -> None:
    facts = _model(folder)
    _out.print(
        f"{folder}: {facts['layers']} layers, {facts['tokens']:,} rows, {facts['parameters']:,} parameters "
        f"({facts['parameters_without_pooler']:,} without pooler), {facts['weight_bytes'] / 2**20:.1f} MiB",
        highlight=False,
        markup=False,
    )


def _model(folder: Path) -> dict[str, Any]:
    from babelpress.evaluation.evaluate import model_facts

    return {"folder": str(folder), **model_facts(folder)}


def _show_path(path: Path, _: Path) -> None:
    _out.print(str(path), highlight=False, markup=False, soft_wrap=True)


def _results(results: Any) -> Any:
    return results.model_dump(mode="json")


_VERBS = {
    "run": _Verb(
        "Do the whole job: press, distil, evaluate, draw, write the card.",
        "babelpress run demo --set distillation.epochs=1",
        _show_results,
        _results,
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
        "Score teacher, pressed and distilled student in one run (training first what is not trained yet).",
        "babelpress evaluate demo --set 'evaluation.tasks=[STSBenchmark]' --data-dir ./data",
        _show_results,
        _results,
    ),
    "visualize": _Verb(
        "Draw parallel sentences as every model sees them (UMAP; PNG and SVG).",
        "babelpress visualize demo --set visualization.sentences=20",
        _show_path,
        lambda path: {"picture": str(path)},
    ),
    "card": _Verb(
        "Write the student's model card from what was measured (measuring first what was not).",
        "babelpress card demo",
        _show_path,
        lambda path: {"card": str(path)},
    ),
}
for _name, _verb in _VERBS.items():
    _register(_name, _verb)


@app.command("check", epilog="Example: [bold]babelpress check runs/demo/student --teacher embedded[/bold]")
def check_folder(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A student: any SentenceTransformer folder.")],
    teacher: Annotated[
        str | None, typer.Option("--teacher", metavar="T", help="Its teacher, a folder or a hub id, to compare with.")
    ] = None,
    text: Annotated[
        list[Path] | None, typer.Option("--text", metavar="FILE", help="Try this text, too: one a line, plain or .gz.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Try every Unicode character: minutes, not seconds.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Prove that a student's tokenizer is its teacher's, only smaller; exit code 1 when it is not."""
    _set_up(quiet=quiet or as_json, verbose=verbose)
    try:
        from babelpress import api

        report = api.check(folder, teacher=teacher, texts=text or (), full=full)
    except KeyboardInterrupt:
        _fail("stopped", code=130)
    if as_json:
        _print_json(report.facts())
    elif not quiet:
        from babelpress.checks.table import report_view

        _out.print(report_view(report))
    if not report.passed:
        raise typer.Exit(1)


@app.command("compare", epilog="Example: [bold]babelpress compare published:multilingual-e5-small runs/me5s_v3[/bold]")
def compare_models(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL...", help="Model folders, runs (RUN or RUN:teacher) and published:NAME."),
    ],
    suite: Annotated[
        str | None, typer.Option("--suite", metavar="NAME", help="Compare on a suite (babelpress suites).")
    ] = None,
    tasks: Annotated[str | None, typer.Option("--tasks", metavar="A,B", help="Compare on these mteb tasks.")] = None,
    languages: Annotated[
        str | None, typer.Option("--languages", metavar="A,B", help="Score model folders on these languages alone.")
    ] = None,
    data_dir: DataDir = None,
    cache: Annotated[
        Path, typer.Option("--cache", metavar="DIR", help="Where finished tasks of model folders are kept.")
    ] = Path("cache/mteb"),
    against: Annotated[
        str | None, typer.Option("--against", metavar="MODEL", help="The measure, the first model unless given.")
    ] = None,
    subsets: Annotated[
        str, typer.Option("--subsets", metavar="WHICH", help="common: what all have; all: as a card counts.")
    ] = "common",
    form: Annotated[str | None, typer.Option("--format", metavar="FORM", help="table, markdown, csv or json.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it there: .md, .csv or .json.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the groups' scores: .png or .svg.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Compare models per group, task and language, on what all of them were scored on."""
    from babelpress.report.comparison import Form, comparison_view, write_comparison

    _set_up(quiet=quiet or as_json, verbose=verbose)
    try:
        from babelpress import api

        shown, kept = Form.choose(form, output=output, plot=plot)
        shown = Form.JSON if as_json else shown
        found = api.compare(
            models, suite=suite, tasks=_words(tasks), languages=_words(languages), data_dir=data_dir, cache=cache,
            against=against, subsets=subsets,
        )  # fmt: skip
        write_comparison(found, kept, output=output, plot=plot)
    except KeyboardInterrupt:
        _fail("stopped; run the same command again to go on from here", code=130)
    if shown is Form.TABLE and not quiet:
        _out.print(comparison_view(found))
    elif shown is not Form.TABLE:
        sys.stdout.write(shown.text(found))


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


@app.command("suites", epilog="Example: [bold]babelpress suites --json[/bold]")
def suites_list(as_json: AsJson = False) -> None:
    """List the suites: named lists of mteb tasks for recipes and for compare."""
    from babelpress.evaluation.suites import shipped_suites

    found = shipped_suites()
    if as_json:
        _print_json({name: suite.facts() for name, suite in found.items()})
        return
    from babelpress.report.comparison import suites_view

    _out.print(suites_view(found))


@recipes_app.command("list", epilog="Example: [bold]babelpress recipes list[/bold]")
def recipes_list(as_json: AsJson = False) -> None:
    """List the shipped recipes."""
    found = shipped_recipes()
    if as_json:
        _print_json(found)
        return
    for name, description in found.items():
        _out.print(Text.assemble((name, "bold"), f"  {description}"))


@recipes_app.command("show", epilog="Example: [bold]babelpress recipes show me5s_v3[/bold]")
def recipes_show(recipe: RecipeArgument, as_json: AsJson = False) -> None:
    """Print a recipe as it stands in its file; with --json, with every default filled in."""
    loaded = Recipe.load(recipe)
    if as_json:
        _print_json(loaded.model_dump(mode="json"))
    else:
        sys.stdout.write(read_recipe_text(recipe))


@recipes_app.command("init", epilog="Example: [bold]babelpress recipes init my_recipe.yaml --from demo[/bold]")
def recipes_init(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where the new recipe goes; nothing is overwritten.")],
    origin: Annotated[str, typer.Option("--from", metavar="RECIPE", help="The shipped recipe to start from.")] = "demo",
) -> None:
    """Copy a shipped recipe to start your own from."""
    import re

    from babelpress.files import write_text

    if path.exists():
        raise BabelpressError(f"{path} is there already; give another name")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.stem) or "recipe"
    text = re.sub(r"(?m)^name: .*$", f"name: {name}", read_recipe_text(origin), count=1)
    Recipe.parse(text, origin=str(path))
    write_text(path, text)
    _out.print(f"{path}  (edit it, then: babelpress plan {path})", highlight=False, markup=False)


def main() -> None:
    """Run the command line; errors of ours are one line."""
    try:
        app()
    except BabelpressError as error:
        _fail(str(error))
    except OSError as error:
        _fail(_os_error(error))


def _fail(message: str, *, code: int = 1) -> NoReturn:
    _err.print(
        Text.assemble(("babelpress:", "bold red"), f" {' '.join(message.split())}"),
        soft_wrap=True,
    )
    sys.exit(code)


def _os_error(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{where}"


def _set_up(*, quiet: bool, verbose: int) -> None:
    import os

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TQDM_DISABLE", "1")  # the libraries' own bars; ours are drawn by rich
    level = logging.ERROR if quiet else logging.INFO
    handler = RichHandler(console=_err, show_time=False, show_level=False, show_path=False, markup=False)
    logging.basicConfig(
        level=logging.WARNING if verbose > 1 else logging.ERROR, handlers=[handler], format="%(message)s"
    )
    logging.getLogger("babelpress").setLevel(logging.DEBUG if verbose and not quiet else level)
    progress.draw_on(None if quiet else _err)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
