"""mteb tasks on local data: whose score it is, on which texts, and what happens when one fails."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from babelpress.architectures.encoders import load_encoder
from babelpress.errors import EvaluationError
from babelpress.evaluation.tasks.mteb_tasks import check_tasks, open_task
from babelpress.evaluation.tasks.progress import track_tasks
from babelpress.evaluation.tasks.run import TaskScore
from babelpress.evaluation.tasks.scoring import ScoringSettings, Subject, run_tasks
from tests.evaluation.local import MULTILINGUAL, pairs, write_multilingual, write_stsbenchmark, write_task
from tests.tiny import make_teacher

pytestmark = pytest.mark.usefixtures("own_cache")

SIXTEEN = ("ko", "en", "ja", "zh", "es", "fr", "de", "pt", "it", "ru", "ar", "hi", "th", "vi", "id", "pl")


def score(folder: Path, tmp_path: Path, *, names=("STSBenchmark",), weights_hash="w", **changes) -> list[TaskScore]:
    settings = {"cache": tmp_path / "mteb", "data_dir": tmp_path / "data", "batch_size": 16} | changes
    subject = Subject(load_encoder(folder), "babelpress/x", weights_hash)
    with track_tasks([("x", name) for name in names]) as clock:
        return run_tasks(subject, names, ScoringSettings(**settings), clock=clock, model="x")


def test_two_local_students_have_two_results(students, tmp_path):
    write_stsbenchmark(tmp_path / "data")
    found = [score(folder, tmp_path, weights_hash=folder.name)[0].score for folder in students]
    alone = [score(folder, tmp_path, cache=tmp_path / folder.name)[0].score for folder in students]
    assert found == alone
    assert found[0] != found[1]


def test_a_score_is_in_percent_and_that_of_sentence_transformers(students, tmp_path):
    from scipy.stats import spearmanr

    write_stsbenchmark(tmp_path / "data")
    (found,) = score(students[0], tmp_path)
    model = load_encoder(students[0])
    first, second = (model.encode([row[side] for row in pairs()]) for side in ("sentence1", "sentence2"))
    truth = spearmanr((first * second).sum(axis=1), [row["score"] for row in pairs()]).statistic
    assert (found.task, found.kind) == ("STSBenchmark", "STS")
    assert found.score == pytest.approx(100 * truth, abs=0.2), "equal sentences tie, but for rounding"


def test_the_metadata_that_all_tasks_share_is_not_changed(students, tmp_path):
    import mteb

    before = dict(mteb.get_task("STSBenchmark").metadata.dataset)
    write_stsbenchmark(tmp_path / "data")
    opened = open_task("STSBenchmark", languages=None, data_dir=tmp_path / "data")
    assert opened.metadata.dataset["path"] == str(tmp_path / "data" / "STSBenchmark")
    assert dict(mteb.get_task("STSBenchmark").metadata.dataset) == before


def test_other_local_data_are_not_taken_from_the_cache_of_datasets(students, tmp_path):
    write_stsbenchmark(tmp_path / "data")
    (straight,) = score(students[0], tmp_path, cache=tmp_path / "one")
    write_stsbenchmark(tmp_path / "data", flip=True)
    (flipped,) = score(students[0], tmp_path, cache=tmp_path / "two")
    assert flipped.score == pytest.approx(-straight.score, abs=0.01)


def test_only_the_wanted_languages_are_scored(students, tmp_path):
    write_multilingual(tmp_path / "data")
    (found,) = score(students[0], tmp_path, names=(MULTILINGUAL,), languages=("de", "en"))
    assert list(found.subsets) == ["de", "en"]


def test_a_multilingual_score_is_the_mean_of_its_subsets(students, tmp_path):
    write_multilingual(tmp_path / "data")
    (found,) = score(students[0], tmp_path, names=(MULTILINGUAL,))
    assert list(found.subsets) == ["de", "en", "nl"], "of ten subsets, those that the local copy has"
    assert found.score == pytest.approx(sum(found.subsets.values()) / 3, abs=0.001)


def test_massive_chinese_is_kept_although_mteb_tags_it_cmo():
    task = open_task("MassiveIntentClassification", languages=SIXTEEN, data_dir=None)
    assert set(task.hf_subsets) == {"zh-CN", "zh-TW", *SIXTEEN} - {"zh"}


def test_a_cross_lingual_pair_needs_both_of_its_languages():
    assert set(open_task("STS17", languages=("en", "de"), data_dir=None).hf_subsets) == {"en-en", "en-de"}


def test_a_task_without_a_wanted_language_is_refused_by_name():
    with pytest.raises(EvaluationError, match=r"MTOPDomainClassification has no subset in ko alone"):
        open_task("MTOPDomainClassification", languages=("ko",), data_dir=None)


def test_a_task_of_one_language_ignores_the_restriction():
    assert open_task("STSBenchmark", languages=("ko",), data_dir=None).hf_subsets == ["default"]


def test_local_data_without_a_wanted_subset_say_what_they_have(tmp_path):
    write_multilingual(tmp_path, ("nl",))
    with pytest.raises(EvaluationError, match=r"holds none of the wanted subsets of .*; it has: nl"):
        open_task(MULTILINGUAL, languages=("de",), data_dir=tmp_path)


def test_a_task_whose_data_are_missing_fails_in_one_line_with_the_remedy(students, tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises(EvaluationError) as caught:
        score(students[0], tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    assert "task STSBenchmark failed for babelpress/x" in message
    assert "mteb/stsbenchmark-sts" in message
    assert "HF_HUB_OFFLINE" in message
    assert "--data-dir" in message


def test_a_task_whose_data_are_broken_fails_in_one_line(students, tmp_path):
    write_task(tmp_path / "data", "STSBenchmark", {"": {"test": [{"left": "a", "right": "b"}]}})
    with pytest.raises(EvaluationError, match="task STSBenchmark failed for babelpress/x") as caught:
        score(students[0], tmp_path)
    assert "\n" not in str(caught.value)


def test_a_failed_task_fails_the_run_and_keeps_the_finished_ones(students, tmp_path, monkeypatch):
    write_stsbenchmark(tmp_path / "data")
    with pytest.raises(EvaluationError, match="BIOSSES"):
        score(students[0], tmp_path, names=("STSBenchmark", "BIOSSES"))
    monkeypatch.setattr("sentence_transformers.SentenceTransformer.encode", _no_encoding)
    assert score(students[0], tmp_path)[0].task == "STSBenchmark"


def test_a_finished_task_is_not_run_again(students, tmp_path, monkeypatch):
    write_stsbenchmark(tmp_path / "data")
    first = score(students[0], tmp_path)
    monkeypatch.setattr("sentence_transformers.SentenceTransformer.encode", _no_encoding)
    assert score(students[0], tmp_path) == first


def _no_encoding(*_, **__):
    raise AssertionError("encoded again")


def test_prompts_of_the_recipe_reach_the_model(students, tmp_path, monkeypatch):
    write_stsbenchmark(tmp_path / "data")
    assert _prompts_used(students[0], tmp_path, monkeypatch, prompts={"STS": "query: "}) == {"query: "}


def test_prompts_of_a_folder_do_not_make_a_student_another_test_than_the_teacher(tmp_path, monkeypatch):
    """The hub's e5 carries no prompts, its student does: with them on one side alone, scores do not compare."""
    prompted = make_teacher(tmp_path / "prompted", layers=1)
    (prompted / "config_sentence_transformers.json").write_text(
        '{"prompts": {"query": "query: ", "passage": "passage: ", "STS": "query: "}, "default_prompt_name": null}'
    )
    write_stsbenchmark(tmp_path / "data")
    assert _prompts_used(prompted, tmp_path, monkeypatch, prompts={}) == {None}


