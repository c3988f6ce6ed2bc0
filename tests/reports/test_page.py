"""What the page of a run says: every figure, each where it belongs, and nothing that was not measured."""

from __future__ import annotations

import dataclasses
import re

import pytest

from babelpress.evaluation.fidelity.bundled import BITEXT
from babelpress.reports.page.blocks import Cell, Column, Row, Table
from babelpress.reports.page.kept import count_parts, draw_layers
from babelpress.reports.page.page import compare_sizes
from babelpress.schema.results import Score
from babelpress.stages import STAGES
from babelpress.student.layers import LayerPlan
from tests.exports import missed_export
from tests.reports.figures import make_recipe, make_results, without_scores
from tests.reports.html import Element, table_rows
from tests.reports.page_figures import (
    leaves,
    make_facts,
    make_full_results,
    make_manifests,
    make_plain_facts,
    read_page,
    with_models,
)

# How the page writes a figure, by the name of its field; several where it stands in several places.
SHARES = {
    "accuracy", "found", "language_probe", "language_chance", "retention", "retention_interval", "overlap",
    "student_queries", "teacher_queries",
}  # fmt: skip
DIGITS = {
    "cosine": 3, "cosine_p5": 3, "fidelity_mean": 3,
    "fidelity_p5": 3, "alignment": 3, "uniformity": 3, "score": 2, "subsets": 2, "interval": 2, "average": 2,
    "average_interval": 2, "mean_rank": 2, "tokens_per_sentence": 1, "batched": 0, "libraries": 0,
    "resident": 0, "single_p50": 1, "single_p95": 1, "load": 2,
}  # fmt: skip
# The teacher's nearness to itself is 1, and the share that it keeps of itself.
BY_DEFINITION = {
    "overall",
    "by_language",
    "by_length",
    "fidelity_mean",
    "fidelity_p5",
    "retention",
    "retention_interval",
}


def numbers(element: Element) -> set[str]:
    """Every number that can be read."""
    return set(re.findall(r"-?\d[\d,]*(?:\.\d+)?", element.text))


def written(path: tuple[str, ...], value: float) -> str:
    name = next(part for part in reversed(path) if not part.isdigit() and part not in {"median", "low", "high"})
    if "subsets" in path:
        name = "subsets"
    if "bytes" in name:
        return f"{value / 2**20:,.1f}"
    if name in SHARES:
        return f"{100 * value:.1f}"
    return f"{value:,.{DIGITS[name]}f}" if name in DIGITS else f"{value:,}"


# --- figures ------------------------------------------------------------------------------------


def test_every_figure_of_every_model_is_on_the_page(full_page):
    shown, looked_for = numbers(full_page), 0
    for name, model in make_full_results().models.items():
        for path, value in leaves(model.model_dump()):
            if name == "teacher" and BY_DEFINITION & set(path):
                continue
            looked_for += 1
            assert written(path, value) in shown, (name, *path, value)
    assert looked_for > 240


def test_every_figure_of_the_corpus_and_of_the_training_is_on_the_page(full_page):
    results = make_full_results()
    shown = numbers(full_page)
    for path, value in (*leaves(results.corpus), *leaves(results.machine)):
        assert written(path, value) in shown, (*path, value)
    assert {"13", "9,999", "0.0093", "723"} <= shown
    assert "epoch 11" in full_page.by_id("cost").text  # best_epoch counts from 0


def test_every_stage_stands_in_the_appendix_with_key_time_and_files(full_page):
    rows = table_rows(full_page, "table-stages")
    assert list(rows) == list(STAGES)
    assert rows["pruned"] == ["13" * 16, "vocabulary, layers", "1,091.5 s (18 min)", "1", "0.9 MiB"]
    for name, manifest in make_manifests().items():
        said = full_page.by_id(f"manifest-{name}").text
        assert manifest["outputs"] in said
        assert all(file in said and entry["xxh3"] in said for file, entry in manifest["files"].items())
    assert "accelerator none" in full_page.by_id("manifest-layers").text


