"""How numbers and names are written on the page."""

from __future__ import annotations

import math

from markupsafe import Markup

from babelpress.reports.style import language_name

NOT_MEASURED = "not measured"
MISSING = "missing"
LABELS = {"teacher": "teacher", "pruned": "pruned", "distilled": "student"}
_SPACE = "\N{NO-BREAK SPACE}"
_PIECES = "zxx"  # texts of the teacher's own pieces are in no language


def whole(value: int | None) -> str:
    """Write a count: 12,345."""
    return NOT_MEASURED if value is None else f"{value:,}"


def decimal(value: float | None, digits: int) -> str:
    """Write a number with so many digits behind the point; what is none was not measured."""
    return NOT_MEASURED if value is None or not math.isfinite(value) else f"{value:,.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share as percent: 0.805 is 80.5 %."""
    text = decimal(None if share is None else 100 * share, digits)
    return text if text == NOT_MEASURED else f"{text}{_SPACE}%"


def mib(size: int | None) -> str:
    """Write bytes as MiB, small sizes as KiB."""
    if size is None:
        return NOT_MEASURED
    return f"{size / 2**20:,.1f}{_SPACE}MiB" if size >= 2**20 / 10 else f"{size / 2**10:,.1f}{_SPACE}KiB"


def times(ratio: float | None) -> str:
    """Write a ratio: 2.08 ×."""
    text = decimal(ratio, 2)
    return text if text == NOT_MEASURED else f"{text}{_SPACE}×"


def span(low: float, high: float, digits: int) -> str:
    """Write from what to what."""
    return f"{decimal(low, digits)} – {decimal(high, digits)}"


def interval(bounds: tuple[float, float] | None, digits: int = 2, *, factor: float = 1.0) -> str:
    """Write a 95 % interval; nothing where there is none."""
    return "" if bounds is None else span(factor * bounds[0], factor * bounds[1], digits)


def duration(seconds: float | None) -> str:
    """Write seconds, from two minutes on minutes and hours as well."""
    if seconds is None:
        return NOT_MEASURED
    if seconds < 120:
        return f"{seconds:,.1f}{_SPACE}s"
    minutes = round(seconds / 60)
    long = f"{minutes // 60}{_SPACE}h {minutes % 60}{_SPACE}min" if minutes >= 60 else f"{minutes}{_SPACE}min"
    return f"{seconds:,.1f}{_SPACE}s ({long})"


def short(count: int) -> str:
    """Write a large count in a few digits: 13.2 M."""
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.1f}{_SPACE}{letter}"
    return str(count)


def language(code: str) -> str:
    """Return a language's name in English."""
    return "word lists of the teacher's pieces" if code == _PIECES else language_name(code)


def plural(count: int, one: str) -> str:
    """Write a count and what is counted."""
    return f"{count:,} {one}{'' if count == 1 else 's'}"


def listed(words: list[str]) -> str:
    """Join words as a sentence does."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def link(address: str, text: str) -> Markup:
    """Return a link; both are escaped."""
    return Markup('<a href="{}">{}</a>').format(address, text)


def code(text: str) -> Markup:
    """Return text as code; it is escaped."""
    return Markup("<code>{}</code>").format(text)
