"""Replicates from real mteb runs: of every kind of task, of the score that mteb counted, and kept beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from babelpress.architectures.encoders import load_encoder
from babelpress.evaluation.intervals.replicates import paired_difference, read_rows, rows_path
from babelpress.evaluation.tasks import predictions
from babelpress.evaluation.tasks import run as task_run
from babelpress.evaluation.tasks.run import TaskScore
from babelpress.evaluation.tasks.scoring import ScoringSettings, Subject, score_models
from babelpress.utils.files import read_json
from tests.evaluation import local
from tests.evaluation.local import MULTILINGUAL

pytestmark = pytest.mark.usefixtures("own_cache")

LANGUAGES = ("en", "de", "nl")


def score(folders: list[Path], tmp_path: Path, *names: str) -> list[dict[str, TaskScore]]:
    """Score tiny models on the tasks that lie in `data`."""
    settings = ScoringSettings(tmp_path / "mteb", LANGUAGES, tmp_path / "data", batch_size=16)
    return list(score_models(local.subjects_of(folders), names, settings)[0].values())


def kept_file(tmp_path: Path, task: str) -> Path:
    return rows_path(tmp_path / "mteb", model_id="babelpress/s1", weights_hash="w", task=task)


def main_scores(tmp_path: Path, task: str) -> dict[tuple[str, str], float]:
    """What mteb wrote."""
    result = read_json(tmp_path / "mteb" / "results" / "babelpress__s1" / "w" / f"{task}.json")
    return {(split, row["hf_subset"]): row["main_score"] for split, rows in result["scores"].items() for row in rows}


KINDS: dict[str, tuple[Callable[[Path], Path], str, int]] = {
    "STS": (local.write_stsbenchmark, "STSBenchmark", 36),
    "STS in several languages and splits": (local.write_multilingual, MULTILINGUAL, 36),
    "classification by accuracy": (local.write_classes, "Banking77Classification", 19),
    "classification by F1": (
        lambda data: local.write_classes(data, "BengaliSentimentAnalysis.v2"), "BengaliSentimentAnalysis.v2", 19,
    ),
    "translations in subsets": (local.write_tatoeba, "Tatoeba", 6),
    "translations in columns": (local.write_flores, "FloresBitextMining", 6),
    "pair classification": (local.write_duplicates, "SprintDuplicateQuestions", 36),
    "pair classification, all pairs in a row": (
        lambda data: local.write_duplicates(data, in_one_row=True), "SprintDuplicateQuestions", 36,
    ),
    "retrieval": (local.write_retrieval, "NFCorpus", 6),
    "retrieval without the question itself": (lambda data: local.write_retrieval(data, "FiQA2018"), "FiQA2018", 6),
    "reranking": (lambda data: local.write_retrieval(data, "SciDocsRR", ranked=True), "SciDocsRR", 6),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_resampled_is_the_score_that_mteb_counted(students, tmp_path, monkeypatch, kind):
    write, name, sentences = KINDS[kind]
    write(tmp_path / "data")
    counted = []
    real = task_run.make_row

    def spy(sampled, main_score, *, seed):
        counted.append((sampled.score(), sampled.sentences))
        return real(sampled, main_score, seed=seed)

    monkeypatch.setattr(task_run, "make_row", spy)
    (found,) = score(students[:1], tmp_path, name)
    truth = main_scores(tmp_path, name)
    assert sorted(own for own, _ in counted) == pytest.approx(sorted(truth.values()), abs=1e-6)
    assert {size for _, size in counted} == {sentences}
    rows = read_rows(kept_file(tmp_path, name))
    assert {place: row.score for place, row in rows.items()} == pytest.approx(truth, abs=1e-6)
    assert all(row.replicates is not None for row in rows.values())
    assert set(found[name].replicates.subsets) == set(found[name].subsets)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "pair classification" not in kind])
def test_the_interval_is_around_the_score(students, tmp_path, kind):
    """Of 6 sentences few resamples are like another; the best of several measures is above each of them."""
    write, name, _ = KINDS[kind]
    write(tmp_path / "data")
    (found,) = score(students[:1], tmp_path, name)
    shown = found[name].as_score()
    assert shown.interval[0] <= shown.score <= shown.interval[1]
    middle = found[name].replicates.over(found[name].subsets).mean()
    assert middle == pytest.approx(shown.score, abs=0.25 * np.ptp(shown.interval) + 1e-3)


def test_clusterings_have_no_interval_and_are_not_run_again_for_one(students, tmp_path, monkeypatch):
    local.write_clusters(tmp_path / "data")
    name = "TwentyNewsgroupsClustering.v2"
    (found,) = score(students[:1], tmp_path, name)
    assert found[name].as_score().interval is None
    assert not kept_file(tmp_path, name).exists()
    monkeypatch.setattr("sentence_transformers.SentenceTransformer.encode", _no_encoding)
    assert score(students[:1], tmp_path, name) == [found]


def test_predictions_that_do_not_give_mtebs_score_give_no_interval(students, tmp_path, monkeypatch):
    local.write_stsbenchmark(tmp_path / "data")
    real = predictions.spearman
    monkeypatch.setattr(predictions, "spearman", lambda own, gold: real(own, np.roll(gold, 1)))
    (found,) = score(students[:1], tmp_path, "STSBenchmark")
    assert found["STSBenchmark"].as_score().interval is None
    assert found["STSBenchmark"].score == pytest.approx(100 * main_scores(tmp_path, "STSBenchmark")["test", "default"])
    monkeypatch.setattr("sentence_transformers.SentenceTransformer.encode", _no_encoding)
    assert score(students[:1], tmp_path, "STSBenchmark") == [found], "nor is it run again for one"


def test_predictions_of_another_form_give_no_interval_and_a_warning(students, tmp_path, monkeypatch, caplog):
    local.write_stsbenchmark(tmp_path / "data")
    monkeypatch.setattr(
        predictions, "_KINDS", predictions._KINDS | {"AbsTaskSTS": predictions._KINDS["AbsTaskRetrieval"]}
    )
    monkeypatch.setattr(task_run, "allows_intervals", lambda task: True)
    (found,) = score(students[:1], tmp_path, "STSBenchmark")
    assert found["STSBenchmark"].as_score().interval is None
    assert "STSBenchmark: no interval: mteb's predictions have an unknown layout" in caplog.text


def test_mtebs_own_predictions_are_gone(students, tmp_path):
    local.write_stsbenchmark(tmp_path / "data")
    score(students[:1], tmp_path, "STSBenchmark")
    assert not list((tmp_path / "mteb").rglob("*predictions*"))


def test_two_models_are_scored_on_the_same_resamples(students, tmp_path):
    """One model under two names: its replicates are the same, so the difference is nothing at all."""
    local.write_multilingual(tmp_path / "data")
    model = load_encoder(students[0])
    subjects = {name: Subject(model, f"babelpress/{name}", "w") for name in ("one", "other")}
    found, _ = score_models(
        subjects, (MULTILINGUAL,), ScoringSettings(tmp_path / "mteb", None, tmp_path / "data", batch_size=16)
    )
    one, other = (found[name][MULTILINGUAL].replicates.over(LANGUAGES) for name in subjects)
    assert paired_difference(one, other) == (0.0, 0.0)


def test_translations_of_the_same_pairs_are_resampled_together(students, tmp_path):
    """A subset that is another one again adds no sentences: the mean is as uncertain as each of them."""
    tables = {
        code: {split: local.pairs("en", score="similarity_score") for split in ("dev", "test")} for code in LANGUAGES
    }
    local.write_task(tmp_path / "data", MULTILINGUAL, tables)
    (found,) = score(students[:1], tmp_path, MULTILINGUAL)
    replicates = found[MULTILINGUAL].replicates
    assert replicates.over(LANGUAGES) == pytest.approx(replicates.over(["de"]), abs=1e-3)


# --- kept beside mteb's result ------------------------------------------------------------------


def test_a_finished_task_is_taken_with_its_replicates(students, tmp_path, monkeypatch):
    local.write_multilingual(tmp_path / "data")
    first = score(students[:1], tmp_path, MULTILINGUAL)[0][MULTILINGUAL]
    monkeypatch.setattr("mteb.evaluate", _no_encoding)
    again = score(students[:1], tmp_path, MULTILINGUAL)[0][MULTILINGUAL]
    assert (first.ran, again.ran) == (True, False)
    assert again == first
    assert again.as_score() == first.as_score()
    assert np.array_equal(again.replicates.over(LANGUAGES), first.replicates.over(LANGUAGES))


@pytest.mark.parametrize("harm", ["gone", "half written", "of another score"])
def test_replicates_that_are_not_there_are_made_for_that_task_alone(students, tmp_path, harm):
    local.write_stsbenchmark(tmp_path / "data")
    local.write_classes(tmp_path / "data")
    names = ("STSBenchmark", "Banking77Classification")
    first = score(students[:1], tmp_path, *names)[0]
    file = kept_file(tmp_path, "STSBenchmark")
    whole = file.read_bytes()
    file.unlink()
    if harm != "gone":
        file.write_bytes(whole[:100] if harm == "half written" else _other_score(whole))
    again = score(students[:1], tmp_path, *names)[0]
    assert {name: one.ran for name, one in again.items()} == {"STSBenchmark": True, "Banking77Classification": False}
    assert again == first
    assert file.read_bytes() == whole


def _other_score(file: bytes) -> bytes:
    place = file.index(b'test/default\\": 0.') + len(b'test/default\\": 0.')
    return file[:place] + b"7" + file[place + 1 :]


def test_a_split_without_replicates_is_scored_again_and_no_other(students, tmp_path, monkeypatch):
    """Killed between mteb's result and ours: the last split of the last subset has none."""
    from babelpress.evaluation.intervals.replicates import write_rows

    local.write_multilingual(tmp_path / "data")
    first = score(students[:1], tmp_path, MULTILINGUAL)[0]
    file = kept_file(tmp_path, MULTILINGUAL)
    whole, content = read_rows(file), load_file(file)
    write_rows(file, {place: row for place, row in whole.items() if place != ("test", "nl")})
    encoded = _count_encodings(monkeypatch)
    assert score(students[:1], tmp_path, MULTILINGUAL)[0] == first
    assert len(encoded) == 2, "the two sides of the pairs of one split"
    assert {name: values.tolist() for name, values in load_file(file).items()} == {
        name: values.tolist() for name, values in content.items()
    }
    assert main_scores(tmp_path, MULTILINGUAL).keys() == whole.keys()


