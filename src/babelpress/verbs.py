"""What babelpress can be asked to do: functions of `babelpress` and commands, under one name each."""

from __future__ import annotations

# These take a recipe, and bring its run up to a point.
RUN_VERBS = ("run", "plan", "press", "distill", "evaluate", "visualize", "card", "report")

# These take models. The command of each is the module of that name in `babelpress.cli`.
MODEL_VERBS = ("check", "compare", "export", "fetch", "measure", "push", "speed")

VERBS = (*RUN_VERBS, *MODEL_VERBS)
