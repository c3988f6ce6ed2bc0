"""Loss curves: every log that a training can leave behind, short, long, resumed or torn."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from babelpress.reports import loss_plot as module
from babelpress.reports.loss_plot import Training, draw_loss, read_training, smooth
from tests.reports.looks import catch_figure, dots, labels


def line(step: int, loss: float, **more: Any) -> dict[str, Any]:
    return {
        "step": step, "epoch": 0, "lr": 1e-3 / step, "loss": loss, "mse": loss / 2, "gradient_norm": 3.5,
        "sentences_per_second": 700.0, "tokens_per_second": 17_000.0, "padding": 0.0, "peak_share": 0.4, **more,
    }  # fmt: skip


def held_out(step: int, loss: float) -> dict[str, Any]:
    return {"step": step, "epoch": 0, "held_out_loss": loss, "held_out_cosine": 0.9, "held_out_cosine_p5": 0.8}


def write(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "log.jsonl"
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines), encoding="utf-8")
    return path


def read(folder: Path, *lines: dict[str, Any] | str, **settings: int) -> Training:
    return read_training(write(folder, *lines), **settings)


def test_a_short_log_is_read_line_by_line(tmp_path):
    found = read(tmp_path, line(20, 0.8), line(40, 0.6), held_out(45, 0.7))
    assert found.training.steps.tolist() == [20, 40]
    assert {name: values.tolist() for name, values in found.training.figures.items()} == {
        "loss": [0.8, 0.6], "mse": [0.4, 0.3], "lr": [1e-3 / 20, 1e-3 / 40],
    }  # fmt: skip
    assert (found.held_out.steps.tolist(), found.held_out.figures["held_out_loss"].tolist()) == ([45], [0.7])


def test_terms_are_the_losses_and_nothing_else_of_a_line(tmp_path):
    found = read(tmp_path, line(20, 0.8, **{"mse@64": 0.2, "hidden": 0.1, "cosine": 0.3, "seconds": 9.0}))
    assert list(found.training.figures) == ["loss", "mse", "mse@64", "hidden", "cosine", "lr"]


def test_a_term_that_came_later_has_gaps_before(tmp_path):
    found = read(tmp_path, line(20, 0.8), line(40, 0.6, hidden=0.5))
    assert np.isnan(found.training.figures["hidden"]).tolist() == [True, False]


def test_what_a_resumed_training_did_again_stands_there_once(tmp_path):
    first = [line(step, 9.0) for step in (20, 40, 60, 80)]
    found = read(tmp_path, *first, held_out(85, 9.0), line(60, 0.5), line(80, 0.4), held_out(85, 0.3))
    assert found.training.steps.tolist() == [20, 40, 60, 80]
    assert found.training.figures["loss"].tolist() == [9.0, 9.0, 0.5, 0.4]
    assert found.held_out.figures["held_out_loss"].tolist() == [0.3]


def test_torn_and_foreign_lines_are_left_out(tmp_path):
    bad = [
        "",
        "[]",
        "7",
        '"step"',
        "{",
        '{"step": 60, "loss": 0.4',
        '{"loss": 1.0}',
        '{"step": "80"}',
        '{"step": true}',
    ]
    found = read(tmp_path, line(20, 0.8), *bad, line(100, 0.6), '{"step": 120, "loss": NaN, "lr": Infinity}')
    assert found.training.steps.tolist() == [20, 100, 120]
    assert found.training.figures["loss"][:2].tolist() == [0.8, 0.6]
    assert math.isnan(found.training.figures["loss"][2])


def test_a_held_out_loss_that_is_no_number_takes_nothing_from_the_training(tmp_path):
    found = read(tmp_path, line(20, 0.8), '{"step": 20, "held_out_loss": NaN}', held_out(40, 0.5))
    assert found.training.figures["loss"].tolist() == [0.8]
    assert found.held_out.figures["held_out_loss"][1:].tolist() == [0.5]


def test_a_line_that_is_no_text_is_left_out(tmp_path):
    path = write(tmp_path, line(20, 0.8))
    path.write_bytes(path.read_bytes() + b"\xff\xfe\x00\n")
    assert read_training(path).training.steps.tolist() == [20]


def test_a_long_log_becomes_means_of_bins(tmp_path):
    """Eight steps in at most four bins: 0-1, 2-3, 4-5, 6-7, 8-9 are one too many, so 0-3, 4-7, 8-11."""
    found = read(tmp_path, *(line(step, float(step)) for step in range(1, 9)), most=4)
    assert found.training.steps.tolist() == [2.0, 5.5, 8.0]
    assert found.training.figures["loss"].tolist() == [2.0, 5.5, 8.0]


def test_a_log_of_any_length_gives_no_more_points_than_asked_for(tmp_path):
    lines = [line(step, 1.0 / step) for step in range(20, 20 * 5_000, 20)]
    found = read(tmp_path, *lines)
    assert 500 <= found.training.steps.size <= 1_000
    assert found.training.steps[0] < 200 and found.training.steps[-1] > 99_800
    assert (np.diff(found.training.steps) > 0).all()


def test_a_resume_in_a_long_log_forgets_what_was_behind(tmp_path):
    old = [line(step, 9.0) for step in range(1, 65)]
    new = [line(step, 1.0) for step in range(33, 65)]
    found = read(tmp_path, *old, *new, most=8)
    loss = found.training.figures["loss"]
    assert set(loss.tolist()) == {9.0, 1.0}
    assert (loss[found.training.steps >= 33] == 1.0).all()


@pytest.mark.parametrize("lines", [None, [], ["torn {"], ['{"step": 20, "lr": 0.1}'], ['{"step": 1}']])
def test_a_training_without_a_log_is_not_drawn(tmp_path, lines):
    path = tmp_path / "log.jsonl" if lines is None else write(tmp_path, *lines)
    found = read_training(path)
    assert found.empty
    assert draw_loss(found, tmp_path / "loss") is False
    assert not list(tmp_path.glob("loss*"))


def test_smoothing_takes_as_many_neighbours_on_either_side():
    values = np.array([9.0, 3.0, 0.0, 3.0, 9.0, 0.0])
    assert smooth(values, window=3).tolist() == [9.0, 4.0, 2.0, 4.0, 4.0, 0.0]
    assert smooth(values, window=5).tolist() == [9.0, 4.0, 24 / 5, 3.0, 4.0, 0.0]
    assert smooth(values, window=1).tolist() == values.tolist()


def test_smoothing_leaves_out_what_is_not_there():
    values = np.array([1.0, np.nan, 5.0, np.nan, np.nan, np.nan, 1.0])
    assert smooth(values, window=3).tolist()[:3] == [1.0, 3.0, 5.0]
    assert math.isnan(smooth(values, window=3)[4])


def test_losses_are_above_the_learning_rate_and_the_best_epoch_is_told(tmp_path, monkeypatch):
    lines = [line(20, 0.8), line(40, 0.6), held_out(40, 0.66), line(60, 0.5), held_out(60, 0.7123)]
    found = read(tmp_path, *lines)
    figure = catch_figure(monkeypatch, module, lambda out: draw_loss(found, out, title="try"))
    assert labels(figure) == ["mse", "training loss", "held-out loss, best 0.66"]
    assert dots(figure, "held-out loss, best 0.66") == [(40, 0.66), (60, 0.7123)]
    assert [y for _, y in dots(figure, "training loss")] == pytest.approx([0.8, 0.6, 0.5])
    losses, rate = figure.axes
    assert (losses.get_yscale(), losses.get_ylim()[0]) == ("linear", 0)
    assert [text.get_text() for text in rate.get_yticklabels()] == ["0", "5e-05"]


def test_losses_of_several_decades_are_on_a_logarithmic_scale(tmp_path, monkeypatch):
    found = read(tmp_path, line(20, 0.8), line(40, 0.01))
    figure = catch_figure(monkeypatch, module, lambda out: draw_loss(found, out))
    assert figure.axes[0].get_yscale() == "log"


@pytest.mark.parametrize(
    "lines",
    [[held_out(7, 0.4)], [line(20, 0.8)], [line(20, 0.0, lr=0.0), held_out(21, 0.0)], ['{"step": 1, "mse": 3}']],
)
def test_a_log_with_little_in_it_is_drawn_all_the_same(tmp_path, lines):
    assert draw_loss(read(tmp_path, *lines), tmp_path / "loss") is True
    assert (tmp_path / "loss.png").stat().st_size > 5_000
    assert (tmp_path / "loss.svg").read_text(encoding="utf-8").startswith("<?xml")