def test_a_figure_of_the_student_is_not_taken_from_another_model(full_page):
    rows = table_rows(full_page, "table-sizes")
    assert rows["parameters"] == ["117,653,761", "117,653,762", "117,653,763"]
    assert rows["weights on disk"] == ["450.0 MiB", "451.0 MiB", "452.0 MiB"]
    tasks = table_rows(full_page, "table-tasks")
    bounds = [model.scores["STS17"].interval for model in make_full_results().models.values()]
    shown = ("34.00", "35.00", "36.00")
    scores = [f"{score} {low:.2f} – {high:.2f}" for score, (low, high) in zip(shown, bounds, strict=True)]
    assert tasks["STS17 STS"][:5] == [*scores, "102.9 %", "105.9 %"]
    found = [model.measures.perturbed["typos"] for model in make_full_results().models.values()]
    assert table_rows(full_page, "table-disturbed")["typing errors in 5 % of the letters"] == [
        "30,003", *(text for own in found for text in (f"{100 * own.found:.1f} %", f"{own.cosine:.3f}")),
    ]  # fmt: skip


def test_what_longer_texts_lose_is_where_it_was_measured(full_page):
    said = full_page.by_id("limits").text
    assert "Trained up to 48 tokens; the student takes up to 128, and the table of lengths says how near" in said
    assert "#table-lengths" in [link.attributes["href"] for link in full_page.by_id("limits").all("a")]


def test_speed_has_the_cards_figures_and_how_they_were_measured(tiny_teacher):
    results = make_results()
    machine = {**results.machine, "accelerator": "Loom Z"}
    recipe = make_recipe("evaluation.speed_sentences=30")
    shown = read_page(make_facts(tiny_teacher, results=results.model_copy(update={"machine": machine}), recipe=recipe))
    rows = table_rows(shown, "table-speed")
    assert list(rows)[1:-1] == [
        "sentences/s", "one sentence p50, ms", "one sentence p95, ms", "load, s", "memory, MiB",
    ]  # fmt: skip
    assert rows["load, s"] == ["1.31 1.18 – 1.44", "2.31 2.08 – 2.54", "3.31 2.98 – 3.64", "2.53 ×"]
    assert rows["one sentence p50, ms"][2:] == ["20.3 18.3 – 22.3", "1.11 ×"]
    assert rows["… of it libraries, before the first load"] == ["641", "642", "643", ""]
    said = shown.by_id("speed").text
    assert "5 rounds in turn; 30 sentences in batches of 32, 30 of them one at a time; load is from a warm disk" in said
    assert "memory is the whole process's after encoding; 6 threads of Loom 9000 with Loom Z." in said


def test_exports_stand_beside_the_student(full_page):
    (export,) = make_full_results().exports
    near = export.parity
    assert table_rows(full_page, "table-exports") == {
        "onnx/model_quantized.onnx onnx-int8": [
            "12.5 MiB", f"{near.mean:.4f}", f"{near.p5:.4f}", f"{near.lowest_mean:.4f} Thai", "1.2e-03",
            "0.38",  # (0.25 + 0.5) / 2
        ]
    }  # fmt: skip
    said = full_page.by_id("exports").text
    assert "over 7,007 held-out texts of every language; points are what the mean of STS17 and STSBenchmark" in said


def test_an_export_that_was_not_written_is_told_of_with_its_figures_and_the_limit(tiny_teacher):
    facts = make_facts(tiny_teacher)
    results = facts.results.model_copy(update={"exports": (), "missed_exports": (missed_export(),)})
    shown = read_page(dataclasses.replace(facts, results=results))
    figures = table_rows(shown, "table-exports")["onnx/model_q4.onnx onnx-q4"]
    assert figures[:3] == ["not written", "0.9911", "0.9822"]
    assert "is not written: onnx-q4 (mean cosine 0.9911 is below 0.995)." in shown.by_id("exports").text


