"""What card, page and command line say of the points that exports lose."""

from __future__ import annotations

from collections.abc import Sequence

from babelpress.export.result import Export, Parity
from babelpress.report.page.wording import listed

_NAMED = 5  # scores; more are counted


def points_lost(parity: Parity, *, none: str = "–") -> str:
    """Return the points that the mean of the scores loses, `none` where no score was compared."""
    return f"{parity.points:.2f}" if parity.lost else none


def points_words(exports: Sequence[Export]) -> str:
    """Say over which scores points are, which are the same for all exports; nothing where there are none."""
    names = list(exports[0].parity.lost) if exports else []
    if not names:
        return ""
    over = listed(names) if len(names) <= _NAMED else f"{len(names)} tasks"
    return f"points are what {'the mean of ' if len(names) > 1 else ''}{over} loses"
