from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.corpus import build as build_module
from babelpress.corpus.build import CorpusReport, build_corpus, count_rows, read_texts, split_files
from babelpress.corpus.sentence import BadLine, Sentence, Split
from babelpress.corpus.sources import read_source
from babelpress.corpus.split import split_of
from babelpress.errors import SourceError
from babelpress.recipe import FileSource, Recipe

HELD = [
    Sentence("a validation sentence", "en", "fixed", split=Split.VALIDATION),
    Sentence("a test sentence", "en", "fixed", split=Split.TEST),
]


def train(text: str, *, language: str = "en", source: str = "mine") -> Sentence:
    return Sentence(text, language, source, split=Split.TRAIN)


def build(folder: Path, items: Iterable[Sentence | BadLine], **settings: Any) -> CorpusReport:
    folder.mkdir(parents=True, exist_ok=True)
    values = {"seed": 0, "min_chars": 1, "max_chars": 200, "held_out": 0.5, "held_out_limit": 10_000, **settings}
    return build_corpus([*items, *HELD], folder, **values)


def rows(folder: Path, split: Split) -> list[dict[str, str]]:
    return [row for file in split_files(folder, split) for row in pq.read_table(file).to_pylist()]


def texts(folder: Path, split: Split) -> set[str]:
    return {row["text"] for row in rows(folder, split)}


# --- duplicates -----------------------------------------------------------------------------------


def test_of_equal_texts_the_first_is_kept(tmp_path: Path):
    report = build(tmp_path, [train("same", source="first"), train("same", source="second", language="de")])
    assert rows(tmp_path, Split.TRAIN) == [{"text": "same", "language": "en", "source": "first"}]
    assert report.dropped == {"duplicate": 1}


def test_texts_that_are_equal_once_cleaned_are_duplicates(tmp_path: Path):
    build(tmp_path, [train("café au lait"), train("\ufeffcafe\u0301  au lait\r\n"), train("Café au lait")])
    assert texts(tmp_path, Split.TRAIN) == {"café au lait", "Café au lait"}


@pytest.mark.parametrize("order", [1, -1])
def test_a_text_is_never_in_two_splits(tmp_path: Path, order: int):
    both = [train("same"), Sentence("same", "en", "x", split=Split.TEST)][::order]
    build(tmp_path, [train("another"), *both])
    assert ("same" in texts(tmp_path, Split.TRAIN)) + ("same" in texts(tmp_path, Split.TEST)) == 1


# --- the same corpus everywhere -------------------------------------------------------------------

_SCRIPT = """
import sys
from pathlib import Path
from babelpress.corpus.build import build_corpus
from babelpress.corpus.sources import read_source
from babelpress.corpus.bundled import held_out_meanings
from babelpress.corpus.contamination import SuiteTexts
from babelpress.recipe import Recipe
recipe = Recipe.load("demo", overrides=["languages=[en, ko, th]", "corpus.sources.0.variants=2"])
items = read_source(recipe.corpus.sources[0], recipe=recipe, data_dir=None)
held = {text for meaning in held_out_meanings() for text in meaning.texts.values()}
report = build_corpus(items, Path(sys.argv[1]), seed=1, min_chars=2, max_chars=400, held_out=0.05, held_out_limit=99,
    test_texts=SuiteTexts([("held out", held)]))
print(report)
"""


def test_the_hash_seed_of_python_changes_no_byte(tmp_path: Path):
    results = []
    for seed in ("1", "77"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(folder)], env=environment, capture_output=True, text=True, check=True
        )
        results.append((done.stdout, {file.name: file.read_bytes() for file in sorted(folder.iterdir())}))
    assert sorted(results[0][1]) == ["test-00000.parquet", "train-00000.parquet", "validation-00000.parquet"]
    assert results[0] == results[1]


