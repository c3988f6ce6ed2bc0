"""What a student was trained on, as card and page say it."""

from __future__ import annotations

from babelpress.recipe import Recipe
from babelpress.schema.results import Results


def trained_sentences(recipe: Recipe, results: Results) -> int | None:
    """Return the distinct sentences of training: the corpus, or the first of it that the recipe takes."""
    whole: int | None = results.corpus.get("splits", {}).get("train")
    limit = recipe.distillation.sentences
    return whole if whole is None or limit is None else min(whole, limit)
