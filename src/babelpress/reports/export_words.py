"""What card, page and command line say of exports: the points that they lose, and which were not written."""

from __future__ import annotations

from collections.abc import Sequence

from babelpress.reports.page.wording import listed
from babelpress.schema.exports import Export, Missed, Parity

_NAMED = 5  # scores; more are counted


def points_lost(parity: Parity, *, none: str = "–") -> str:
    """Return the points that the mean of the scores loses, `none` where no score was compared."""
    return f"{parity.points:.2f}" if parity.lost else none


def points_words(exports: Sequence[Export | Missed]) -> str:
    """Say over which scores points are, the same for all exports that have some; nothing where none has."""
    names = next((list(one.parity.lost) for one in exports if one.parity.lost), [])
    if not names:
        return ""
    over = listed(names) if len(names) <= _NAMED else f"{len(names)} tasks"
    return f"points are what {'the mean of ' if len(names) > 1 else ''}{over} loses"


def missed_words(missed: Sequence[Missed]) -> str:
    """Say which exports were not written and what each did not reach."""
    return "; ".join(f"{one.name} ({', '.join(one.faults)})" for one in missed)