def test_a_prompt_for_no_known_task_is_refused_and_not_ignored(students, tmp_path):
    write_stsbenchmark(tmp_path / "data")
    with pytest.raises(EvaluationError, match=r"^evaluation.prompts 'sts' is not a name that mteb knows"):
        score(students[0], tmp_path, prompts={"sts": "query: "})


def _prompts_used(folder, tmp_path, monkeypatch, *, prompts) -> set[str | None]:
    from sentence_transformers import SentenceTransformer

    used = set()
    real = SentenceTransformer.encode

    def spy(self, *args, prompt=None, **kwargs):
        used.add(prompt)
        return real(self, *args, prompt=prompt, **kwargs)

    monkeypatch.setattr(SentenceTransformer, "encode", spy)
    score(folder, tmp_path, prompts=prompts)
    return used


def test_scoring_warns_of_nothing_that_the_user_could_not_change(students, tmp_path):
    write_stsbenchmark(tmp_path / "data")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        score(students[0], tmp_path)
    assert not [str(warning.message) for warning in caught if "mteb" in str(warning.filename)]


def test_an_unknown_task_is_refused_with_near_names():
    with pytest.raises(EvaluationError, match=r"no task 'Banking77Clasification'; did you mean .*Banking77"):
        check_tasks(("STSBenchmark", "Banking77Clasification"))


def test_known_tasks_pass_also_superseded_ones():
    check_tasks(("STS22", "STS22.v2", "Banking77Classification", "MedrxivClusteringS2S.v2"))


@pytest.mark.shared
def test_the_shared_evaluation_data_are_scored(shared, students, tmp_path):
    """The real texts, the whole way; the model is random, so only the shape of its scores is known."""
    names = ("STSBenchmark", MULTILINGUAL)
    found = score(students[0], tmp_path, names=names, data_dir=shared / "eval" / "data", languages=("de", "zh"))
    assert [(one.task, sorted(one.subsets)) for one in found] == [
        ("STSBenchmark", ["default"]),
        (MULTILINGUAL, ["de", "zh"]),
    ]
    assert all(-100 <= value <= 100 for one in found for value in [one.score, *one.subsets.values()])
    assert {row.kind for row in found} == {"STS"}
