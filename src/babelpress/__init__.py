"""babelpress presses a large multilingual sentence encoder into a small one and proves what was kept.

```python
from babelpress import run

results = run("demo", overrides=["distillation.epochs=1"])
results.models["distilled"].fidelity_mean
```
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babelpress.api import (
        Plan,
        card,
        check,
        compare,
        distill,
        evaluate,
        load_run,
        measure,
        plan,
        press,
        push,
        run,
        speed,
        visualize,
    )
    from babelpress.errors import BabelpressError
    from babelpress.evaluation.results import Measures, Results
    from babelpress.export.encoder import OnnxEncoder
    from babelpress.recipe import Recipe
    from babelpress.teacher import Teacher, read_teacher

_HOMES = {
    "Plan": "api", "card": "api", "check": "api", "compare": "api", "distill": "api", "evaluate": "api",
    "load_run": "api", "measure": "api", "plan": "api", "press": "api", "push": "api", "run": "api", "speed": "api",
    "visualize": "api", "BabelpressError": "errors", "Measures": "evaluation.results",
    "OnnxEncoder": "export.encoder",
    "Results": "evaluation.results", "Recipe": "recipe", "Teacher": "teacher", "read_teacher": "teacher",
}  # fmt: skip

__all__ = [
    "BabelpressError",
    "Measures",
    "OnnxEncoder",
    "Plan",
    "Recipe",
    "Results",
    "Teacher",
    "card",
    "check",
    "compare",
    "distill",
    "evaluate",
    "load_run",
    "measure",
    "plan",
    "press",
    "push",
    "read_teacher",
    "run",
    "speed",
    "visualize",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: torch and its kin take seconds."""
    if name in _HOMES:
        return getattr(import_module(f"babelpress.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'babelpress' has no attribute {name!r}")