def test_the_order_of_the_files_moves_no_sentence_to_another_split(tmp_path: Path):
    items = [Sentence(f"sentence {number}", "en", "mine") for number in range(500)]
    build(tmp_path / "a", items)
    random.Random(0).shuffle(items)
    build(tmp_path / "b", items)
    for split in Split:
        assert texts(tmp_path / "a", split) == texts(tmp_path / "b", split)


def test_sentences_of_one_file_do_not_stand_in_a_row(tmp_path: Path):
    build(tmp_path, [train(f"{name} {number}", source=name) for name in "ab" for number in range(200)])
    sources = "".join(row["source"] for row in rows(tmp_path, Split.TRAIN))
    assert sources.count("ab") + sources.count("ba") > 100  # a shuffle has 200 changes, two files in a row have 1


# --- splits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held_out", "split"), [(0.0, Split.TRAIN), (0.175, Split.TRAIN), (0.177, Split.TEST), (0.36, Split.VALIDATION)]
)
def test_the_split_is_that_of_the_published_hash(held_out: float, split: Split):
    # XXH3-64 of no bytes is 0x2d06800538d394c2 in its own test vectors: 0.1759 of the way.
    assert split_of("", seed=0, held_out=held_out) is split


def test_the_held_out_share_is_halved_between_validation_and_test():
    splits = [split_of(f"sentence {number}", seed=3, held_out=0.2) for number in range(20_000)]
    assert abs(splits.count(Split.VALIDATION) - 2000) < 200
    assert abs(splits.count(Split.TEST) - 2000) < 200


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20), st.integers(0, 2**31 - 1), st.floats(0, 0.5), st.floats(0, 0.49))
def test_a_larger_share_never_sends_a_held_out_sentence_back_to_training(
    group: str, seed: int, held_out: float, more: float
):
    before, after = (split_of(group, seed=seed, held_out=share) for share in (held_out, held_out + more))
    assert after is not Split.TRAIN or before is Split.TRAIN


def test_another_seed_holds_out_other_sentences():
    first, second = ([split_of(str(number), seed=seed, held_out=0.5) for number in range(200)] for seed in (0, 1))
    assert first != second


def test_translations_in_one_row_never_straddle_splits(tmp_path: Path):
    pairs = [(f"sentence {number}", f"문장 {number}") for number in range(300)]
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps({"en": en, "ko": ko}) + "\n" for en, ko in pairs), encoding="utf-8")
    source = FileSource(kind="files", paths=(str(file),))
    recipe = Recipe.load("demo", overrides=["languages=[en, ko]"])
    build(tmp_path / "corpus", read_source(source, recipe=recipe, data_dir=None))
    place = {text: split for split in Split for text in texts(tmp_path / "corpus", split)}
    assert [en for en, ko in pairs if place[en] is not place[ko]] == []
    assert {place[en] for en, _ in pairs} == set(Split)


@settings(max_examples=12, deadline=None)
@given(groups=st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=20))
def test_no_group_is_ever_torn_apart(tmp_path_factory: pytest.TempPathFactory, groups: list[str]):
    folder = tmp_path_factory.mktemp("corpus")
    items = [Sentence(f"text {number} {part}", "en", str(number), group=group)
             for number, group in enumerate(groups) for part in range(3)]  # fmt: skip
    build(folder, [train("there must be one"), *items])
    for number in range(len(groups)):
        counts = [sum(row["source"] == str(number) for row in rows(folder, split)) for split in Split]
        assert sorted(counts) == [0, 0, 3]


def test_a_full_split_sends_the_rest_nowhere(tmp_path: Path):
    more = [Sentence(f"held {number}", "en", "mine", split=Split.VALIDATION) for number in range(9)]
    report = build(tmp_path, [train("one"), *more], held_out_limit=4)
    assert report.splits == {"train": 1, "validation": 4, "test": 1}
    assert report.dropped == {"validation split is full": 6}


# --- what is counted and what is written ----------------------------------------------------------


