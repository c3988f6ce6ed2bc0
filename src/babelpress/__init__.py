"""babelpress presses a large multilingual sentence encoder into a small one and proves what was kept.

```python
from babelpress import run

results = run("demo", overrides=["distillation.epochs=1"])
results.models["distilled"].fidelity_mean
```
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from babelpress.verbs import VERBS

if TYPE_CHECKING:
    from babelpress.api import *  # noqa: F403
    from babelpress.errors import BabelpressError as BabelpressError
    from babelpress.exports.encoder import OnnxEncoder as OnnxEncoder
    from babelpress.recipe import Recipe as Recipe
    from babelpress.schema.results import Measures as Measures
    from babelpress.schema.results import Results as Results
    from babelpress.teacher import Teacher as Teacher
    from babelpress.teacher import read_teacher as read_teacher

_HOMES = {
    **dict.fromkeys((*VERBS, "Plan", "load_run"), "api"),
    "BabelpressError": "errors",
    "OnnxEncoder": "exports.encoder",
    "Recipe": "recipe",
    **dict.fromkeys(("Measures", "Results"), "schema.results"),
    **dict.fromkeys(("Teacher", "read_teacher"), "teacher"),
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: torch and the libraries around it take seconds."""
    if name in _HOMES:
        return getattr(import_module(f"babelpress.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'babelpress' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
