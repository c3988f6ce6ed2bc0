"""Several models on several tasks: what fails, what is left out for all, and how long the rest will take."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from babelpress.errors import BabelpressError, EvaluationError
from babelpress.evaluation.tasks import scoring
from babelpress.evaluation.tasks.missing import read_missing, without_places, write_missing
from babelpress.evaluation.tasks.progress import seconds_left, track_tasks
from babelpress.evaluation.tasks.scoring import (
    ScoringSettings,
    TaskError,
    check_prompts,
    check_prompts_used,
    score_models,
)
from tests.evaluation.local import subjects_of, write_classes, write_stsbenchmark, write_task

pytestmark = pytest.mark.usefixtures("own_cache")

STS, TOPICS = "STSBenchmark", "Banking77Classification"


def score(students: list[Path], tmp_path: Path, *names: str, allow_missing: bool = True):
    settings = ScoringSettings(tmp_path / "mteb", data_dir=tmp_path / "data", batch_size=16)
    return score_models(subjects_of(students), names, settings, allow_missing=allow_missing)


def fail_for(monkeypatch, model_id: str, error: Exception) -> None:
    """Let one model fail at every STS task."""
    real = scoring.score_task

    def failing(encoder, task, **named):
        if encoder.mteb_model_meta.name == model_id and task.metadata.type == "STS":
            raise error
        return real(encoder, task, **named)

    monkeypatch.setattr(scoring, "score_task", failing)


# --- tasks that fail ----------------------------------------------------------------------------


def test_a_task_that_fails_ends_the_run_unless_it_may_be_missing(students, tmp_path):
    write_classes(tmp_path / "data")
    with pytest.raises(TaskError, match="task STSBenchmark failed for babelpress/s1"):
        score(students, tmp_path, STS, TOPICS, allow_missing=False)


def test_a_task_that_fails_for_the_second_model_is_left_out_for_all(students, tmp_path, monkeypatch, caplog):
    write_stsbenchmark(tmp_path / "data")
    write_classes(tmp_path / "data")
    fail_for(monkeypatch, "babelpress/s2", RuntimeError("out of\n memory"))
    found, missing = score(students, tmp_path, STS, TOPICS)
    assert {model: list(own) for model, own in found.items()} == {"s1": [TOPICS], "s2": [TOPICS]}
    assert missing == {STS: "RuntimeError: out of memory"}
    assert "left out for all models and retried by the next run" in caplog.text


def test_a_task_that_failed_is_not_tried_for_the_other_models(students, tmp_path, monkeypatch):
    write_classes(tmp_path / "data")
    tried = []
    real = scoring.run_task
    monkeypatch.setattr(scoring, "run_task", lambda *a, **n: tried.append((n["model"], a[2])) or real(*a, **n))
    score(students, tmp_path, STS, TOPICS)
    assert tried == [("s1", STS), ("s1", TOPICS), ("s2", TOPICS)]


def test_what_was_missing_is_scored_at_the_next_run_and_the_rest_is_kept(students, tmp_path):
    write_classes(tmp_path / "data")
    first, missing = score(students, tmp_path, STS, TOPICS)
    assert list(missing) == [STS]
    write_stsbenchmark(tmp_path / "data")
    again, missing = score(students, tmp_path, STS, TOPICS)
    assert missing == {}
    assert {name: one.ran for name, one in again["s1"].items()} == {STS: True, TOPICS: False}
    assert again["s1"][TOPICS] == first["s1"][TOPICS]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "no space left"), BabelpressError("the disk is full")])
def test_a_full_disk_is_no_missing_task(students, tmp_path, monkeypatch, error):
    write_stsbenchmark(tmp_path / "data")
    fail_for(monkeypatch, "babelpress/s1", error)
    with pytest.raises(type(error)) as caught:
        score(students, tmp_path, STS)
    assert caught.value is error


def test_a_task_without_a_wanted_subset_is_the_recipes_fault_and_not_missing(students, tmp_path):
    with pytest.raises(EvaluationError, match="has no subset in ko alone"):
        score_models(
            subjects_of(students[:1]), ("MTOPDomainClassification",), ScoringSettings(tmp_path / "mteb", ("ko",)),
            allow_missing=True,
        )  # fmt: skip


def test_the_reason_names_no_place_of_this_machine(students, tmp_path):
    write_task(tmp_path / "data", STS, {"": {"test": [{"left": "a", "right": "b"}]}})
    _, missing = score(students, tmp_path, STS)
    assert str(tmp_path) not in missing[STS]
    assert "KeyError" in missing[STS] or "ValueError" in missing[STS]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("no /home/me/data/STS12/test.jsonl.gz there", "no test.jsonl.gz there"),
        ("'/srv/a b' and /x/y", "'a b' and y"),
        ("see https://huggingface.co/datasets/mteb/sts12", "see https://huggingface.co/datasets/mteb/sts12"),
        ("mteb/sts12 is 1/2 there", "mteb/sts12 is 1/2 there"),
    ],
)
def test_paths_become_names_and_addresses_stay(text, kept):
    assert without_places(text) == kept


def test_missing_tasks_are_kept_until_none_is(tmp_path):
    assert read_missing(tmp_path) == {}
    write_missing(tmp_path, {STS: "why"})
    assert read_missing(tmp_path) == {STS: "why"}
    write_missing(tmp_path, {})
    assert (read_missing(tmp_path), list(tmp_path.iterdir())) == ({}, [])


def test_a_wrong_prompt_is_told_as_it_was_given():
    check_prompts({"query": "query: ", "STS": "query: ", "STSBenchmark-query": "q"}, setting="--prompt")
    with pytest.raises(EvaluationError, match=r"^--prompt 'qery' is not a name that mteb knows"):
        check_prompts({"qery": "query: "}, setting="--prompt")


@pytest.mark.parametrize(
    ("name", "tasks", "taken"),
    [
        ("query", ("STSBenchmark", "Banking77Classification"), False),
        ("query", ("STSBenchmark", "SciFact"), True),
        ("STS", ("STSBenchmark",), True),
        ("STS", ("SciFact",), False),
        ("STSBenchmark-query", ("STSBenchmark",), False),
        ("SciFact-query", ("SciFact",), True),
        ("Retrieval-document", ("SciFact",), True),
        ("STSBenchmark", ("STSBenchmark",), True),
        ("query", (), False),
    ],
)
def test_a_prompt_that_no_task_takes_is_refused(name, tasks, taken):
    """mteb gives `query` to retrieval and reranking alone: others' scores would be told to be with it."""
    if taken:
        check_prompts_used({name: "query: "}, tasks, setting="--prompt")
        return
    with pytest.raises(EvaluationError, match=f"--prompt '{name}' is used by none of the tasks"):
        check_prompts_used({name: "query: "}, tasks, setting="--prompt")