def test_a_result_that_a_killed_process_left_half_written_is_made_again(students, tmp_path):
    local.write_stsbenchmark(tmp_path / "data")
    local.write_clusters(tmp_path / "data")
    names = ("STSBenchmark", "TwentyNewsgroupsClustering.v2")
    first = score(students[:1], tmp_path, *names)
    for name in names:
        file = tmp_path / "mteb" / "results" / "babelpress__s1" / "w" / f"{name}.json"
        file.write_bytes(file.read_bytes()[:80])
    assert score(students[:1], tmp_path, *names) == first


def _count_encodings(monkeypatch) -> list[int]:
    from sentence_transformers import SentenceTransformer

    calls: list[int] = []
    real = SentenceTransformer.encode

    def spy(self, texts, **named):
        calls.append(len(texts))
        return real(self, texts, **named)

    monkeypatch.setattr(SentenceTransformer, "encode", spy)
    return calls


def _no_encoding(*_, **__):
    raise AssertionError("encoded again")


@pytest.mark.shared
def test_the_shared_data_have_intervals(shared, students, tmp_path):
    settings = ScoringSettings(tmp_path / "mteb", ("de",), shared / "eval" / "data")
    names = ("STSBenchmark", "AmazonCounterfactualClassification")
    found = score_models(local.subjects_of(students[:1]), names, settings)[0]["s1"]
    assert all(low < one.score < high for one in found.values() for low, high in [one.as_score().interval])
