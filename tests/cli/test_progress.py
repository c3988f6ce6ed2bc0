"""Bars on a terminal, a line a minute elsewhere, both in 80 columns."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from babelpress.cli.shared import set_up
from babelpress.utils import progress


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


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Pipe:
    """What a pipe gets, and the clock by which lines go there."""

    def __init__(self):
        self.clock, self.stream = Clock(), io.StringIO()
        progress.draw_on(Console(file=self.stream), clock=self.clock)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def pipe(monkeypatch):
    for name in ("WORLD_SIZE", "RANK", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    yield Pipe()
    progress.draw_on(None)


def test_a_pipe_gets_a_line_a_minute_and_the_first_after_a_minute(pipe):
    printed = []
    with progress.bar("targets: teacher", total=131_072, unit="sentences") as advance:
        for second in range(1, 151):
            pipe.clock.now += 1
            advance(32)
            printed += [second] * (len(pipe.lines) - len(printed))
    assert printed == [60, 120]
    assert pipe.lines == [
        "targets: teacher: 1 %, 1,920/131,072, 32/s, 67 min left",
        "targets: teacher: 2 %, 3,840/131,072, 32/s, 66 min left",
    ]


def test_work_of_less_than_a_minute_prints_nothing_into_a_pipe(pipe):
    for _ in range(10):  # each bar has a minute of its own
        with progress.bar("reading", total=59) as advance:
            for _ in range(59):
                pipe.clock.now += 1
                advance(note="quick")
    assert pipe.lines == []


def test_a_step_of_many_minutes_is_one_line(pipe):
    with progress.bar("speed", total=4, unit="rounds") as advance:
        pipe.clock.now += 600
        advance()
        advance(0, note="the next model")
    assert pipe.lines == ["speed: 25 %, 1/4, 0.0017/s, 30 min left"]


def test_a_line_without_a_total_has_count_and_rate(pipe):
    with progress.bar("corpus: reading", unit="sentences") as advance:
        pipe.clock.now += 100
        advance(1_234_500)
    assert pipe.lines == ["corpus: reading: 1,234,500 sentences, 12,345/s"]


def test_a_line_ends_with_the_last_note(pipe):
    with progress.bar("distillation", total=11_427_286, unit="sentences", start=1_000_000) as advance:
        advance(100, note="loss 0.5")
        pipe.clock.now += 60
        advance(11_900)
    assert pipe.lines == ["distillation: 8 %, 1,012,000/11,427,286, 200/s, 14.5 h left, loss 0.5"]


def test_what_was_done_before_the_start_is_no_part_of_the_rate(pipe):
    with progress.bar("targets: teacher", total=1000, start=400) as advance:
        pipe.clock.now += 60
        advance(60)
    assert pipe.lines == ["targets: teacher: 46 %, 460/1,000, 1/s, 9 min left"]


def test_the_rate_is_that_of_the_last_ten_minutes(pipe):
    with progress.bar("targets: teacher", total=1_000_000) as advance:
        for rate in [1000] * 3 + [100] * 11:
            pipe.clock.now += 60
            advance(60 * rate)
    rates = [line.split(", ")[2] for line in pipe.lines]
    assert rates[:3] == ["1,000/s"] * 3
    assert rates[-1] == "100/s"


def test_a_line_of_unlike_items_has_no_rate_and_no_time_left(pipe):
    with progress.bar("evaluation", total=78, unit="tasks", timed=False) as advance:
        pipe.clock.now += 60
        advance(7, note="STSBenchmark (teacher)")
    assert pipe.lines == ["evaluation: 8 %, 7/78, STSBenchmark (teacher)"]


def test_nothing_done_in_a_minute_has_no_time_left(pipe):
    with progress.bar("export", total=3) as advance:
        pipe.clock.now += 60
        advance(0, note="onnx")
    assert pipe.lines == ["export: 0 %, 0/3, onnx"]


def test_a_line_has_80_columns_at_most_and_no_escape_codes(pipe):
    note = "about 12 min left: AmazonCounterfactualClassification (多言語の小さいモデル)\nand more"
    with progress.bar("evaluation of models", total=7_800_000) as advance:
        pipe.clock.now += 61
        advance(1_234_567, note=note)
    (line,) = pipe.lines
    assert 78 <= cell_len(line) <= 80
    assert line.endswith("…")
    assert "\x1b" not in line


def test_of_several_processes_the_main_one_alone_prints(pipe, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        with progress.bar(f"process {rank}", total=2) as advance:
            pipe.clock.now += 60
            advance()
    assert pipe.lines == ["process 0: 50 %, 1/2, 0.017/s, 60 s left"]


@pytest.mark.usefixtures("call")
@pytest.mark.parametrize("quiet", [True, False])
def test_a_quiet_command_prints_nothing_however_long_it_takes(quiet, capfd, monkeypatch):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    set_up(quiet=quiet, verbose=0)
    with progress.bar("evaluation", total=2, timed=False) as advance:
        advance(2)
    caught = capfd.readouterr()
    assert (caught.out, caught.err) == ("", "" if quiet else "evaluation: 100 %, 2/2\n")


def test_tracking_writes_lines_too(pipe):
    found = []
    for item in progress.track(iter("abc"), "counting", total=3):
        pipe.clock.now += 45
        found.append(item)
    assert found == ["a", "b", "c"]
    assert pipe.lines == ["counting: 66 %, 2/3, 0.022/s, 45 s left"]


def test_tracking_neither_loses_nor_changes_an_item(terminal):
    assert list(progress.track(range(5), "counting", total=5)) == [0, 1, 2, 3, 4]
    assert "5/5" in terminal.getvalue()
