"""mteb's figures with all that tells where they are from, read from the files that it leaves behind."""

from __future__ import annotations

import warnings
from pathlib import Path

import mteb
import pytest
from mteb.results import TaskResult

from babelpress.architectures.encoders import load_encoder
from babelpress.errors import EvaluationError
from babelpress.evaluation.tasks.entries import Entry, read_entries
from babelpress.evaluation.tasks.scoring import ScoringSettings, Subject, score_models
from tests.evaluation.local import MULTILINGUAL, write_multilingual

MODEL, HASH = "babelpress/try", 32 * "c"
COUNTERFACTUAL = "AmazonCounterfactualClassification"


def row(subset: str, score: float, **more: float) -> dict:
    return {"hf_subset": subset, "languages": ["eng-Latn"], "main_score": score, **more}


def keep(cache: Path, task: str, scores: dict) -> TaskResult:
    """Write a task's result where mteb would."""
    result = TaskResult.from_task_results(
        task=mteb.get_task(task),
        scores={split: {one["hf_subset"]: one for one in rows} for split, rows in scores.items()},
        evaluation_time=1.0,
    )
    path = cache / "results" / "babelpress__try" / HASH / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    result.to_disk(path)
    return result


def read(cache: Path, *tasks: str) -> tuple[Entry, ...]:
    return read_entries(cache, tasks, model_id=MODEL, weights_hash=HASH)


def test_every_split_and_subset_is_an_entry_with_mtebs_own_facts(tmp_path):
    scores = {"validation": [row("en", 0.5, accuracy=0.5)], "test": [row("en", 0.61234567), row("de", 0.75)]}
    result = keep(tmp_path, COUNTERFACTUAL, scores)
    found = read(tmp_path, COUNTERFACTUAL)
    assert [(entry.split, entry.subset, entry.score) for entry in found] == [
        ("validation", "en", 50.0), ("test", "en", 61.2346), ("test", "de", 75.0),
    ]  # fmt: skip
    assert {entry.kind for entry in found} == {"Classification"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = result.get_hf_eval_results()
    for entry, its in zip(found, theirs, strict=True):
        assert (entry.dataset, entry.subset, entry.split) == (its.dataset_type, its.dataset_config, its.dataset_split)
        assert (entry.revision, entry.metric) == (its.dataset_revision, its.metric_type)
        assert f"{entry.task} ({entry.subset})" == its.dataset_name


def test_tasks_come_in_the_order_in_which_they_were_asked_for(tmp_path):
    for task in ("STSBenchmark", COUNTERFACTUAL):
        keep(tmp_path, task, {"test": [row("default", 0.5)]})
    assert [entry.task for entry in read(tmp_path, COUNTERFACTUAL, "STSBenchmark")] == [COUNTERFACTUAL, "STSBenchmark"]


def test_a_score_that_is_no_number_is_left_out(tmp_path):
    keep(tmp_path, COUNTERFACTUAL, {"test": [row("en", float("nan")), row("de", 0.5)]})
    assert [entry.subset for entry in read(tmp_path, COUNTERFACTUAL)] == ["de"]


@pytest.mark.parametrize("revision", ["local-0123456789ab", "main", "1.0", 39 * "a", 40 * "A"])
def test_what_is_no_commit_of_the_hub_is_no_revision(tmp_path, revision):
    result = keep(tmp_path, COUNTERFACTUAL, {"test": [row("en", 0.5)]})
    result.dataset_revision = revision
    result.to_disk(tmp_path / "results" / "babelpress__try" / HASH / f"{COUNTERFACTUAL}.json")
    assert [entry.revision for entry in read(tmp_path, COUNTERFACTUAL)] == [None]


def test_a_local_copy_that_was_scored_has_no_revision(tmp_path, tiny_teacher, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets-cache"))
    write_multilingual(tmp_path / "data", ("en", "de"))
    scored, _ = score_models(
        {"model": Subject(load_encoder(tiny_teacher), MODEL, HASH)}, (MULTILINGUAL,),
        ScoringSettings(tmp_path / "mteb", data_dir=tmp_path / "data", batch_size=8),
    )  # fmt: skip
    score = scored["model"][MULTILINGUAL]
    found = read(tmp_path / "mteb", MULTILINGUAL)
    assert {(entry.split, entry.subset) for entry in found} == {
        (split, code) for split in ("dev", "test") for code in ("en", "de")
    }
    assert {(entry.dataset, entry.revision, entry.metric) for entry in found} == {
        ("mteb/stsb_multi_mt", None, "cosine_spearman")
    }
    german = [entry.score for entry in found if entry.subset == "de"]
    assert sum(german) / 2 == pytest.approx(score.subsets["de"], abs=1e-4)


def test_a_result_that_is_gone_is_named_with_the_remedy(tmp_path):
    with pytest.raises(EvaluationError, match=r"STSBenchmark\.json is gone.* remove .* and run again"):
        read(tmp_path, "STSBenchmark")
