"""The card's tables of what any text tells, and of exports: every figure in its place, nothing where nothing is."""

from __future__ import annotations

import pytest

from babelpress.reports.card_measures import closeness_rows, disturbed_rows, export_rows, language_rows, length_rows
from babelpress.schema.exports import Export
from babelpress.schema.results import AtLength, Closeness, Measures, Perturbed
from tests.exports import good_parity, missed_export
from tests.reports.figures import make_model, make_results
from tests.reports.test_card import card, row


def measured(number: int, **changes):
    near = Closeness(
        texts=1_234, cosine=0.8 + number / 100, cosine_p5=0.7 + number / 100, overlap=0.5 + number / 100,
        student_queries=0.4 + number / 100, teacher_queries=0.3 + number / 100,
    )  # fmt: skip
    small = Closeness(texts=7, cosine=0.61, cosine_p5=0.52)
    measures = Measures(
        overall=near, by_language={"ko": near, "pt": small},
        by_length=(AtLength(tokens=8, texts=64, cosine=0.91, cosine_p5=0.82),),
        perturbed={"typos": Perturbed(found=0.95 - number / 100, cosine=0.9, texts=180)},
    ).model_copy(update=changes)  # fmt: skip
    return make_model(number).model_copy(update={"measures": measures})


def test_nearness_is_a_row_a_figure_pressed_beside_student():
    rows = closeness_rows(measured(2), measured(3))
    assert [row[1:] for row in rows] == [
        ("0.820", "0.830"), ("0.720", "0.730"), ("52.0 %", "53.0 %"), ("42.0 %", "43.0 %"), ("32.0 %", "33.0 %"),
    ]  # fmt: skip


def test_figures_that_there_are_not_are_no_rows():
    few = Closeness(texts=7, cosine=0.61, cosine_p5=0.52)
    assert len(closeness_rows(measured(2), measured(3, overall=few))) == 2
    assert (language_rows(make_model(3)), length_rows(make_model(3)), disturbed_rows(make_model(1), make_model(3))) == (
        [], [], [],
    )  # fmt: skip


def test_languages_lengths_and_disturbances():
    assert language_rows(measured(3)) == [
        ("ko", "1,234", "0.830", "0.730", "53.0 %"), ("pt", "7", "0.610", "0.520", "–"),
    ]  # fmt: skip
    assert length_rows(measured(3)) == [("8", "64", "0.910", "0.820")]
    assert disturbed_rows(measured(1), measured(3)) == [
        ("typing errors in 5 % of the letters", "94.0 %", "92.0 %", "180")
    ]


def test_exports_beside_the_student():
    (row,) = export_rows([Export("onnx-int8", "onnx/model_quantized.onnx", 3 * 2**20, good_parity())])
    assert row == {
        "file": "onnx/model_quantized.onnx", "mib": "3.0", "mean": "0.9990", "p5": "0.9950", "lowest": "0.9980 (th)",
        "points": "0.10", "texts": 800,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lost", "points", "words"),
    [
        ({}, "–", "held-out sentences of every language."),
        ({"a": 0.25}, "0.25", "; points are what a loses."),
        (dict.fromkeys("abcde", 0.5), "0.50", "; points are what the mean of a, b, c, d and e loses."),
        (dict.fromkeys("abcdef", 0.5), "0.50", "; points are what the mean of 6 tasks loses."),
    ],
)  # fmt: skip
def test_points_are_told_with_the_scores_that_they_are_over(teacher, lost, points, words):
    export = Export("onnx", "onnx/model.onnx", 3 * 2**20, good_parity(lost=lost))
    text = card(teacher, make_results().model_copy(update={"exports": (export,)})).partition("## Exports")[2]
    assert row(text, "`onnx/model.onnx`")[-1] == points
    assert f"{words}\n" in text.partition("\n## ")[0]


def test_the_card_tells_of_them(teacher):
    results = make_results()
    models = {name: measured(number) for number, name in enumerate(results.models, 1)}
    export = Export("onnx-int8", "onnx/model_quantized.onnx", 3 * 2**20, good_parity())
    text = card(teacher, results.model_copy(update={"models": models, "exports": (export,)}))
    for part in (
        "## Beside the teacher", "| ten nearest texts that are the teacher's ten | 52.0 % | 53.0 % |",
        "| typing errors in 5 % of the letters | 94.0 % | 92.0 % | 180 |", "| pt | 7 | 0.610 | 0.520 | – |",
        "| 8 | 64 | 0.910 |", "## Exports",
        "| `onnx/model_quantized.onnx` | 3.0 | 0.9990 | 0.9950 | 0.9980 (th) | 0.10 |",
        "over 800 held-out",
    ):  # fmt: skip
        assert part in text, part


@pytest.mark.parametrize(
    ("tokens", "words"),
    [(48, "what longer texts lose was not measured."), (64, '"Beside the teacher" has the cosine for longer texts.')],
)
def test_what_texts_lose_that_are_longer_than_trained_on_is_where_it_was_measured(teacher, tokens, words):
    lengths = (AtLength(tokens=tokens, texts=9, cosine=0.9, cosine_p5=0.8),)
    results = make_results()
    models = {name: measured(number, by_length=lengths) for number, name in enumerate(results.models, 1)}
    text = card(teacher, results.model_copy(update={"models": models}))
    assert f"- Trained up to 48 tokens; {words}\n" in text


@pytest.mark.parametrize("others", [(), (Export("onnx", "onnx/model.onnx", 3 * 2**20, good_parity()),)])
def test_the_card_names_exports_that_were_not_written_with_the_limit(teacher, others):
    results = make_results().model_copy(update={"exports": others, "missed_exports": (missed_export(),)})
    text = card(teacher, results).partition("## Exports")[2].partition("\n## ")[0]
    assert row(text, "`onnx/model_q4.onnx`") == ["not written", "0.9911", "0.9822", "0.9833 (th)", "–"]
    assert "too far from this model: onnx-q4 (mean cosine 0.9911 is below 0.995).\n" in text
    assert ("points are what a loses" in text) is bool(others)


def test_without_exports_the_card_has_no_such_section(teacher):
    assert "## Exports" not in card(teacher)


def test_drop_in_recall_is_told_of_where_there_were_texts_enough(teacher):
    assert "Drop-in recall" not in card(teacher)
    results = make_results()
    models = {name: measured(number) for number, name in enumerate(results.models, 1)}
    assert "Drop-in recall tells" in card(teacher, results.model_copy(update={"models": models}))


def test_the_intervals_of_average_and_retention_are_told(teacher):
    results = make_results()
    own = results.models["distilled"].model_copy(
        update={"average_interval": (51.5, 53.25), "retention_interval": (0.8, 0.857)}
    )
    text = card(teacher, results.model_copy(update={"models": {**results.models, "distilled": own}}))
    assert "average lies between 51.50 and 53.25, what it keeps of the teacher's between 80.0 % and 85.7 %" in text
    assert "bootstrap" not in card(teacher)
