"""The texts that tasks are scored on: all of them, of every shape of task, and never silently none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from datasets import Dataset

from babelpress.errors import EvaluationError
from babelpress.evaluation.tasks import test_data
from babelpress.evaluation.tasks.test_data import identify_test_data, read_test_data
from tests.evaluation.local import MULTILINGUAL, SENTENCES, pairs, write_multilingual, write_stsbenchmark, write_task

pytestmark = pytest.mark.usefixtures("own_cache")


def read(data_dir: Path, *names: str, languages: tuple[str, ...] | None = None) -> dict[str, set[str]]:
    return {name: set(texts) for name, texts in read_test_data(names, languages=languages, data_dir=data_dir)}


def of_task(dataset, columns=("text",), subsets=("default",), **more) -> set[str]:
    declared = dict.fromkeys(columns, "text")
    task = SimpleNamespace(
        dataset=dataset, hf_subsets=list(subsets), eval_splits=["test"], _get_content_columns=lambda: declared, **more
    )
    return set(test_data._texts(task))


def test_both_sentences_of_every_pair_are_test_texts(tmp_path):
    write_stsbenchmark(tmp_path)
    assert read(tmp_path, "STSBenchmark") == {"STSBenchmark": set(SENTENCES["en"])}


def test_only_the_languages_that_are_scored_are_read(tmp_path):
    write_multilingual(tmp_path)
    found = read(tmp_path, MULTILINGUAL, languages=("de", "en"))
    assert found == {MULTILINGUAL: {*SENTENCES["en"], *SENTENCES["de"]}}


def test_a_train_split_is_no_test_data(tmp_path):
    rows = {split: [{"text": f"a {split} text", "label": 0, "label_text": "word"}] for split in ("train", "test")}
    write_task(tmp_path, "Banking77Classification", {"": rows})
    assert read(tmp_path, "Banking77Classification") == {"Banking77Classification": {"a test text"}}


def test_labels_and_ids_are_no_test_texts():
    table = Dataset.from_dict({"text": ["a text"], "label_text": ["a label"]})
    assert of_task({"test": table}) == {"a text"}
    assert of_task({"default": {"test": table}}) == {"a text"}


def test_a_table_that_mteb_does_not_describe_is_read_whole():
    table = Dataset.from_dict({"left": ["one"], "right": [["two", "three"]], "label": [1]})
    assert of_task({"test": table}, columns=()) == {"one", "two", "three"}


def test_lists_of_texts_in_a_row_are_read():
    table = Dataset.from_dict({"sentences": [["one", "two"], ["three"]], "labels": [["x", "y"], ["z"]]})
    assert of_task({"test": table}, columns=("sentences",)) == {"one", "two", "three"}


def test_summaries_are_read_besides_the_text():
    table = Dataset.from_dict({"text": ["long"], "human": [["one", "two"]], "machine": [["three"]], "id": ["x"]})
    more = {"human_summaries_column_name": "human", "machine_summaries_column_name": "machine"}
    assert of_task({"test": table}, **more) == {"long", "one", "two", "three"}


def test_translations_that_stand_in_columns_are_read():
    """Tatoeba and others: the subsets are pairs of columns of one table."""
    table = Dataset.from_dict({"en": ["one"], "de": ["eins"], "nl": ["een"]})
    assert of_task({"test": table}, columns=("en", "de"), subsets=("en-de",)) == {"one", "eins"}


def test_questions_and_documents_of_retrieval_are_read():
    split = {"queries": Dataset.from_dict({"id": ["q"], "text": ["why?"]}),
             "corpus": Dataset.from_dict({"id": ["d"], "text": ["because"], "title": [""]})}  # fmt: skip
    assert of_task({"default": {"test": split}}) == {"why?", "because"}


def test_data_that_are_missing_are_one_line_with_both_remedies(tmp_path):
    with pytest.raises(EvaluationError) as caught:
        read(tmp_path, "STSBenchmark")
    message = str(caught.value)
    assert "\n" not in message
    for word in ("task STSBenchmark", "mteb/stsbenchmark-sts", "HF_HUB_OFFLINE", "--data-dir DIR (DIR/STSBenchmark)",
                 "corpus.decontaminate=false"):  # fmt: skip
        assert word in message


def test_data_without_a_text_are_not_taken_for_clean(tmp_path):
    write_task(tmp_path, "Banking77Classification", {"": {"test": [{"number": 1}]}})
    with pytest.raises(EvaluationError, match=r"task Banking77Classification .* contain no text .*decontaminate=false"):
        read(tmp_path, "Banking77Classification")


def test_without_tasks_nothing_is_opened(monkeypatch, tmp_path):
    monkeypatch.setattr(test_data, "open_task", None)
    assert read(tmp_path) == {}
    assert identify_test_data((), languages=None, data_dir=None) == {}


def test_other_local_data_have_another_identity_wherever_they_lie(tmp_path):
    places = [tmp_path / name for name in ("here", "there", "other")]
    for place, flip in zip(places, (False, False, True), strict=True):
        write_task(place, "STSBenchmark", {"": {"test": pairs(flip=flip)}})
    one, same, other = (identify_test_data(("STSBenchmark",), languages=None, data_dir=place) for place in places)
    assert one == same != other
    assert str(tmp_path) not in str(one)


def test_other_languages_have_another_identity():
    found = [identify_test_data((MULTILINGUAL,), languages=languages, data_dir=None) for languages in (("de",), None)]
    assert found[0][MULTILINGUAL]["subsets"] == ["de"]
    assert found[0] != found[1]
