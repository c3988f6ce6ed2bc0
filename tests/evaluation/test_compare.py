"""Comparing models: like with like, nothing missing counted as 0, every figure worked out by hand."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from safetensors.numpy import load_file

from babelpress import api
from babelpress.errors import EvaluationError
from babelpress.evaluation.compare.compare import compare_scores
from babelpress.evaluation.compare.comparison import Comparison, Missing, Narrowed, Scored, SubsetRule
from babelpress.evaluation.compare.models import Wanted, score_named
from babelpress.evaluation.compare.published import published_models
from babelpress.evaluation.fidelity.bundled import BITEXT, score_bitext
from babelpress.evaluation.intervals.replicates import Replicates
from babelpress.evaluation.tasks.subset_names import subset_language
from babelpress.reports.comparison import Form, comparison_view, notes, suites_view, to_csv, to_markdown
from babelpress.reports.comparison_plot import draw_comparison
from babelpress.schema.results import Score
from babelpress.utils.files import write_json
from tests.evaluation.local import write_stsbenchmark
from tests.reports.figures import make_results
from tests.tiny import make_teacher


def sts(score: float, **subsets: float) -> Score:
    return Score(kind="STS", score=score, subsets={name.replace("_", "-"): value for name, value in subsets.items()})


def topic(score: float) -> Score:
    return Score(kind="Classification", score=score, subsets={"default": score})


BIG = Scored("big", {"s1": sts(80, en=90, ko=70), "s2": sts(60, en_de=60), "c": topic(50)}, "published")
SMALL = Scored("small", {"s1": sts(60, en=75, ko=45), "s2": sts(45, en_de=45), "c": topic(20)}, "run")


def scores_of(found: Comparison, name: str) -> list[float]:
    return [
        round(cell.score, 6) for row in (group.mean for group in found.groups) if row.name == name for cell in row.cells
    ]


def shares(row) -> list[float]:
    return [round(cell.kept, 6) for cell in row.cells]


# --- the core -----------------------------------------------------------------------------------


def test_groups_are_means_of_tasks_and_shares_are_of_the_first_model():
    found = compare_scores([BIG, SMALL])
    assert (scores_of(found, "STS"), scores_of(found, "Classification")) == ([70, 52.5], [50, 20])
    assert shares(found.groups[0].mean) == [1, 0.75]
    # (80 + 60 + 50) / 3 and (60 + 45 + 20) / 3
    assert [cell.score for cell in found.overall.cells] == [pytest.approx(190 / 3), pytest.approx(125 / 3)]
    assert shares(found.overall) == [1, round(125 / 190, 6)]
    assert found.overall.count == 3


def test_the_measure_can_be_another_model():
    found = compare_scores([BIG, SMALL], against="small")
    assert (found.against, shares(found.groups[0].mean)) == ("small", [round(70 / 52.5, 6), 1])


def test_a_task_that_one_lacks_is_left_out_for_all_and_told():
    short = Scored("short", {"s1": SMALL.scores["s1"]}, "run")
    found = compare_scores([BIG, short])
    assert found.missing == (Missing("s2", ("short",)), Missing("c", ("short",)))
    assert [[row.name for row in group.tasks] for group in found.groups] == [["s1"]]
    assert [cell.score for cell in found.overall.cells] == [80, 60], "never (80 + 0 + 0) / 3"


def test_only_the_wanted_tasks_are_compared_and_one_that_nobody_has_is_told():
    found = compare_scores([BIG, SMALL], groups={"mine": ("c", "gone")})
    assert [(group.mean.name, group.mean.count) for group in found.groups] == [("mine", 1)]
    assert found.missing == (Missing("gone", ("big", "small")),)


def test_a_score_is_over_the_subsets_that_all_have():
    wide = Scored("wide", {"s1": sts(50, en=80, ko=60, ar=10)}, "run")
    found = compare_scores([BIG, wide])
    assert [cell.score for cell in found.groups[0].tasks[0].cells] == [80, 70]
    assert found.narrowed == (Narrowed("s1", 2, {"big": 2, "wide": 3}),)


def test_a_score_can_be_over_all_subsets_as_on_a_card():
    wide = Scored("wide", {"s1": sts(50, en=80, ko=60, ar=10)}, "run")
    found = compare_scores([BIG, wide], rule=SubsetRule.ALL)
    assert [cell.score for cell in found.groups[0].tasks[0].cells] == [80, 50]
    assert any("different subsets: s1 (2/3)" in note for note in notes(found))


def test_a_task_without_a_common_subset_is_no_row():
    other = Scored("other", {"s1": sts(50, ar=50), "c": topic(30)}, "run")
    found = compare_scores([BIG, other])
    assert [row.name for group in found.groups for row in group.tasks] == ["c"]
    assert any("no subset in common: s1 (2/1)" in note for note in notes(found))


def test_the_correlation_with_the_own_teacher_is_not_compared():
    own = {"sim": Score(kind="Similarity", score=100), "c": topic(50)}
    found = compare_scores([Scored("a", own, "run"), Scored("b", own, "run")])
    assert [row.name for group in found.groups for row in group.tasks] == ["c"]
    assert found.missing == ()


def test_languages_are_means_over_tasks_of_the_subsets_in_that_language():
    a = Scored("a", {"s1": sts(0, ko_ko=50, en=90, en_de=20), "s2": sts(0, ko=80, zh_CN=40, zh_TW=60)}, "run")
    b = Scored("b", {"s1": sts(0, ko_ko=40, en=90, en_de=10), "s2": sts(0, ko=50, zh_CN=20, zh_TW=40)}, "run")
    found = compare_scores([a, b])
    rows = {row.name: ([cell.score for cell in row.cells], row.count) for row in found.languages}
    assert rows == {"ko": ([65, 45], 2), "en": ([90, 90], 1), "zh": ([50, 30], 1)}
    assert ([cell.score for cell in found.pairs.cells], found.pairs.count) == ([20, 10], 1)


def bundled_scored(name: str, **degrees: tuple[float, ...]) -> Scored:
    """A model that embeds sentences of several languages at these angles."""
    angles = {code: np.radians(own) for code, own in degrees.items()}
    vectors = {code: np.stack([np.cos(own), np.sin(own)], axis=1) for code, own in angles.items()}
    score, rows = score_bitext({code: own.astype(np.float32) for code, own in vectors.items()})
    return Scored(name, {BITEXT: score}, "run", {BITEXT: Replicates.of(rows)})


def test_bundled_sentences_are_compared_over_the_languages_that_both_models_were_scored_on():
    # en and ko: both right of one, a half and nothing of the other; with fr and de they have other scores
    one = bundled_scored("one", en=(0, 90), ko=(0, 90), fr=(90, 0))
    other = bundled_scored("other", en=(0, 90), ko=(0, 6), de=(0, 6))
    assert [model.scores[BITEXT].score for model in (one, other)] == [33.3333, pytest.approx((75 + 75 + 100) / 3, 1e-6)]
    found = compare_scores([one, other])
    assert [cell.score for cell in found.overall.cells] == [100, 75]
    assert found.narrowed == (Narrowed(BITEXT, 1, {"one": 3, "other": 3}),)
    # of two meanings a resample has none, one or both of the second: 50, 75 or 100
    assert found.overall.cells[1].interval == (50, 100)
    assert found.overall.cells[1].difference == (-50, 0)
    assert (found.languages, found.pairs) == ((), None), "they are no rows of languages"


def test_bundled_sentences_without_a_common_pair_of_languages_are_not_compared():
    one, other = bundled_scored("one", en=(0, 90), ko=(0, 90)), bundled_scored("other", en=(0, 90), de=(0, 6))
    with pytest.raises(EvaluationError, match="no task has scores of all 2 models"):
        compare_scores([one, other])


def test_tasks_without_subsets_have_no_language():
    found = compare_scores([Scored("a", {"c": topic(1)}, "run"), Scored("b", {"c": topic(2)}, "run")])
    assert (found.languages, found.pairs) == ((), None)


def test_two_models_of_one_name_stay_apart():
    assert compare_scores([BIG, BIG]).models == ("big", "big (2)")


def test_a_measure_that_scores_0_gives_no_share_and_no_crash():
    found = compare_scores([Scored("nil", {"c": topic(0)}, "run"), Scored("b", {"c": topic(2)}, "run")])
    assert [cell.kept for cell in found.overall.cells] == [None, None]
    assert "2.00 |" in to_markdown(found)


def test_one_model_is_no_comparison():
    with pytest.raises(EvaluationError, match="a comparison needs two models or more"):
        compare_scores([BIG])


def test_no_common_task_is_one_line_that_says_what_is_missing():
    with pytest.raises(EvaluationError, match=r"no task has scores of all 2 models: b has none of s1; ") as caught:
        compare_scores([BIG, Scored("b", {"other": topic(1)}, "run")])
    assert "\n" not in str(caught.value)


def test_an_unknown_measure_is_refused_with_near_names():
    with pytest.raises(EvaluationError, match=r"--against 'smal' is none of the models; did you mean small\?"):
        compare_scores([BIG, SMALL], against="smal")


@pytest.mark.parametrize(
    ("subset", "language"),
    [
        ("ko", "ko"), ("zh-CN", "zh"), ("zh-TW", "zh"), ("ko-ko", "ko"), ("en-de", ""), ("en-ext", "en"),
        ("kor_Hang", "ko"), ("eng_Latn-kor_Hang", ""), ("zho_Hans-zho_Hant", "zh"), ("cmn-eng", ""), ("arabic", "ar"),
        ("default", None), ("no", "no"), ("Level 0", None), ("", None),
    ],
)  # fmt: skip
def test_languages_are_read_from_every_spelling_of_a_subset(subset, language):
    assert subset_language(subset) == language


def test_all_subsets_of_the_published_scores_are_understood():
    names = {name for model in published_models().values() for task in model.scores.values() for name in task.subsets}
    assert {name for name in names if subset_language(name) is None} == {"default"}
    halves = {name: set(name.split("-")) - {"ext", "CN", "TW"} for name in names}
    assert {name for name in names if subset_language(name) == ""} == {n for n, own in halves.items() if len(own) > 1}


# --- intervals ----------------------------------------------------------------------------------

RISING = np.arange(1001) / 100  # 0 to 10


def with_replicates(name: str, score: float, **subsets: np.ndarray) -> Scored:
    """A model of one task, "s"; its replicates by subset."""
    whole = Replicates({code.replace("_", "-"): values for code, values in subsets.items()})
    return Scored(name, {"s": sts(score, **dict.fromkeys(subsets, score))}, "measured", {"s": whole})


def test_a_difference_is_paired_and_noise_where_its_interval_holds_0():
    first = with_replicates("first", 55, en=50 + RISING)
    near = with_replicates("near", 55.05, en=50 + RISING + np.where(RISING > 2, 0.1, -0.1))
    far = with_replicates("far", 56, en=51 + RISING)
    found = compare_scores([first, near, far])
    cells = found.groups[0].tasks[0].cells
    # the intervals of first and far overlap almost wholly, their difference is 1 in every resample
    assert [cell.interval for cell in cells] == [(50.25, 59.75), (50.15, 59.85), (51.25, 60.75)]
    assert [cell.difference for cell in cells] == [None, (-0.1, 0.1), (1.0, 1.0)]
    assert [cell.is_noise for cell in cells] == [False, True, False]


def test_differences_are_to_the_measure():
    models = [with_replicates("a", 55, en=50 + RISING), with_replicates("b", 56, en=51 + RISING)]
    cells = compare_scores(models, against="b").overall.cells
    assert [cell.difference for cell in cells] == [(-1.0, -1.0), None]


def test_an_interval_is_over_the_subsets_that_count_alone():
    wide = with_replicates("wide", 60, en=60 + RISING, ko=RISING)
    found = compare_scores([wide, with_replicates("a", 50, en=50 + RISING)])
    assert found.groups[0].tasks[0].cells[0].interval == (60.25, 69.75)
    over_all = compare_scores([wide, with_replicates("a", 50, en=50 + RISING)], rule=SubsetRule.ALL)
    # (60 + 0) / 2 + RISING
    assert over_all.languages == found.languages
    assert over_all.overall.cells[1].difference == (20.0, 20.0)
    assert {row.name: row.cells[0].interval for row in found.languages} == {"en": (60.25, 69.75)}


def test_a_mean_that_holds_a_score_without_replicates_has_no_interval():
    models = [
        Scored(name, {"s": sts(55, en=55), "t": topic(50)}, "measured", {"s": Replicates({"en": 50 + RISING})})
        for name in ("a", "b")
    ]
    found = compare_scores(models)
    assert found.groups[0].mean.cells[1].interval is not None
    assert (found.overall.cells[1].interval, found.overall.cells[1].difference) == (None, None)


def test_published_scores_have_no_intervals():
    cells = [cell for group in published(2).groups for row in group.tasks for cell in row.cells]
    assert {(cell.interval, cell.difference) for cell in cells} == {(None, None)}
    assert not any("interval" in note or "≈" in note for note in notes(published(2)))


# --- views --------------------------------------------------------------------------------------


def shown(view, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(view)
    return file.getvalue()


def published(count: int) -> Comparison:
    return compare_scores([Scored(m.name, m.scores, "published") for m in list(published_models().values())[:count]])


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_the_tables_fit_80_columns(count):
    text = shown(comparison_view(published(count)))
    assert max(map(cell_len, text.splitlines())) <= 80
    assert "multilingual-e5-small (published; the measure)" in text
    assert "…" not in text.replace("…, %", ""), "no figure and no name is cut off"


def test_the_tables_say_what_they_leave_out():
    said = " ".join(shown(comparison_view(published(4))).split())
    assert "not compared, no score of me5s_compressed: STSBenchmarkMultilingualSTS" in said
    assert "measured by others" in said


def test_markdown_has_a_table_for_groups_each_group_and_languages():
    text = to_markdown(compare_scores([BIG, SMALL]))
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## Groups", "## STS", "## Classification", "## Languages", "## Notes",
    ]  # fmt: skip
    assert "| STS (2) | 70.00 | 52.50 (75.0 %) |" in text
    assert "| group (tasks) | big (published) | small (run) |" in text
    assert "| all (3) | 63.33 | 41.67 (65.8 %) |" in text


def test_csv_has_a_line_for_each_table_row_and_model():
    lines = list(csv.DictReader(io.StringIO(to_csv(compare_scores([BIG, SMALL])))))
    # 2 groups and all, 3 tasks, en, ko and pairs; 2 models each
    assert len(lines) == 2 * (3 + 3 + 3)
    (line,) = [one for one in lines if (one["table"], one["name"], one["model"]) == ("task", "s2", "small")]
    assert (line["group"], line["score"], line["kept"], line["origin"]) == ("STS", "45.0000", "0.750000", "run")


def test_json_holds_everything_and_a_place_for_intervals():
    facts = json.loads(Form.JSON.text(compare_scores([BIG, SMALL])))
    assert facts["groups"][0]["mean"]["cells"][1] == {"score": 52.5, "kept": 0.75, "interval": None, "difference": None}
    assert (facts["rule"], facts["against"], facts["parameters"]) == ("common", "big", [None, None])


def test_a_name_with_a_bar_or_brackets_breaks_no_table():
    odd = Scored("a|b[/red]", SMALL.scores, "measured")
    assert "a\\|b[/red] (measured)" in to_markdown(compare_scores([BIG, odd]))
    assert "a|b[/red]" in shown(comparison_view(compare_scores([BIG, odd])))


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_the_plot_is_a_picture_and_the_same_every_time(tmp_path, ending, start):
    files = [tmp_path / f"{name}.{ending}" for name in "ab"]
    for file in files:
        draw_comparison(published(3), file)
    assert files[0].read_bytes().startswith(start)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_plot_that_is_no_picture_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match=r"must end in \.png or \.svg"):
        draw_comparison(published(2), tmp_path / "a.pdf")


def uncertain(count: int) -> Comparison:
    """Models of which every second one differs from the first by no more than noise."""
    shift = np.where(RISING > 2, 0.1, -0.1)
    models = [
        with_replicates(f"model-{place}", 55 - place, en=50 + RISING + (shift if place % 2 else -place))
        for place in range(count)
    ]
    return compare_scores(models)


def test_markdown_shows_intervals_and_marks_noise():
    text = to_markdown(uncertain(3))
    assert "| s | 55.00 [50.25, 59.75] | 54.00 [50.15, 59.85] (98.2 %) ≈ | 53.00 [48.25, 57.75] (96.4 %) |" in text
    assert "in square ones the 95 % interval" in text
    assert "≈ the difference to model-0 is within noise: its 95 % interval, on the same resamples, holds 0" in text


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_the_tables_mark_noise_in_80_columns(count):
    text = shown(comparison_view(uncertain(count)))
    assert max(map(cell_len, text.splitlines())) <= 80
    line = next(line for line in text.splitlines() if line.startswith("s "))
    assert line.count("≈") == count // 2
    assert ("98.2≈" in line) if count <= 3 else ("54.00≈" in line)
    assert "is within noise" in " ".join(text.split())


def test_csv_has_the_ends_of_both_intervals():
    lines = list(csv.DictReader(io.StringIO(to_csv(uncertain(2)))))
    first, second = (line for line in lines if line["table"] == "task")
    ends = ("low", "high", "difference_low", "difference_high")
    assert [first[end] for end in ends] == ["50.2500", "59.7500", "", ""]
    assert [second[end] for end in ends] == ["50.1500", "59.8500", "-0.1000", "0.1000"]


def test_json_has_both_intervals():
    cell = json.loads(Form.JSON.text(uncertain(2)))["groups"][0]["tasks"][0]["cells"][1]
    assert (cell["interval"], cell["difference"]) == ([50.15, 59.85], [-0.1, 0.1])


def test_the_plot_has_a_bar_for_every_interval_and_none_where_there_is_none(tmp_path, monkeypatch):
    from matplotlib.axes import Axes

    reaches = []
    real = Axes.bar
    monkeypatch.setattr(Axes, "bar", lambda *a, yerr, **named: reaches.append(yerr) or real(*a, yerr=yerr, **named))
    draw_comparison(uncertain(2), tmp_path / "a.png")
    draw_comparison(published(2), tmp_path / "b.png")
    assert np.allclose(reaches[0], [[4.75], [4.75]])
    assert np.allclose(reaches[1], [[3.85], [5.85]])
    assert not np.any(reaches[2:])


def test_the_notes_say_with_which_prompts_folders_were_scored():
    models = [with_replicates("a", 55, en=50 + RISING), with_replicates("b", 56, en=51 + RISING)]
    for prompts, said in (
        ({}, "without prompts but a default of their own"),
        ({"query": "query: "}, "with the prompts query 'query: '"),
    ):
        assert f"models were scored {said}" in notes(compare_scores(models, prompts=prompts))
    assert not any("prompts" in note for note in notes(compare_scores(models)))


def test_the_list_of_suites_fits_80_columns():
    from babelpress.schema.suites import shipped_suites

    text = shown(suites_view(shipped_suites()))
    assert max(map(cell_len, text.splitlines())) <= 80
    assert all(name in text for name in shipped_suites())


# --- what a user may name -----------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run" / "results.json", make_results().model_dump(mode="json"))
    return tmp_path / "run"


def test_a_candidates_size_is_its_folders_its_runs_or_its_publishers(run, tmp_path):
    wanted = Wanted((), tmp_path / "cache", bundled=True, languages=("ko", "en"))
    folder = make_teacher(tmp_path / "own", layers=1)
    tensors = load_file(folder / "model.safetensors")
    assert score_named([str(folder)], wanted)[0].parameters == sum(tensor.size for tensor in tensors.values())
    assert score_named([f"{run}:teacher"], wanted)[0].parameters == 117_653_761
    assert score_named(["published:multilingual-e5-small"], wanted)[0].parameters == 117_653_760
    assert score_named(["published:me5s_compressed"], wanted)[0].parameters is None


def test_a_run_is_its_student_unless_told(run):
    found = api.compare([f"{run}:teacher", str(run), f"{run}:pressed"])  # as it was called
    assert found.models == ("multilingual-e5-small", "try", "try:pruned")
    task = next(row for group in found.groups for row in group.tasks if row.name == "STSBenchmark")
    assert [round(cell.score, 2) for cell in task.cells] == [51.4, 53.4, 52.4]


def test_a_run_beside_published_scores_is_compared_on_the_common_tasks(run):
    found = api.compare(["published:multilingual-e5-small", str(run)], suite="me5s")
    assert [row.name for group in found.groups for row in group.tasks] == [
        "Banking77Classification",
        "STS17",
        "STSBenchmark",
    ]
    assert len(found.missing) == 23


def test_what_has_nothing_of_the_tasks_is_refused_before_a_model_is_scored(run, tmp_path, monkeypatch):
    monkeypatch.setattr("babelpress.evaluation.compare.models.load_encoder", lambda _: pytest.fail("loaded a model"))
    with pytest.raises(EvaluationError, match=r"^try has none of STS12$"):
        api.compare([str(run), "bundled"], tasks=["STS12"])
    with pytest.raises(EvaluationError, match=r"multilingual-e5-small has none of bundled bitext retrieval"):
        api.compare(["published:multilingual-e5-small", "bundled"], suite="offline")


def test_the_measure_may_be_named_as_it_was_given(run):
    found = api.compare(["published:multilingual-e5-small", str(run)], against=str(run))
    assert found.against == "try"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere", "neither a model folder .* nor a run .*published:NAME"),
        ("published:multilingual-e5-smal", "did you mean multilingual-e5-small"),
        ("{run}:distiled", "has no model 'distiled'; did you mean distilled"),
        ("{run}/..", "neither a model folder"),
    ],
)
def test_what_is_no_model_is_one_line(run, name, said):
    with pytest.raises(EvaluationError, match=said) as caught:
        api.compare([str(run), name.format(run=run)])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "{}", "[]", '{"recipe": 3}'])
def test_a_damaged_run_is_one_line(run, text):
    (run / "results.json").write_text(text)
    with pytest.raises(EvaluationError, match=r"results\.json") as caught:
        api.compare([str(run), str(run)])
    assert "\n" not in str(caught.value)


def test_a_suite_and_tasks_together_are_refused(run):
    with pytest.raises(EvaluationError, match="give one"):
        api.compare([str(run), str(run)], suite="quick", tasks=["STS12"])


def test_a_task_that_is_named_twice_counts_once(run):
    found = api.compare([str(run), f"{run}:teacher"], tasks=["STSBenchmark", "STS17", "STSBenchmark"])
    (group,) = found.groups
    assert ([row.name for row in group.tasks], group.mean.count) == (["STSBenchmark", "STS17"], 2)
    assert [cell.score for cell in group.mean.cells] == [cell.score for cell in found.overall.cells]


def test_a_model_folder_without_tasks_is_refused_before_any_work(tiny_teacher, run):
    with pytest.raises(EvaluationError, match=r"without scores; name the tasks to score it on: --suite quick"):
        api.compare([str(run), str(tiny_teacher)])


def test_an_unknown_task_for_a_model_folder_is_refused_with_near_names(tiny_teacher, run):
    with pytest.raises(EvaluationError, match=r"no task 'STSBenchmrk'; did you mean STSBenchmark"):
        api.compare([str(run), str(tiny_teacher)], tasks=["STSBenchmrk"])


@pytest.fixture
def wanted(tmp_path, monkeypatch) -> Wanted:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets-cache"))
    write_stsbenchmark(tmp_path / "data")
    return Wanted(("STSBenchmark",), cache=tmp_path / "mteb", data_dir=tmp_path / "data")


def test_two_folders_of_one_name_have_two_results_and_finished_ones_are_kept(tmp_path, wanted, monkeypatch):
    folders = [make_teacher(tmp_path / f"{seed}" / "model", layers=1, seed=seed) for seed in (1, 2)]
    first = score_named([str(folder) for folder in folders], wanted)
    assert [one.name for one in first] == ["model", "model"]
    assert first[0].scores != first[1].scores
    for name in ("README.md", "umap.png", "manifest.json", "onnx/model.onnx"):
        (folders[0] / name).parent.mkdir(exist_ok=True)
        (folders[0] / name).write_text("gained later")
    monkeypatch.setattr("sentence_transformers.SentenceTransformer.encode", _no_encoding)
    assert score_named([str(folder) for folder in folders], wanted) == first


def test_other_data_and_another_tokenizer_are_not_taken_from_the_cache(tmp_path, wanted):
    folder = make_teacher(tmp_path / "model", layers=1)
    first = score_named([str(folder)], wanted)
    write_stsbenchmark(tmp_path / "data", flip=True)
    assert score_named([str(folder)], wanted) != first
    write_stsbenchmark(tmp_path / "data")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 3, "do_lower_case": false}')
    assert list((tmp_path / "mteb").rglob("STSBenchmark.json"))
    before = len(list((tmp_path / "mteb").rglob("STSBenchmark.json")))
    score_named([str(folder)], wanted)
    assert len(list((tmp_path / "mteb").rglob("STSBenchmark.json"))) == before + 1


def test_other_prompts_are_not_taken_from_the_cache_and_other_batches_are(tmp_path, wanted, monkeypatch):
    folder = str(make_teacher(tmp_path / "model", layers=1))
    plain = score_named([folder], wanted)
    prompted = score_named([folder], replace(wanted, prompts={"STS": "query: "}))
    assert prompted != plain
    monkeypatch.setattr("sentence_transformers.SentenceTransformer.encode", _no_encoding)
    assert score_named([folder], replace(wanted, batch_size=7)) == plain
    assert score_named([folder], replace(wanted, prompts={"STS": "query: "})) == prompted


@pytest.mark.parametrize(
    ("models", "against", "said"),
    [
        (1, None, "a comparison needs two models or more; 1 was given"),
        (2, "student", r"--against 'student' is none of the models; they are: "),
    ],
)
def test_too_few_models_and_an_unknown_measure_are_refused_before_any_model_is_run(
    tiny_teacher, wanted, monkeypatch, models, against, said
):
    monkeypatch.setattr("babelpress.evaluation.compare.models.load_encoder", _no_encoding)
    with pytest.raises(EvaluationError, match=said):
        api.compare([str(tiny_teacher)] * models, tasks=wanted.tasks, cache=wanted.cache, against=against)


def test_folders_are_compared_in_pairs(tmp_path, wanted):
    folders = [str(make_teacher(tmp_path / f"m{seed}", layers=1, seed=seed)) for seed in (1, 2)]
    found = api.compare(folders, tasks=wanted.tasks, data_dir=wanted.data_dir, cache=wanted.cache, batch_size=16)
    one, other = found.overall.cells
    assert one.interval[0] < one.score < one.interval[1]
    assert other.difference[0] < other.score - one.score < other.difference[1]
    assert found.prompts == {}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 0}, r"--batch-size is 0; it must be 1 or more"),
        ({"prompts": {"qery": "query: "}}, r"--prompt 'qery' is not a name that mteb knows"),
    ],
)
def test_what_folders_cannot_be_scored_with_is_refused_before_any_work(tmp_path, tiny_teacher, wanted, options, said):
    with pytest.raises(EvaluationError, match=said):
        api.compare([str(tiny_teacher)] * 2, tasks=wanted.tasks, cache=tmp_path / "c", **options)
    assert not (tmp_path / "c").exists()


def test_the_offline_suite_scores_folders_on_the_bundled_sentences(tmp_path, tiny_teacher):
    other = make_teacher(tmp_path / "other", layers=1, seed=4)
    found = api.compare([str(tiny_teacher), str(other)], suite="offline", languages=["ko", "en"], cache=tmp_path / "c")
    assert [(group.mean.name, group.tasks[0].name) for group in found.groups] == [("Bitext", BITEXT)]
    assert found.origins == ("measured", "measured")
    assert not (tmp_path / "c").exists()


def _no_encoding(*_, **__):
    raise AssertionError("encoded again")
