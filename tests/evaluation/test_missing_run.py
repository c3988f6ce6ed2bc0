"""A run whose task fails: said to be missing wherever figures are shown, tried again, never counted as 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from babelpress import api
from babelpress.errors import EvaluationError
from babelpress.evaluation.fidelity.bundled import BITEXT
from babelpress.evaluation.tasks import scoring
from babelpress.schema.results import Results
from babelpress.stages.engine import output_hash, read_manifest
from babelpress.utils.files import read_json
from tests.distillation import write_recipe
from tests.evaluation.local import write_classes, write_stsbenchmark

STS, TOPICS = "STSBenchmark", "Banking77Classification"
MODELS = {"teacher", "pruned", "distilled"}


class Runs:
    """One run, evaluated again and again."""

    def __init__(self, root: Path, teacher: Path) -> None:
        self.root = root
        self.recipe = write_recipe(root, teacher)
        write_stsbenchmark(root / "data")
        write_classes(root / "data")

    def evaluate(self, monkeypatch: pytest.MonkeyPatch, *, fails: bool, allow: bool) -> tuple[Results, list[Any]]:
        """Return the results and what was run: (model, task), not what was taken from before."""
        ran = []
        real = scoring.score_task

        def score_task(encoder, task, **named):
            model = encoder.mteb_model_meta.name
            if fails and model.endswith("-pruned") and task.metadata.name == STS:
                raise RuntimeError(f"no more memory, see {self.root}/log.txt")
            score = real(encoder, task, **named)
            if score.ran:
                ran.append((model.rpartition("/")[2], task.metadata.name))
            return score

        with monkeypatch.context() as patch:
            patch.setattr(scoring, "score_task", score_task)
            return api.evaluate(self.open(allow=allow)), ran

    def open(self, *, allow: bool):
        overrides = [
            f"evaluation.tasks=[{STS}, {TOPICS}]", f"evaluation.allow_missing={str(allow).lower()}",
            "evaluation.speed_sentences=2", "distillation.epochs=1",
        ]  # fmt: skip
        return api.load_run(self.recipe, output=self.root / "run", data_dir=self.root / "data", overrides=overrides)


@pytest.fixture(scope="module")
def story(tmp_path_factory, tiny_teacher) -> dict[str, Any]:
    """A task fails, fails again, and is there at last; in between nothing may be missing any more."""
    import datasets

    root = tmp_path_factory.mktemp("missing")
    told: dict[str, Any] = {"root": root}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(root / "cache"))
        runs = Runs(root, tiny_teacher)
        told["first"] = runs.evaluate(patch, fails=True, allow=True)
        told["outputs"] = [output_hash(root / "run" / "evaluation")]
        told["again"] = runs.evaluate(patch, fails=True, allow=True)
        told["outputs"].append(output_hash(root / "run" / "evaluation"))
        with pytest.raises(EvaluationError) as caught:
            runs.evaluate(patch, fails=True, allow=False)
        told["refused"] = caught.value
        told["last"] = runs.evaluate(patch, fails=False, allow=False)
        told["manifest"] = read_manifest(root / "run" / "evaluation")
        told["rest"] = runs.evaluate(patch, fails=True, allow=False)
    return told


def test_a_missing_task_has_no_score_of_any_model_and_a_reason(story):
    results, ran = story["first"]
    assert results.missing == {STS: "RuntimeError: no more memory, see log.txt"}
    assert results.models.keys() == MODELS
    assert all(STS not in model.scores and TOPICS in model.scores for model in results.models.values())
    assert ("small-teacher", STS) in ran, "it was scored for the first model, and is left out all the same"


def test_averages_are_without_it_and_not_with_0(story):
    for model in story["first"][0].models.values():
        assert model.average == pytest.approx((model.scores[BITEXT].score + model.scores[TOPICS].score) / 2)


def test_it_is_tried_again_and_nothing_else_is_run(story):
    results, ran = story["again"]
    assert results.missing.keys() == {STS}
    assert ran == [], "the teacher's is kept, the pressed one's fails"
    assert results.models["teacher"].scores == story["first"][0].models["teacher"].scores


def test_where_it_fails_again_nothing_that_hangs_on_the_evaluation_is_made_again(story):
    first, again = story["outputs"]
    assert first == again, "other timings, another card and a later hour are no other scores"


def test_the_timings_are_in_the_results_and_not_in_what_is_hashed(story):
    results = story["last"][0]
    assert all(model.speed.batched.median > 0 for model in results.models.values())
    kept = read_json(story["root"] / "run" / "evaluation" / "models.json")
    assert kept.keys() == MODELS
    assert not any("speed" in figures for figures in kept.values())


def test_where_nothing_may_be_missing_the_run_ends_with_the_reason(story):
    assert str(story["refused"]).startswith("task STSBenchmark failed for babelpress/small-pressed: RuntimeError")


def test_a_task_that_is_there_at_last_is_in_every_figure(story):
    results, ran = story["last"]
    assert results.missing == {}
    assert ran == [("small-pressed", STS), ("small", STS)]
    for name, model in results.models.items():
        assert model.scores[TOPICS] == story["first"][0].models[name].scores[TOPICS]
        assert model.average == pytest.approx(sum(model.scores[task].score for task in (BITEXT, STS, TOPICS)) / 3)


def test_a_whole_evaluation_is_not_done_again(story):
    assert story["rest"] == (story["last"][0], [])


def test_what_was_missing_leaves_no_trace_in_the_finished_stage(story):
    assert not [name for name in story["manifest"]["files"] if "missing" in name or "predictions" in name]
    assert read_json(story["root"] / "run" / "results.json")["missing"] == {}


# --- the intervals of the same run --------------------------------------------------------------


def test_every_score_and_average_of_a_run_has_its_interval(story):
    for name, model in story["last"][0].models.items():
        for score in (model.scores[BITEXT], model.scores[STS], model.scores[TOPICS]):
            assert score.interval[0] <= score.score <= score.interval[1]
        assert model.average_interval[0] < model.average < model.average_interval[1]
        if name == "teacher":
            assert model.retention_interval is None
        else:
            assert model.retention_interval[0] < model.retention < model.retention_interval[1]


def test_a_run_is_compared_with_its_teacher_in_pairs(story):
    run = story["root"] / "run"
    found = api.compare([f"{run}:teacher", str(run)])
    results = story["last"][0]
    cell = found.overall.cells[1]
    assert cell.interval == results.models["distilled"].average_interval
    difference = results.models["distilled"].average - results.models["teacher"].average
    assert cell.difference[0] < difference < cell.difference[1]
    assert found.overall.cells[0].difference is None


def test_a_lone_results_file_has_intervals_and_no_paired_difference(story, tmp_path):
    import shutil

    lone = shutil.copy(story["root"] / "run" / "results.json", tmp_path)
    found = api.compare([f"{lone}:teacher", str(lone)])
    (row,) = (row for group in found.groups for row in group.tasks if row.name == STS)
    assert row.cells[1].interval == story["last"][0].models["distilled"].scores[STS].interval
    assert row.cells[1].difference is None
