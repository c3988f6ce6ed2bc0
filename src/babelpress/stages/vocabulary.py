"""The stage `vocabulary`: count the corpus, decide which pieces stay, measure the choice on held-out text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babelpress.corpus.build import count_rows, read_texts
from babelpress.corpus.sentence import Split
from babelpress.recipe import Pooler
from babelpress.stages import corpus
from babelpress.stages.engine import Stage
from babelpress.stages.run import Run, dump
from babelpress.utils import processes


def settings(run: Run) -> Any:
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


def make(run: Run, folder: Path) -> dict[str, Any]:
    """Count the corpus, write the vocabulary plan, and measure it on held-out text.

    Of several processes each counts its share of the corpus; the main one adds up and decides.
    """
    from babelpress.vocabulary.alphabet import alphabet
    from babelpress.vocabulary.choose import plan_vocabulary
    from babelpress.vocabulary.count import PieceCounts, count_pieces
    from babelpress.vocabulary.fertility import measure_fertility, save_fertility
    from babelpress.vocabulary.surgery import rewrite_tokenizer
    from babelpress.vocabulary.tokenizer_file import parse_tokenizer, read_tokenizer_file

    request = run.recipe.vocabulary
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
        tokenizer, counts, method=request.method, size=budget_rows(run), coverage=request.coverage,
        objective=request.objective, min_count=request.min_count, language_exponent=request.language_exponent,
        byte_fallback=request.byte_fallback, byte_rate=request.byte_rate, character_share=request.character_share,
        characters=alphabet(run.recipe.languages, tokenizer) if request.alphabet else None,
    )  # fmt: skip
    plan.save(folder / "plan.json")
    student = parse_tokenizer(rewrite_tokenizer(tokenizer, plan))
    held_out = read_texts(run.path("corpus"), Split.VALIDATION)
    save_fertility(folder / "fertility.json", measure_fertility(tokenizer, student, held_out))
    return {"rows": plan.rows, "kept": len(plan.kept), "new": len(plan.new_pieces), "unseen": plan.unseen}


STAGE = Stage("vocabulary", (corpus.STAGE,), settings, make, shared=True, version=3, check=budget_rows)
