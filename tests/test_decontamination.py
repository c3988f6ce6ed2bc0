"""The filter in the pipeline: what makes the corpus again, what stops a run, what the card says."""

from __future__ import annotations

from pathlib import Path

import pytest

from babelpress import api
from babelpress.corpus.build import read_texts
from babelpress.corpus.bundled import held_out_meanings
from babelpress.corpus.sentence import Split
from babelpress.errors import EvaluationError
from babelpress.recipe import Recipe
from babelpress.reports.card import render_card
from babelpress.stages.pipeline import bring_up, open_run
from babelpress.stages.run import Run
from babelpress.teacher import read_teacher
from babelpress.utils.files import read_json, write_text
from tests.distillation import RECIPE
from tests.evaluation.local import SENTENCES, write_multilingual, write_stsbenchmark
from tests.reports.figures import make_fertility, make_layers, make_recipe, make_results, make_vocabulary

FILES = "corpus.sources=[{kind: files, paths: [mine.txt], language: en}]"
STS = "evaluation.tasks=[STSBenchmark]"
OFF = "corpus.decontaminate=false"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what `datasets` prepares out of the user's home, and do not list all of mteb's tasks every time."""
    import datasets

    monkeypatch.setattr("babelpress.evaluation.tasks.mteb_tasks.check_tasks", lambda names: None)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets-cache"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of user's text with all test texts of STSBenchmark in it, in capitals; without the test data."""
    planted = [text.upper() for text in SENTENCES["en"]]
    lines = [f"line {number} of the user's own" for number in range(200)]
    write_text(tmp_path / "data" / "mine.txt", "\n".join([*lines, *planted]))
    return tmp_path / "data"


def opened(data: Path, teacher: Path, *overrides: str) -> Run:
    recipe = Recipe.parse(RECIPE.format(teacher=teacher), overrides=(FILES, *overrides))
    return open_run(recipe, output=data.parent / "run", data_dir=data)


def texts(run: Run) -> set[str]:
    return {text for split in Split for batch, _ in read_texts(run.path("corpus"), split) for text in batch}


def test_the_test_data_of_the_suite_are_not_in_the_corpus(data, tiny_teacher):
    write_stsbenchmark(data)
    run = opened(data, tiny_teacher, STS)
    bring_up(run, ["corpus"])
    assert len(texts(run)) == 200
    assert not {text.upper() for text in SENTENCES["en"]} & texts(run)
    report = read_json(run.path("corpus") / "report.json")
    assert report["contamination"] == {
        "embedded sentences": {"exact": 0, "near": 0}, "STSBenchmark": {"exact": 6, "near": 0},
    }  # fmt: skip


def test_without_test_data_the_run_stops_before_any_text_is_read(data, tiny_teacher):
    with pytest.raises(EvaluationError, match=r"task STSBenchmark must .*--data-dir.*corpus\.decontaminate=false"):
        bring_up(opened(data, tiny_teacher, STS), ["corpus"])
    assert not (data.parent / "run" / "corpus").exists()


def test_switched_off_the_run_goes_on_and_says_so_in_its_report(data, tiny_teacher):
    run = opened(data, tiny_teacher, STS, OFF)
    bring_up(run, ["corpus"])
    assert len(texts(run)) == 206
    assert read_json(run.path("corpus") / "report.json")["contamination"] is None


def test_the_embedded_sentences_stay_out_even_when_it_is_switched_off(data, tiny_teacher):
    held_out = held_out_meanings()[0].texts["en"]
    with (data / "mine.txt").open("a", encoding="utf-8") as file:
        file.write(f"\n{held_out}\n")
    run = opened(data, tiny_teacher, OFF)
    bring_up(run, ["corpus"])
    assert held_out not in texts(run)


def test_another_suite_or_other_test_data_make_the_corpus_again(data, tiny_teacher):
    write_stsbenchmark(data)
    write_multilingual(data)
    multilingual = "evaluation.tasks=[STSBenchmark, STSBenchmarkMultilingualSTS]"
    assert bring_up(opened(data, tiny_teacher), ["corpus"]) == ["corpus"]
    for overrides in (
        (STS,),
        (multilingual, "evaluation.languages=[de]"),
        (multilingual,),
        (multilingual, OFF),
        (STS,),
    ):
        assert bring_up(opened(data, tiny_teacher, *overrides), ["corpus"]) == ["corpus"], overrides
        assert bring_up(opened(data, tiny_teacher, *overrides), ["corpus"]) == []
    write_stsbenchmark(data, flip=True)
    assert bring_up(opened(data, tiny_teacher, STS), ["corpus"]) == ["corpus"]


def test_how_the_suite_is_scored_makes_nothing_again(data, tiny_teacher):
    write_stsbenchmark(data)
    bring_up(opened(data, tiny_teacher, STS), ["corpus"])
    assert bring_up(opened(data, tiny_teacher, STS, "evaluation.batch_size=7"), ["corpus"]) == []


def test_switched_off_another_suite_makes_nothing_again(data, tiny_teacher):
    bring_up(opened(data, tiny_teacher, OFF), ["corpus"])
    assert bring_up(opened(data, tiny_teacher, OFF, STS), ["corpus"]) == []


def test_a_plan_shows_what_was_left_out(data, tiny_teacher):
    plan = api.plan(opened(data, tiny_teacher))
    assert plan.facts()["corpus"]["contamination"] == {"embedded sentences": {"exact": 0, "near": 0}}


# --- the card -------------------------------------------------------------------------------------


def card(teacher: Path, **corpus: object) -> str:
    results = make_results()
    return render_card(
        results.model_copy(update={"corpus": results.corpus | corpus}), recipe=make_recipe(),
        teacher=read_teacher(str(teacher)), layers=make_layers(), vocabulary=make_vocabulary(),
        fertility=make_fertility(), picture={"languages": ["ko"], "sentences": 37},
    )  # fmt: skip


def test_the_card_counts_what_was_left_out_by_task(tiny_teacher):
    lines = card(tiny_teacher).splitlines()
    assert "| embedded sentences | 1,717 | 2,828 |" in lines
    assert "| STS17 | 4,949 | 0 |" in lines
    assert "switches this off" not in "".join(lines)


def test_the_card_says_in_words_that_nobody_looked(tiny_teacher):
    text = card(tiny_teacher, contamination=None)
    assert "**Not looked for**: the recipe switches this off (`corpus.decontaminate: false`)." in text
    assert "equal to a test text |" not in text
