"""What is kept by language: compare's figures, else nearness to the teacher, most lost first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from babelpress.reports import language_plot as module
from babelpress.reports.language_plot import LanguageFigures, Panel, draw_languages, language_figures
from babelpress.schema.results import Closeness, Measures, ModelResult, Score
from tests.reports.figures import make_model, make_results
from tests.reports.looks import catch_figure, dots, labels


def scored(number: int, **tasks: dict[str, float]) -> ModelResult:
    scores = {
        name: Score(kind="STS", score=sum(subsets.values()) / len(subsets), subsets=subsets)
        for name, subsets in tasks.items()
    }
    return make_model(number).model_copy(update={"scores": scores})


def near(number: int, **cosines: float | tuple[float, float]) -> ModelResult:
    """A model that is so near in each language; (cosine, overlap) or a cosine alone."""
    pairs = {code: value if isinstance(value, tuple) else (value, None) for code, value in cosines.items()}
    found = {
        code: Closeness(texts=9, cosine=cosine, cosine_p5=0.1, overlap=overlap)
        for code, (cosine, overlap) in pairs.items()
    }
    measures = Measures(overall=Closeness(texts=9, cosine=0.5, cosine_p5=0.1), by_language=found)
    return make_model(number, tasks=False).model_copy(update={"measures": measures})


def test_scores_are_means_over_tasks_and_most_lost_comes_first():
    found = language_figures({
        "teacher": scored(1, one={"ko-ko": 80.0, "en-en": 90.0, "en-ko": 9.0}, two={"kor_Hang": 60.0}),
        "pruned": scored(2, one={"ko-ko": 30.0, "en-en": 40.0, "en-ko": 9.0}, two={"kor_Hang": 20.0}),
        "distilled": scored(3, one={"ko-ko": 70.0, "en-en": 60.0, "en-ko": 9.0}, two={"kor_Hang": 60.0}),
    })  # fmt: skip
    # Korean: (80 + 60) / 2, (30 + 20) / 2, (70 + 60) / 2; the pair of languages is none
    assert found is not None
    assert found.languages == ("English (1)", "Korean (2)")
    assert [panel.rows for panel in found.panels] == [((90, 40, 60), (70, 25, 65))]
    assert (found.models, found.changes) == (("teacher", "pruned", "distilled"), (-30, -5))


def test_a_language_in_which_the_student_gains_comes_last():
    found = language_figures({
        "teacher": scored(1, one={"ko": 50.0, "en": 50.0}), "distilled": scored(2, one={"ko": 55.0, "en": 49.0}),
    })  # fmt: skip
    assert found is not None
    assert (found.languages, found.changes) == (("English (1)", "Korean (1)"), (-1, 5))


def test_without_subsets_nearness_to_the_teacher_is_shown_which_is_no_model_of_it():
    found = language_figures({
        "teacher": near(1, ko=(1.0, 1.0), en=(1.0, 1.0), hi=(1.0, 1.0)),
        "pruned": near(2, ko=(0.3, 0.2), en=(0.4, 0.3)),
        "distilled": near(3, ko=(0.8, 0.5), en=(0.9, 0.4), hi=(0.7, 0.6)),
    })  # fmt: skip
    assert found == LanguageFigures(
        ("Hindi", "Korean", "English"), ("pruned", "distilled"),
        (Panel("cosine to the teacher", ((None, 0.7), (0.3, 0.8), (0.4, 0.9))),
         Panel("ten nearest in common", ((None, 0.6), (0.2, 0.5), (0.3, 0.4)))),
    )  # fmt: skip


def test_few_texts_have_no_overlap_to_show():
    found = language_figures({"teacher": near(1, ko=1.0), "distilled": near(2, ko=0.8)})
    assert found is not None
    assert [panel.label for panel in found.panels] == ["cosine to the teacher"]


def test_a_label_that_is_no_language_code_is_its_own_name():
    found = language_figures({"teacher": near(1, ko=1.0), "distilled": near(2, **{"English": 0.8, "ko": 0.9, "": 0.7})})
    assert found is not None
    assert found.languages == ("", "English", "Korean")


@pytest.mark.parametrize(
    "models",
    [{}, {"teacher": make_model(1)}, {"teacher": near(1, ko=1.0)}, make_results(tasks=False).models],
    ids=["none", "one", "the teacher alone", "no figures by language"],
)
def test_a_run_without_figures_by_language_has_no_such_picture(models: dict[str, Any]):
    assert language_figures(models) is None


def test_scores_come_before_nearness():
    models = {"teacher": near(1, ko=1.0), "distilled": near(2, ko=0.5)}
    scores = {"one": Score(kind="STS", score=50.0, subsets={"ko": 50.0})}
    found = language_figures({name: model.model_copy(update={"scores": scores}) for name, model in models.items()})
    assert found is not None
    assert found.languages == ("Korean (1)",)


FIGURES = LanguageFigures(
    ("English (1)", "Korean (2)"),
    ("teacher", "distilled"),
    (Panel("score", ((90.0, 60.0), (70.0, None))),),
    (-30.0, 5.25),
)


def test_a_row_for_each_language_a_dot_for_each_model(monkeypatch):
    figure = catch_figure(monkeypatch, module, lambda out: draw_languages(FIGURES, out, title="try"))
    assert labels(figure) == ["teacher", "distilled"]
    assert dots(figure, "teacher") == [(90, 0), (70, 1)]
    assert dots(figure, "distilled") == [(60, 0)]
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_yticklabels()] == ["English (1)", "Korean (2)"]
    assert [text.get_text() for text in axis.texts] == ["\N{MINUS SIGN}30.0", "+5.2"]
    top, bottom = axis.transData.transform([(0, 0), (0, 1)])[:, 1]
    assert top > bottom


@pytest.mark.parametrize("count", [1, 120])
def test_one_language_and_many_can_be_drawn(tmp_path, count):
    names = tuple(f"language {number}" for number in range(count))
    panel = Panel("cosine to the teacher", ((0.5, 0.9),) * count)
    draw_languages(LanguageFigures(names, ("pruned", "distilled"), (panel, replace(panel, label="b"))), tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg"]
