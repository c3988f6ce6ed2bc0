"""Score against size: only known sizes, only scores on what all shown models were scored on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from babelpress.errors import EvaluationError
from babelpress.evaluation.compare.compare import compare_scores
from babelpress.evaluation.compare.comparison import Scored
from babelpress.evaluation.compare.published import Published, published_models
from babelpress.reports import size_plot as module
from babelpress.reports.size_plot import Sized, Sizes, best_for_size, draw_sizes, sizes_of, sizes_of_run
from babelpress.schema.results import ModelResult, Score
from tests.reports.figures import make_model
from tests.reports.looks import catch_figure, dots, labels


def scores(**tasks: float) -> dict[str, Score]:
    return {name: Score(kind="STS", score=value, subsets={"default": value}) for name, value in tasks.items()}


def model(number: int, size: int, **tasks: float) -> ModelResult:
    return make_model(number).model_copy(update={"scores": scores(**tasks), "parameters": size})


def published(name: str, size: int | None, **tasks: float) -> Published:
    return Published(name, f"hub/{name}", "", "somewhere", scores(**tasks), size)


RUN = {"teacher": model(1, 9_000_000, a=80, b=60), "distilled": model(2, 1_000_000, a=70, b=50)}


def of_run(*others: Published, models: dict[str, ModelResult] | None = None) -> Sizes | None:
    return sizes_of_run(RUN if models is None else models, recipe="try", teacher_id="hub/big", published=others)


def told(found: Sizes | None) -> dict[str, tuple[int, float]]:
    assert found is not None
    return {one.name: (one.parameters, one.score) for one in found.models}


def test_a_run_stands_beside_published_models():
    found = of_run(published("other", 5_000_000, a=75, b=45, c=99))
    assert told(found) == {"big": (9_000_000, 70), "try": (1_000_000, 60), "other": (5_000_000, 60)}
    assert found is not None and (found.tasks, found.models[-1].origin) == (2, "published")


def test_a_published_model_of_unknown_size_is_left_out():
    assert told(of_run(published("other", None, a=75, b=45))).keys() == {"big", "try"}


def test_the_teacher_stands_there_once_as_the_run_measured_it():
    assert told(of_run(published("big", 9_000_000, a=1, b=1))).keys() == {"big", "try"}


def test_a_published_model_that_lacks_a_task_does_not_take_it_from_the_others():
    found = of_run(published("whole", 5_000_000, a=75, b=45), published("half", 2_000_000, a=99))
    assert told(found) == {"big": (9_000_000, 70), "try": (1_000_000, 60), "whole": (5_000_000, 60)}


def test_scores_are_over_the_tasks_that_all_have():
    found = of_run(published("half", 2_000_000, a=75))
    assert told(found) == {"big": (9_000_000, 80), "try": (1_000_000, 70), "half": (2_000_000, 75)}
    assert found is not None and found.tasks == 1


@pytest.mark.parametrize("others", [(), (published("other", 5_000_000, z=75),)])
def test_without_a_common_task_the_run_stands_alone(others):
    assert told(of_run(*others)) == {"big": (9_000_000, 70), "try": (1_000_000, 60)}


def test_without_a_common_subset_the_run_stands_alone():
    other = Published("x", None, "", "", {"a": Score(kind="STS", score=1, subsets={"ko": 1.0})}, 5)
    assert told(of_run(other)) == {"big": (9_000_000, 70), "try": (1_000_000, 60)}


def test_a_run_without_scores_has_no_such_picture():
    assert of_run(models={name: one.model_copy(update={"scores": {}}) for name, one in RUN.items()}) is None
    assert of_run(models={}) is None
    similar = {"s": Score(kind="Similarity", score=100)}
    assert of_run(models={name: one.model_copy(update={"scores": similar}) for name, one in RUN.items()}) is None


def test_the_runs_average_is_that_of_its_results():
    """The embedded sentences alone, as in the demo."""
    own = {name: make_model(number, tasks=False) for number, name in enumerate(("teacher", "distilled"), 1)}
    found = sizes_of_run(own, recipe="try", teacher_id="t", published=published_models().values())
    assert [one.score for one in found.models] == [pytest.approx(one.average) for one in own.values()]


def test_compared_models_of_unknown_size_are_told():
    one, two = (Scored(name, scores(a=50), "published", parameters=size) for name, size in (("one", 7), ("two", None)))
    found = sizes_of(compare_scores([one, two]))
    assert (told(found), found.unknown) == ({"one": (7, 50)}, ("two",))
    with pytest.raises(EvaluationError, match="nobody tells how many parameters these have: two, two \\(2\\)"):
        sizes_of(compare_scores([two, two]))


def sized(name: str, parameters: int, score: float, origin: str = "run") -> Sized:
    return Sized(name, parameters, score, origin)


def test_the_front_is_of_models_than_which_none_is_smaller_and_better():
    small, twin, mid, big, worse = (
        sized("small", 1, 50), sized("twin", 1, 40), sized("mid", 5, 50), sized("big", 9, 60), sized("worse", 10, 60),
    )  # fmt: skip
    assert best_for_size([big, worse, mid, twin, small]) == [small, big]
    assert best_for_size([]) == []


def test_every_model_has_a_dot_and_its_name(monkeypatch):
    found = Sizes(
        (sized("big", 9_000_000, 70), sized("try", 1_000_000, 60), sized("other", 5_000_000, 50, "published")),
        2,
        ("dark",),
    )
    figure = catch_figure(monkeypatch, module, lambda out: draw_sizes(found, out, title="try"))
    assert labels(figure) == ["measured in a run", "published by others"]
    assert dots(figure, "measured in a run") == [(9_000_000, 70), (1_000_000, 60)]
    (axis,) = figure.axes
    assert {text.get_text(): text.xy for text in axis.texts} == {
        "big": (9_000_000, 70), "try": (1_000_000, 60), "other": (5_000_000, 50),
    }  # fmt: skip
    assert axis.get_ylabel() == "mean score of 2 tasks, %"
    assert axis.get_xlabel() == "parameters\nleft out, of unknown size: dark"
    assert axis.get_xscale() == "log"


def test_names_hide_neither_each_other_nor_dots_and_stay_inside(monkeypatch):
    near = tuple(sized(f"a-model-of-some-length-{n}", 10_000_000 + 400_000 * n, 50 + 0.9 * n) for n in range(6))
    found = Sizes((*near, sized("far-away-and-of-a-long-name", 400_000_000, 52)), 3)
    figure = catch_figure(monkeypatch, module, lambda out: draw_sizes(found, out))
    (axis,) = figure.axes
    boxes = [text.get_window_extent() for text in axis.texts]
    places = [axis.transData.transform((one.parameters, one.score)) for one in found.models]
    assert not any(one.overlaps(two) for place, one in enumerate(boxes) for two in boxes[:place])
    assert not any(box.contains(*place) for box in boxes for place in places)
    assert all(box.x0 >= axis.bbox.x0 and box.x1 <= axis.bbox.x1 for box in boxes)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_one_model_and_many_can_be_drawn_the_same_every_time(tmp_path: Path, count: int):
    shown = Sizes(tuple(sized(f"model {n}", 10 ** (5 + n % 4) + n, 50.0 + n % 7) for n in range(count)), 1)
    for name in ("one", "two"):
        draw_sizes(shown, tmp_path / name)
    for ending in (".png", ".svg"):
        assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"two{ending}").read_bytes()
    assert np.asarray(Image.open(tmp_path / "one.png").convert("L")).min() < 60