# --- how long it takes --------------------------------------------------------------------------


def test_nothing_is_foreseen_before_a_task_is_finished():
    assert seconds_left({}, [("a", "one")]) is None


def test_a_task_that_no_model_did_takes_the_mean():
    assert seconds_left({("a", "one"): 10.0, ("a", "two"): 30.0}, [("a", "three"), ("a", "four")]) == 40.0


def test_another_model_takes_as_long_for_a_task_as_the_first_until_it_shows_its_pace():
    taken = {("a", "one"): 10.0, ("a", "two"): 60.0}
    assert seconds_left(taken, [("b", "one"), ("b", "two")]) == 70.0
    # b took half as long for the first, so 30 for the second
    assert seconds_left(taken | {("b", "one"): 5.0}, [("b", "two")]) == 30.0


def test_the_bar_names_the_task_and_the_time_left(monkeypatch):
    from babelpress.evaluation.tasks import progress as task_progress

    shown, clock_time = [], iter([0.0, 100.0, 200.0, 201.0, 300.0])
    monkeypatch.setattr(task_progress.time, "monotonic", lambda: next(clock_time))
    monkeypatch.setattr(task_progress, "bar", _recording(shown))
    with track_tasks([("m", "one"), ("m", "two"), ("m", "three")]) as clock:
        with clock.task("m", "one") as finished:
            finished(True)
        with clock.task("m", "two") as finished:
            finished(False)  # from the cache: says nothing of how long tasks take
        clock.skip("m", "three")
    assert shown == [
        (0, "one (m)"), (1, None), (0, "about 3 min left: two (m)"), (1, None), (1, None),
    ]  # fmt: skip


def test_a_task_that_fails_leaves_the_bar_in_order(students, tmp_path, monkeypatch):
    from babelpress.evaluation.tasks import progress as task_progress

    shown: list = []
    monkeypatch.setattr(task_progress, "bar", _recording(shown))
    write_classes(tmp_path / "data")
    score(students, tmp_path, STS, TOPICS)
    assert sum(step for step, _ in shown) == 4


def _recording(shown):
    from contextlib import contextmanager

    @contextmanager
    def bar(label, *, total, unit, timed):
        yield lambda step=1, note=None: shown.append((step, note))

    return bar
