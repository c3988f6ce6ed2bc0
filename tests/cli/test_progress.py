"""Bars: on a terminal alone, in 80 columns."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.text import Text

from babelpress import progress


@pytest.fixture
def terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(progress, "_console", Console(file=stream, force_terminal=True, width=80))
    return stream


def test_a_bar_on_a_terminal_shows_label_count_and_unit(terminal):
    with progress.bar("reading", total=1000, unit="sentences", start=400) as advance:
        advance(100, note="loss 0.5")
    shown = terminal.getvalue()
    assert all(part in shown for part in ("reading", "500/1,000", "loss 0.5"))


def test_a_bar_fits_80_columns(terminal):
    with progress.bar("targets: encoding with the teacher", total=20_000_000, unit="sentences") as advance:
        advance(12_345_678, note="held-out loss 0.1234")
    assert max(Text.from_ansi(line).cell_len for line in terminal.getvalue().splitlines()) <= 80


def test_a_bar_of_unlike_items_shows_no_rate_and_fits_80_columns(terminal):
    with progress.bar("evaluation", total=78, unit="tasks", timed=False) as advance:
        advance(7, note="about 12 min left: AmazonCounterfactualClassification (a model of a long name)")
    text = terminal.getvalue()
    assert "7/78" in text
    assert "about 12 min left" in text
    assert "tasks/s" not in text
    assert max(Text.from_ansi(line).cell_len for line in text.splitlines()) <= 80


def test_a_bar_in_a_pipe_or_a_library_draws_nothing(monkeypatch):
    stream = io.StringIO()
    for console in (None, Console(file=stream)):
        monkeypatch.setattr(progress, "_console", console)
        with progress.bar("reading", total=10) as advance:
            advance()
            advance(3, note="x")
    assert stream.getvalue() == ""


def test_tracking_neither_loses_nor_changes_an_item(terminal):
    assert list(progress.track(range(5), "counting", total=5)) == [0, 1, 2, 3, 4]
    assert "5/5" in terminal.getvalue()