def test_points_without_a_score_were_not_measured(tiny_teacher):
    facts = make_facts(tiny_teacher)
    (export,) = facts.results.exports
    export = dataclasses.replace(export, parity=dataclasses.replace(export.parity, lost={}))
    results = facts.results.model_copy(update={"exports": (export,)})
    shown = read_page(dataclasses.replace(facts, results=results))
    assert table_rows(shown, "table-exports")["onnx/model_quantized.onnx onnx-int8"][-1] == "not measured"
    assert "points are" not in shown.by_id("exports").text


def test_parallel_sentences_are_read_as_on_the_card_with_what_guessing_gives(full_page):
    rows = table_rows(full_page, "table-parallel")
    assert list(rows) == [
        "translation is the nearest higher is better; guessing gives 2.0 %",  # 1 of 51
        "mean rank of the translation 1 is best, of 51; guessing gives 26.0",
        "language told by a linear probe lower is better; guessing gives 7.1 %",  # 1 of 14
        "alignment squared distance of translations; lower is better where uniformity is as low",
        "uniformity lower is better: different meanings lie further apart",
    ]
    seen = [model.parallel for model in make_full_results().models.values()]
    assert list(rows.values()) == [
        [f"{100 * own.accuracy:.1f} %" for own in seen], [f"{own.mean_rank:.2f}" for own in seen],
        [f"{100 * own.language_probe:.1f} %" for own in seen], [f"{own.alignment:.3f}" for own in seen],
        [f"{own.uniformity:.3f}" for own in seen],
    ]  # fmt: skip


def test_means_are_of_groups_and_the_average_is_that_of_the_run(full_page):
    rows = table_rows(full_page, "table-groups")
    assert list(rows) == ["Bitext 1 task", "Classification 1 task", "STS 2 tasks", "average 4 tasks"]
    own = table_rows(full_page, "table-tasks")
    of_tasks = [cells for name, cells in own.items() if name.endswith("Bitext")]
    assert rows["Bitext 1 task"][:3] == of_tasks[0][:3]  # of one task, the interval is the group's as well
    # (34 + 51.40) / 2 and so on; 43.70 / 42.70 and 44.70 / 42.70
    assert rows["STS 2 tasks"][:5] == ["42.70", "43.70", "44.70", "102.3 %", "104.7 %"]
    # (80.20 + 70.30 + 33.0 + 50.40) / 4 + 1; 1 - 0.0917 and 1 - 2 * 0.0917
    assert rows["average 4 tasks"][0].startswith("59.48 ")
    assert [cell.split(" ")[0] for cell in rows["average 4 tasks"][3:5]] == ["90.8", "81.7"]


def test_scores_by_language_are_those_of_subsets_in_one_language(full_page):
    rows = table_rows(full_page, "table-languages")
    assert list(rows) == ["English en, 1 task", "Korean ko, 1 task", "pairs of languages 1 task"]
    assert table_rows(full_page, "table-other-languages")["Arabic ar, 1 task"][:3] == ["31.50", "32.50", "33.50"]
    assert rows["Korean ko, 1 task"][:3] == ["35.50", "36.50", "37.50"]
    # en-de, es-en and nl-en: (31.5 + 33.5 + 35.5) / 3 + 1 and one more for each model
    assert rows["pairs of languages 1 task"][:3] == ["34.50", "35.50", "36.50"]


def test_pairs_of_embedded_sentences_are_in_no_table_of_subsets_and_languages(tiny_teacher, full_page):
    facts = make_facts(tiny_teacher)
    retrieval = Score(kind="Bitext", score=80.0, subsets={"en-ko": 70.0, "en-pt": 80.0, "ko-pt": 90.0})
    models = {
        name: model.model_copy(update={"scores": {**model.scores, BITEXT: retrieval}})
        for name, model in facts.results.models.items()
    }
    shown = read_page(make_facts(tiny_teacher, results=with_models(facts, models)))
    assert "en-pt" not in shown.text
    assert "Every subset of 1 task" in shown.text
    assert table_rows(shown, "table-languages") == table_rows(full_page, "table-languages")


