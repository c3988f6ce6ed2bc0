"""What the command line shows: tables that fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from babelpress.api import Plan
from babelpress.reports.export_words import missed_words, points_lost
from babelpress.reports.speed_table import speed_rows
from babelpress.schema.exports import Export, Missed
from babelpress.schema.results import TEACHER, ModelResult, Results
from babelpress.utils.machine import where
from babelpress.utils.progress import say_duration
from babelpress.vocabulary.fertility import LanguageFertility


def results_table(results: Results) -> Table:
    """Return the final table: a row per figure, a column per model."""
    table = Table(
        title=f"{results.recipe}: what was kept", title_justify="left", title_style="bold", pad_edge=False,
        show_edge=False,
    )  # fmt: skip
    table.add_column("", overflow="fold")
    for name in results.models:
        table.add_column(name, justify="right", style="bold" if name == "distilled" else None)
    models = list(results.models.values())

    def row(label: str, *cells: str) -> None:
        table.add_row(label, *cells)

    row("layers", *(str(model.layers) for model in models))
    row("embedding rows", *(f"{model.vocab_size:,}" for model in models))
    row("parameters", *(f"{model.parameters:,}" for model in models))
    row("weights on disk, MiB", *(f"{model.weight_bytes / 2**20:.1f}" for model in models))
    row("stored as", *(model.stored_as for model in models))
    row("tokens a sentence", *(f"{model.tokens_per_sentence:.1f}" for model in models))
    for line in speed_rows(models):
        row(*line)
    table.add_section()
    row("cosine to teacher, mean", *(f"{model.fidelity_mean:.3f}" for model in models))
    row("cosine to teacher, 5th pct.", *(f"{model.fidelity_p5:.3f}" for model in models))
    table.add_section()
    for name in models[0].scores:
        row(name, *(_score(model, name) for model in models))
    for name in results.missing:
        row(name, *("missing" for _ in models))
    for averaged in _average_rows(models) if results.models[TEACHER].average else ():
        row(*averaged)
    return table


def exports_table(exports: Sequence[Export], missed: Sequence[Missed] = ()) -> Table:
    """Return a row per export: its size and how near to the student it is; one that was not written has no size."""
    table = Table(
        title="exports, beside the student", title_justify="left", title_style="bold", pad_edge=False, show_edge=False,
        caption=f"not written: {missed_words(missed)}" if missed else None, caption_justify="left", caption_style="",
    )  # fmt: skip
    table.add_column("", overflow="fold")
    for name in ("MiB", "cosine", "5th pct.", "lowest", "points lost"):
        table.add_column(name, justify="right", no_wrap=True)
    rows: tuple[Export | Missed, ...] = (*exports, *missed)
    for one in rows:
        near = one.parity
        lowest = f"{near.lowest_mean:.4f} ({near.lowest_language})"
        size = "–" if isinstance(one, Missed) else f"{one.bytes / 2**20:.1f}"
        table.add_row(one.file, size, f"{near.mean:.4f}", f"{near.p5:.4f}", lowest, points_lost(near))
    return table


def _tells_these(path: Path, results: Path) -> bool:
    """Tell whether an output is there and, card or page, no older than the results that it tells of."""
    if path.suffix not in {".md", ".html"} or not results.exists():
        return path.exists()
    return path.exists() and path.stat().st_mtime_ns >= results.stat().st_mtime_ns


def results_view(results: Results, folder: Path) -> RenderableType:
    """Return the final table, what it was measured on, and where everything is."""
    places = Table.grid(padding=(0, 2))
    places.add_column()
    places.add_column(overflow="fold")
    for label, key in (("student", "student"), ("picture", "picture"), ("card", "card"), ("page", "page")):
        if key in results.paths and _tells_these(folder / results.paths[key], folder / "results.json"):
            places.add_row(label, escape(str(folder / results.paths[key])))
    note = Text(
        f"{results.held_out_sentences:,} held-out sentences; {where(results.machine)}; similarity correlation "
        "is to the teacher itself and not averaged",
        style="dim",
    )
    missing = [
        Text(f"missing, in no average and tried again at the next run: {name}: {why}", style="dim")
        for name, why in results.missing.items()
    ]
    exports: list[RenderableType] = []
    if results.exports or results.missed_exports:
        exports = [Text(), exports_table(results.exports, results.missed_exports)]
    return Group(results_table(results), note, *missing, *exports, Text(), places)


def plan_view(plan: Plan, *, gflops: float, precision: str = "fp32") -> RenderableType:
    """Return a plan: sizes, what each language keeps, the cost at a measured speed of this machine."""
    teacher = plan.teacher
    sizes = Table(title=f"{escape(teacher.name)}: the plan", title_justify="left", title_style="bold", pad_edge=False)
    for name in ("", "teacher", "student"):
        sizes.add_column(name, justify="right" if name else "left")
    sizes.add_row("layers", str(teacher.layers), f"{len(plan.layers)}  ({', '.join(map(str, plan.layers))})")
    sizes.add_row("embedding rows", f"{teacher.rows:,}", f"{plan.rows:,}")
    sizes.add_row("parameters", f"{teacher.parameters:,}", f"{plan.size.parameters:,}")
    sizes.add_row(
        "… without pooler",
        f"{teacher.parameters_without_pooler:,}",
        f"{plan.size.parameters_without_pooler:,}",
    )
    sizes.add_row("fp32 weights, MiB", f"{4 * teacher.parameters / 2**20:.1f}", f"{plan.size.mib:.1f}")
    languages = Table(
        title="languages: training text, and the tokens of held-out text", title_justify="left", title_style="bold",
        pad_edge=False,
    )  # fmt: skip
    for name in ("", "sentences", "kept, %", "teacher", "student", "longer, %", "in bytes, %"):
        languages.add_column(name, justify="right" if name else "left")
    for code, cover in plan.languages.items():
        measured = _fertility_cells(plan.fertility[code]) if code in plan.fertility else []
        languages.add_row(code, f"{cover.sentences:,}", f"{100 * cover.kept:.1f}", *measured)
    cost = Table.grid(padding=(0, 2))
    for stage, flops in plan.flops.items():
        cost.add_row(stage, f"{flops / 1e12:,.1f} TFLOP", f"at least {say_duration(flops / (gflops * 1e9))} here")
    cost.add_row("targets on disk", f"{plan.target_bytes / 2**20:,.1f} MiB", "")
    notes = Text(
        "kept: the share of the training text's tokens whose piece stays; teacher and student: tokens a sentence; "
        f"{_characters_short(plan)}layers: {plan.layers_reason}; {plan.corpus['splits']['train']:,} training "
        f"sentences; {len(plan.alphabet_missing)} characters of the alphabet are not in the teacher's vocabulary; "
        f"times at the {gflops:,.0f} GFLOP/s that {precision} matrix products reach on this machine right now",
        style="dim",
    )
    return Group(sizes, languages, cost, notes)


def _fertility_cells(text: LanguageFertility) -> list[str]:
    longer, in_bytes = f"{100 * text.ratio - 100:.1f}", f"{100 * text.byte_rate:.2f}"
    return [f"{text.teacher:.1f}", f"{text.student:.1f}", longer, in_bytes]


def _characters_short(plan: Plan) -> str:
    short = {code: cover.characters_more for code, cover in plan.languages.items() if cover.characters_more}
    listed = ", ".join(f"{code} {count:,}" for code, count in short.items())
    return f"characters that the byte rate would need beyond the budget, a row each: {listed}; " if short else ""


def _average_rows(models: Sequence[ModelResult]) -> Iterator[tuple[str, ...]]:
    """Yield averages and what is kept of the teacher's, each with its intervals below where there are some."""
    yield "average", *(f"{model.average:.2f}" for model in models)
    if any(model.average_interval for model in models):
        yield "… 95 % interval", *(_between(model.average_interval, 1, 2) for model in models)
    yield "retention, %", *(f"{100 * model.retention:.1f}" for model in models)
    if any(model.retention_interval for model in models):
        yield "… 95 % interval", *(_between(model.retention_interval, 100, 1) for model in models)


def _score(model: ModelResult, name: str) -> str:
    return f"{model.scores[name].score:.2f}" if name in model.scores else "missing"


def _between(interval: tuple[float, float] | None, times: float, digits: int) -> str:
    return "" if interval is None else f"{times * interval[0]:.{digits}f}–{times * interval[1]:.{digits}f}"