def test_everything_left_out_is_counted_under_its_reason(tmp_path: Path):
    items = [
        train("kept"), train(" \r\n"), train("\0"), train("ab"), train("x" * 21), train("y" * 500),
        BadLine("f", "not UTF-8"), BadLine("g", "not UTF-8"),
    ]  # fmt: skip
    report = build(tmp_path, items, min_chars=3, max_chars=30)
    assert report.dropped == {"empty": 2, "not UTF-8": 2, "too long": 1, "too short": 1}
    assert report.train == 2


def test_languages_and_sources_are_counted_as_written(tmp_path: Path):
    report = build(tmp_path, [train("eins", language="de"), train("one"), train("one"), train("two", source="other")])
    assert report.languages == {"de": 1, "en": 4}
    assert report.sources == {"fixed": 2, "mine": 2, "other": 1}


@settings(max_examples=12, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=8), max_size=30))
def test_no_text_is_lost_uncounted_or_written_dirty(tmp_path_factory: pytest.TempPathFactory, found: list[str]):
    folder = tmp_path_factory.mktemp("corpus")
    report = build(folder, [train("there must be one"), *(Sentence(text, "en", "x") for text in found)])
    assert sum(report.splits.values()) + sum(report.dropped.values()) == len(found) + 3
    written = [text for split in Split for text in texts(folder, split)]
    assert len(written) == len(set(written)) == sum(report.splits.values())
    assert all(text == " ".join(text.split()) and unicodedata.is_normalized("NFC", text) for text in written)


def test_names_that_are_not_utf8_do_not_stop_the_build(tmp_path: Path):
    broken = os.fsdecode(b"caf\xe9.txt")
    report = build(tmp_path, [train("one"), Sentence("two", "\ud800", broken, group=f"{broken}:1")])
    assert report.sources == {"caf?.txt": 1, "fixed": 2, "mine": 1}
    assert report.languages == {"?": 1, "en": 3}


def test_no_training_sentence_is_an_error_with_the_reasons(tmp_path: Path):
    with pytest.raises(SourceError, match=r"^no training sentence is left \(1 empty, 2 not UTF-8\)$"):
        build(tmp_path, [BadLine("f", "not UTF-8"), BadLine("f", "not UTF-8"), train("")])


def test_no_validation_sentence_is_an_error_with_the_remedy(tmp_path: Path):
    with pytest.raises(SourceError, match=r"validation split \(corpus\.held_out is 0\.001\); give more text or raise"):
        build_corpus(
            [train("one"), HELD[1]], tmp_path, seed=0, min_chars=1, max_chars=9**9, held_out=0.001, held_out_limit=9
        )


def test_long_corpora_are_written_in_files_of_bounded_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build_module, "ROWS_PER_FILE", 8)
    monkeypatch.setattr(build_module, "_ROWS_PER_WRITE", 3)
    build(tmp_path, [train(f"sentence {number}") for number in range(20)])
    files = split_files(tmp_path, Split.TRAIN)
    assert [file.name for file in files] == [f"train-0000{number}.parquet" for number in range(3)]
    assert [pq.ParquetFile(file).metadata.num_rows for file in files] == [8, 8, 4]
    assert count_rows(tmp_path, Split.TRAIN) == 20
    assert texts(tmp_path, Split.TRAIN) == {f"sentence {number}" for number in range(20)}


def test_texts_are_read_in_the_order_they_were_written(tmp_path: Path):
    build(tmp_path, [train(f"sentence {number}", language="ko") for number in range(20)])
    batches = list(read_texts(tmp_path, Split.TRAIN, batch_size=8))
    assert [len(batch) for batch, _ in batches] == [8, 8, 4]
    assert [text for batch, _ in batches for text in batch] == [row["text"] for row in rows(tmp_path, Split.TRAIN)]
    assert {language for _, languages in batches for language in languages} == {"ko"}


def test_nothing_but_parquet_is_left_behind(tmp_path: Path):
    build(tmp_path, [train("one")])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["test-00000.parquet", "train-00000.parquet", "validation-00000.parquet"]
