"""How the student was made: what the run took, test data in the training text, the text itself."""

from __future__ import annotations

from babelpress.reports.page.blocks import Cell, Column, Prose, Row, Section, Table, Terms, present
from babelpress.reports.page.facts import PageFacts
from babelpress.reports.page.wording import decimal, duration, language, listed, mib, plural, whole
from babelpress.reports.training import trained_sentences


def tell_cost(facts: PageFacts) -> Section:
    """Return the section of what the run took."""
    longest = max((manifest["seconds"] for manifest in facts.manifests.values()), default=0.0)
    rows = [
        Row(name, (Cell(duration(manifest["seconds"]), share=_part(manifest["seconds"], longest)),))
        for name, manifest in facts.manifests.items()
    ]
    total = sum(manifest["seconds"] for manifest in facts.manifests.values())
    rows.append(Row("all stages", (Cell(duration(total)),), mean=True))
    note = "A stage that was stopped and went on counts from where it last began."
    columns = (Column("stage", number=False), Column("time"))
    table = Table("table-cost", "Time by stage", columns, tuple(rows), tuple(facts.manifests), note)
    terms = Terms(_cost_terms(facts), ("targets", "distillation", "evaluation"))
    return Section("cost", "Cost", present(terms, table, _history(facts)))


def _part(value: float, whole_value: float) -> float | None:
    return value / whole_value if whole_value else None


def _cost_terms(facts: PageFacts) -> tuple[tuple[str, str], ...]:
    training, machine = facts.results.distillation, facts.results.machine
    rows = facts.manifests.get("targets", {}).get("counts", {}).get("rows")
    where = (
        machine["processor"], f"{machine['threads']} threads on {plural(machine['cores'], 'core')}",
        f"{machine['memory_gib']} GiB", machine.get("accelerator") or "no accelerator", machine["system"],
    )  # fmt: skip
    length = f"{plural(training['epochs'], 'epoch')}, {training['steps']:,} steps"
    best = f"those of epoch {training['best_epoch'] + 1}, held-out loss {decimal(training['best_loss'], 4)}"
    return (
        ("Trained on", f"{whole(trained_sentences(facts.recipe, facts.results))} sentences, {length}"),
        ("Weights that were kept", best),
        ("Teacher's embeddings", f"{whole(rows)} sentences, {mib(facts.target_bytes)} on disk"),
        ("Machine", ", ".join(where)),
    )


def _history(facts: PageFacts) -> Table | None:
    history: list[dict[str, float]] = facts.results.distillation.get("history", [])
    if not history:
        return None
    names = list(dict.fromkeys(name for epoch in history for name in epoch))
    columns = (Column("epoch"), *(Column(name.replace("_", " ")) for name in names))
    rows = tuple(
        Row(str(number), tuple(Cell(decimal(epoch.get(name), 4)) for name in names), mean=number == _best(facts))
        for number, epoch in enumerate(history, 1)
    )
    note = "The epoch whose weights were kept is set apart." if len(history) > 1 else ""
    return Table("table-history", "Held-out figures at the end of each epoch", columns, rows, ("distillation",), note)


def _best(facts: PageFacts) -> int:
    return int(facts.results.distillation["best_epoch"]) + 1 if len(facts.results.distillation["history"]) > 1 else 0


def tell_contamination(facts: PageFacts) -> Section:
    """Return the section of test data that were found in the training text."""
    found = facts.results.corpus.get("contamination")
    title = "Test data in the training text"
    if found is None:
        words = (
            "Not looked for: the recipe switches this off (corpus.decontaminate: false). Sentences that the scores are "
            "measured on may have been trained on; the scores do not show what the model makes of new text."
        )
        return Section("contamination", title, (Prose(words, warning=True),))
    rows = tuple(Row(task, (Cell(whole(own["exact"])), Cell(whole(own["near"])))) for task, own in found.items())
    columns = (Column("task", number=False), Column("equal to a test text"), Column("nearly equal"))
    words = (
        "Every sentence was compared with all texts that the tasks are scored on, by letters, marks and digits alone. "
        "Those that are equal or nearly equal were left out; one that stands in several tasks counts for each. Short "
        "texts are compared exactly; translations and paraphrases are not found."
    )
    table = Table("table-contamination", "Sentences left out, by task", columns, rows, ("corpus",))
    return Section("contamination", title, (Prose(words), table))


def tell_corpus(facts: PageFacts) -> Section:
    """Return the section of the text that was trained on."""
    corpus = facts.results.corpus
    splits: dict[str, int] = corpus.get("splits", {})
    words = f"{whole(splits.get('train'))} sentences to train on"
    held = [f"{splits[name]:,} {use}" for name, use in (("validation", "for stopping"), ("test", "for the figures"))
            if name in splits]  # fmt: skip
    words += f"; held out: {listed(held)}." if held else "."
    tables = (
        _count_table("table-sources", "Sources", "source", corpus.get("sources", {})),
        _count_table(
            "table-corpus-languages", "Languages", "language",
            {f"{language(own)} ({own})": count for own, count in corpus.get("languages", {}).items()},
        ),
        _count_table("table-dropped", "Left out", "reason", corpus.get("dropped", {})),
    )  # fmt: skip
    return Section("corpus", "Corpus", (Prose(words, ("corpus",)), *present(*tables, _licences(facts))))


def _licences(facts: PageFacts) -> Table:
    rows = tuple(Row(work, (Cell(licence),)) for work, licence in facts.credits)
    columns = (Column("work", number=False), Column("licence", number=False))
    return Table("table-licences", "Whose work it is made of", columns, rows, ("corpus",))


def _count_table(id_: str, caption: str, what: str, counts: dict[str, int]) -> Table | None:
    if not counts:
        return None
    most = max(counts.values())
    rows = tuple(Row(name, (Cell(whole(count), share=_part(count, most)),)) for name, count in counts.items())
    return Table(id_, caption, (Column(what, number=False), Column("sentences")), rows, ("corpus",))