def test_the_four_tiles_say_size_parameters_retention_and_speed(tiny_teacher):
    facts = make_facts(tiny_teacher)
    models = dict(facts.results.models)
    models["distilled"] = models["distilled"].model_copy(update={"parameters": 13_107_200})
    (tiles,) = [
        element
        for element in read_page(make_facts(tiny_teacher, results=with_models(facts, models))).all("ul")
        if element.attributes.get("class") == "tiles"
    ]
    size, parameters, retention, speed = (tile.text for tile in tiles.all("li"))
    # 4 * 13,107,200 bytes are 50 MiB; 117,653,761 / 13,107,200 = 8.976
    assert size.startswith("50.0 MiB weights in fp32 11.1 % of the teacher's 448.8 MiB: 8.98 × smaller")
    assert parameters.startswith("13.1 M parameters of 117.7 M (13,107,200 of 117,653,761)")
    bounds = facts.student.retention_interval
    assert retention.startswith(f"81.7 % of the teacher's average score 95 % interval {100 * bounds[0]:.1f} – ")
    own, theirs = facts.student.speed.batched.median, facts.original.speed.batched.median
    assert speed.startswith(f"{own / theirs:.2f} × as many sentences a second as the teacher {own:.0f} instead of")
    assert all(tile.endswith("from evaluation") for tile in (size, parameters, retention, speed))


def test_parameters_by_part_add_up_to_all(tiny_teacher):
    facts = make_facts(tiny_teacher)
    for model in facts.results.models.values():
        parts = count_parts(facts, model)
        assert sum(parts.values()) == model.parameters
        assert parts["token embeddings"] == model.vocab_size * 384
        assert parts["pooler"] == 384 * 384 + 384
    # four projections and two matrices of the tiny teacher's inner layer of 32, biases, two LayerNorms
    one = 4 * (384 * 384 + 384) + 384 * 32 + 32 + 32 * 384 + 384 + 4 * 384
    assert count_parts(facts, facts.student)["layers"] == 2 * one


def test_the_squares_have_areas_as_the_weights(tiny_teacher):
    facts = make_facts(tiny_teacher)
    small = facts.student.model_copy(update={"parameters": facts.original.parameters // 16})
    facts = make_facts(tiny_teacher, results=with_models(facts, {**facts.results.models, "distilled": small}))
    assert compare_sizes(facts).side == pytest.approx(1 / 4, abs=1e-6)


def test_kept_layers_are_filled_and_influence_is_of_the_strongest(tiny_teacher):
    plan = LayerPlan((0, 2), 3, "they do most", (0.5, 0.125, 0.25))
    strip = draw_layers(make_facts(tiny_teacher, layers=plan))
    assert [(box.number, box.kept, box.influence) for box in strip.boxes] == [
        (0, True, 1.0), (1, False, 0.25), (2, True, 0.5),
    ]  # fmt: skip
    drawn = read_page(make_facts(tiny_teacher, layers=plan)).by_id("kept")
    boxes = [group.attributes["class"] for group in drawn.all("g") if group.all("rect")]
    assert boxes == ["kept", "dropped", "kept"]
    assert "0: 0.5000, 1: 0.1250, 2: 0.2500" in drawn.text


def test_more_layers_than_a_line_holds_go_on_below(tiny_teacher):
    strip = draw_layers(make_facts(tiny_teacher, layers=LayerPlan((0, 23), 24, "ends")))
    assert [[box.number for box in line] for line in strip.lines] == [list(range(12)), list(range(12, 24))]


def test_the_epoch_whose_weights_were_kept_is_set_apart(tiny_teacher):
    facts = make_facts(tiny_teacher)
    history = [{"loss": 0.75, "cosine": 0.5}, {"loss": 0.25, "cosine": 0.9}, {"loss": 0.5, "cosine": 0.8}]
    training = {**facts.results.distillation, "history": history, "best_epoch": 1}
    table = read_page(dataclasses.replace(facts, results=facts.results.model_copy(update={"distillation": training})))
    rows = table.by_id("table-history").all("tr")[1:]
    assert [row.attributes.get("class") for row in rows] == [None, "mean", None]
    assert rows[1].text == "2 0.2500 0.9000"


def test_what_is_found_again_is_percent_and_cosines_are_not(full_page):
    near = make_full_results().models["distilled"].measures
    rows = table_rows(full_page, "table-closeness")
    assert [rows[name][-1] for name in ("cosine", "same ten", "own queries", "teacher's queries")] == [
        f"{near.overall.cosine:.3f}", f"{100 * near.overall.overlap:.1f} %",
        f"{100 * near.overall.student_queries:.1f} %", f"{100 * near.overall.teacher_queries:.1f} %",
    ]  # fmt: skip
    korean = near.by_language["ko"]
    assert table_rows(full_page, "table-closeness-languages")["Korean ko"][-5:-2] == [
        f"{korean.cosine:.3f}", f"{korean.cosine_p5:.3f}", f"{100 * korean.overlap:.1f} %",
    ]  # fmt: skip


# --- what was not measured ----------------------------------------------------------------------


def test_what_was_not_measured_leaves_no_trace_of_a_missing_value(plain_page, full_page):
    for one in (plain_page, full_page):
        assert not re.search(r"\b(None|nan|NaN|inf|Undefined|True|False)\b", one.text)


def test_what_was_not_measured_is_said(plain_page):
    assert "Disturbed text and parallel sentences: not measured" in plain_page.by_id("measures").text
    assert "Speed and memory: not measured" in plain_page.by_id("speed").text
    assert "not measured as many sentences a second as the teacher" in plain_page.text
    assert "no interval was measured" in plain_page.text
    assert "sentences, not measured on disk" in plain_page.by_id("cost").text
    ids = {element.attributes.get("id") for element in plain_page.walk()}
    assert "what longer texts lose was not measured" in plain_page.by_id("limits").text
    assert not ids & {"pictures", "table-parallel", "table-disturbed", "table-lengths", "table-missing"}


@pytest.mark.parametrize(
    ("field", "left_out", "said", "there"),
    [
        ("parallel", None, "Parallel sentences: not measured.", "table-disturbed"),
        ("measures", {"perturbed": {}}, "Disturbed text: not measured.", "table-parallel"),
    ],
)
def test_one_of_two_that_was_not_measured_is_said(tiny_teacher, full_page, field, left_out, said, there):
    facts = make_facts(tiny_teacher)
    models = {
        name: model.model_copy(update={field: left_out and getattr(model, field).model_copy(update=left_out)})
        for name, model in facts.results.models.items()
    }
    shown = read_page(dataclasses.replace(facts, results=with_models(facts, models))).by_id("measures")
    assert said in shown.text
    assert shown.by_id(there)
    assert "not measured." not in full_page.by_id("measures").text


def test_a_run_without_a_score_has_no_retention_of_0(tiny_teacher):
    facts = make_plain_facts(tiny_teacher)
    shown = read_page(dataclasses.replace(facts, results=without_scores(facts.results)))
    assert "not measured of the teacher's average score no task was scored" in shown.text
    assert "Not measured: the recipe names no task" in shown.by_id("scores").text
    assert "0.00" not in shown.by_id("scores").text


def test_a_column_that_no_model_has_is_not_drawn(tiny_teacher):
    facts = make_facts(tiny_teacher)
    models = {}
    for name, model in facts.results.models.items():
        near = {
            code: own.model_copy(update={"overlap": None, "student_queries": None, "teacher_queries": None})
            for code, own in model.measures.by_language.items()
        }
        models[name] = model.model_copy(update={"measures": model.measures.model_copy(update={"by_language": near})})
    table = read_page(dataclasses.replace(facts, results=with_models(facts, models))).by_id("table-closeness-languages")
    assert [cell.text for cell in table.all("tr")[1].all("th")] == ["language", "texts", *["cosine", "5th pct."] * 2]
    assert [cell.attributes["colspan"] for cell in table.all("th") if "colspan" in cell.attributes] == ["2", "2"]


def test_a_table_without_its_empty_columns_keeps_rows_and_headings_together():
    table = Table(
        "t", "T", (Column("a"), Column("b", "x"), Column("c", "x"), Column("d")),
        tuple(Row(name, (Cell("not measured"), Cell(name * 2), Cell(name * 3))) for name in "12"), (),
    ).without_empty_columns()  # fmt: skip
    assert [column.name for column in table.columns] == ["a", "c", "d"]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["11", "111"], ["22", "222"]]
    assert [(heading.name, heading.span) for heading in table.headings] == [("", 1), ("x", 1), ("", 1)]


def test_a_language_without_held_out_text_says_so(full_page):
    cells = table_rows(full_page, "table-vocabulary")["word lists of the teacher's pieces zxx"]
    assert cells == ["9", "93.2 %", *["not measured"] * 6]


def test_tokens_are_told_to_be_those_of_what_was_held_out_for_stopping(full_page):
    heads = [cell.text for cell in full_page.by_id("table-vocabulary").all("tr")[0].all("th")]
    assert heads == ["training text", "held out for stopping"]


def test_missing_tasks_stand_there_with_the_reason_and_in_no_mean(tiny_teacher):
    facts = make_facts(tiny_teacher, recipe=make_recipe("evaluation.tasks=[STS17, Gone]"))
    models = dict(facts.results.models)
    only = {**models["teacher"].scores, "ForTheTeacher": Score(kind="STS", score=99.25)}
    models["teacher"] = models["teacher"].model_copy(update={"scores": only})
    shown = read_page(dataclasses.replace(facts, results=with_models(facts, models)))
    rows = table_rows(shown, "table-missing")
    assert rows["AmazonReviews"] == ["missing", "missing", "missing", "its data <are> gone & nobody knows where"]
    assert rows["Gone"] == ["missing", "missing", "missing", "no score of teacher, pruned, student"]
    assert rows["ForTheTeacher"] == ["99.25", "missing", "missing", "no score of pruned, student"]
    groups = table_rows(shown, "table-groups")
    assert groups["STS 2 tasks"][0] == "42.70"
    # all have four tasks; the teacher's own average counts five: (81.20 + 71.30 + 34 + 51.40 + 99.25) / 5
    assert groups["average 4 tasks"][:3] == ["59.48", "60.48", "61.48"]


def test_a_run_whose_corpus_was_not_looked_through_says_so_in_words(tiny_teacher):
    facts = make_facts(tiny_teacher)
    corpus = {**facts.results.corpus, "contamination": None}
    shown = read_page(dataclasses.replace(facts, results=facts.results.model_copy(update={"corpus": corpus})))
    assert "Not looked for: the recipe switches this off" in shown.by_id("contamination").text
    assert not shown.by_id("contamination").all("table")


def test_whose_work_went_into_the_student_stands_there(full_page):
    assert table_rows(full_page, "table-licences") == {
        "the teacher": ["mit"],
        "tatoeba <3": ["cc-by-2.0; Tatoeba"],
    }


def test_test_data_that_were_found_are_counted_by_task(full_page):
    rows = table_rows(full_page, "table-contamination")
    assert rows == {"embedded sentences": ["1,717", "2,828"], "STS17": ["4,949", "0"]}


def test_stages_of_other_versions_are_told_apart(tiny_teacher):
    manifests = make_manifests()
    manifests["evaluation"]["versions"] = {"python": "3.11.7", "babelpress": "0.2.0", "mteb": "2.20"}
    rows = table_rows(read_page(make_facts(tiny_teacher, manifests=manifests)), "table-versions")
    assert rows["babelpress"] == ["0.1.0", "0.2.0"]
    assert rows["mteb"] == ["not measured", "2.20"]
