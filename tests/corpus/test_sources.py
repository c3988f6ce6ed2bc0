from __future__ import annotations

import gzip
import json
import random
import tracemalloc
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.corpus import hub_sources
from babelpress.corpus.clean import Rejected, clean
from babelpress.corpus.hub_sources import mteb_train_source, read_hub
from babelpress.corpus.sentence import BadLine, Sentence
from babelpress.corpus.sources import read_lines, read_source, source_files
from babelpress.errors import SourceError
from babelpress.recipe import FileSource, HubSource, Recipe

MIB = 1 << 20


def files(*paths: str | Path, **settings: Any) -> FileSource:
    return FileSource(kind="files", paths=tuple(map(str, paths)), **settings)


def read(source: FileSource, *, data_dir: Path | None = None) -> list[Sentence | BadLine]:
    return list(read_source(source, recipe=two_languages(), data_dir=data_dir))


@lru_cache
def two_languages() -> Recipe:
    return Recipe.load("demo", overrides=["languages=[en, ko]"])


def texts(items: list[Sentence | BadLine]) -> list[str]:
    """The texts as a corpus gets them; empty ones left out."""
    found = []
    for item in items:
        try:
            found += [clean(item.text, min_chars=1, max_chars=MIB)] if isinstance(item, Sentence) else []
        except Rejected:
            continue
    return found


def reasons(items: list[Sentence | BadLine]) -> list[str]:
    return [item.reason for item in items if isinstance(item, BadLine)]


def write(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def fault(source: FileSource, *, data_dir: Path | None = None) -> str:
    """The message of the SourceError that a source ends with, which must be one line."""
    with pytest.raises(SourceError) as error:
        read(source, data_dir=data_dir)
    assert "\n" not in str(error.value)
    return str(error.value)


# --- plain text -----------------------------------------------------------------------------------


def test_broken_utf8_loses_its_own_line_alone(tmp_path: Path):
    found = read(files(write(tmp_path / "a.txt", b"one\nt\xffwo\n\xed\xa0\x80\nthree")))
    assert texts(found) == ["one", "three"]
    assert reasons(found) == ["not UTF-8", "not UTF-8"]


def test_a_line_with_nul_is_counted_not_read(tmp_path: Path):
    found = read(files(write(tmp_path / "a.txt", b"one\nt\0wo\nthree\n")))
    assert texts(found) == ["one", "three"]
    assert reasons(found) == ["NUL character"]


def test_utf16_is_refused_line_by_line(tmp_path: Path):
    path = write(tmp_path / "a.txt", "one\ntwo\n".encode("utf-16"))
    assert fault(files(path)) == f"source {path} gave no text at all"


@pytest.mark.parametrize("length", [MIB, MIB + 1, 2 * MIB, 2 * MIB + 7])
def test_a_line_over_one_mebibyte_is_one_bad_line(tmp_path: Path, length: int):
    found = read(files(write(tmp_path / "a.txt", b"one\n" + b"x" * length + b"\ntwo\n")))
    assert texts(found) == ["one", "two"]
    assert reasons(found) == ["line over 1 MiB"]


def test_a_line_just_below_one_mebibyte_is_read(tmp_path: Path):
    found = read(files(write(tmp_path / "a.txt", b"x" * (MIB - 1) + b"\n")))
    assert [len(text) for text in texts(found)] == [MIB - 1]


def test_a_file_without_line_ends_does_not_fill_the_memory(tmp_path: Path):
    path = tmp_path / "a.txt.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(b"x" * MIB)
    tracemalloc.start()
    try:
        assert [item.reason for item in read_lines(path) if isinstance(item, BadLine)] == ["line over 1 MiB"]
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_empty_lines_give_no_text(tmp_path: Path):
    assert texts(read(files(write(tmp_path / "a.txt", "\n\n  \none\n\t\n\r\ntwo\n\n")))) == ["one", "two"]


def test_windows_line_ends_and_byte_order_marks_are_no_part_of_a_text(tmp_path: Path):
    assert texts(read(files(write(tmp_path / "a.txt", b"\xef\xbb\xbfone\r\ntwo\r\n")))) == ["one", "two"]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\0", b"\xc3"])).map(b"".join))
def test_no_bytes_stop_the_reader_or_lose_a_line_uncounted(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = write(tmp_path_factory.getbasetemp() / "any.txt", content)
    lines = content.split(b"\n")[: None if content[-1:] not in {b"", b"\n"} else -1]
    assert len(list(read_lines(path))) == len(lines)


# --- missing, empty, damaged ----------------------------------------------------------------------


def test_a_missing_file_is_named_with_the_places_looked_in(tmp_path: Path):
    assert fault(files("no.txt"), data_dir=tmp_path) == (
        f"text source 'no.txt' matches no file (looked in {tmp_path} and here)"
    )


def test_a_folder_is_not_a_file(tmp_path: Path):
    assert "matches no file" in fault(files(tmp_path))


def test_one_missing_path_of_several_is_an_error(tmp_path: Path):
    path = write(tmp_path / "a.txt", "one\n")
    assert "'no.txt' matches no file" in fault(files(path, "no.txt"))


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.tsv"])
def test_an_empty_source_is_an_error(tmp_path: Path, name: str):
    path = write(tmp_path / name, b"")
    assert fault(files(path)) == f"source {path} gave no text at all"


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz", "a.csv.gz", "a.TXT.GZ"])
def test_a_truncated_gz_is_named_in_one_line(tmp_path: Path, name: str):
    lines = "".join(f'{{"text": "{random.Random(number).random()}"}}\n' for number in range(2000))
    path = write(tmp_path / name, gzip.compress(lines.encode())[:-2000])
    assert fault(files(path)).startswith(f"{path} cannot be read to its end: Compressed file ended")


@pytest.mark.parametrize("damage", ["not gz", "flipped bits", "wrong checksum"])
def test_a_damaged_gz_is_named_in_one_line(tmp_path: Path, damage: str):
    whole = gzip.compress("".join(f"{random.Random(number).random()}\n" for number in range(2000)).encode())
    content = {
        "not gz": b"plain text\n",
        "flipped bits": whole[:900] + b"\xff" * 300 + whole[1200:],
        "wrong checksum": whole[:-8] + b"\1\2\3\4" + whole[-4:],
    }[damage]
    path = write(tmp_path / "a.txt.gz", content)
    assert fault(files(path)).startswith(f"{path} cannot be read to its end: ")


def test_a_whole_gz_reads_like_its_content(tmp_path: Path):
    assert texts(read(files(write(tmp_path / "a.txt.gz", gzip.compress(b"one\ntwo"))))) == ["one", "two"]


# --- jsonl ----------------------------------------------------------------------------------------


def jsonl(path: Path, *rows: Any) -> Path:
    return write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@pytest.mark.parametrize(
    "line",
    ["{", "text", "{'text': 'x'}", '{"text": "x"} {"text": "y"}', "[" * 100_000, '{"n": ' + "1" * 5000 + "}"],
)
def test_a_line_that_is_not_json_is_counted(tmp_path: Path, line: str):
    found = read(files(write(tmp_path / "a.jsonl", f'{{"text": "one"}}\n{line}\n{{"text": "two"}}\n')))
    assert texts(found) == ["one", "two"]
    assert reasons(found) == ["not JSON"]


@pytest.mark.parametrize("row", ["text", 1, None, ["a"], True])
def test_json_that_is_no_object_is_counted(tmp_path: Path, row: Any):
    found = read(files(jsonl(tmp_path / "a.jsonl", row, {"text": "one"})))
    assert texts(found) == ["one"]
    assert reasons(found) == ["not a JSON object"]


@pytest.mark.parametrize("row", [{"body": "x"}, {"text": None}, {"text": 3}, {"text": {"a": "b"}}, {}])
def test_a_row_without_a_text_is_counted(tmp_path: Path, row: Any):
    found = read(files(jsonl(tmp_path / "a.jsonl", {"text": "one"}, row)))
    assert texts(found) == ["one"]
    assert reasons(found) == ["no column text"]


def test_missing_columns_are_named_and_counted(tmp_path: Path):
    found = read(files(jsonl(tmp_path / "a.jsonl", {"a": "one"}, {"b": "two"}, {"c": "x"}), columns=("a", "b")))
    assert texts(found) == ["one", "two"]
    assert reasons(found) == ["no column a or b"]


def test_a_table_that_never_has_the_column_is_an_error(tmp_path: Path):
    path = jsonl(tmp_path / "a.jsonl", {"a": "one"})
    assert fault(files(path, columns=("b",))) == f"source {path} gave no text at all"


def test_parallel_rows_give_the_recipes_languages_as_one_group(tmp_path: Path):
    rows = [{"n": 1, "en": "one", "ko": "하나", "fr": "un"}, {"ko": "둘", "en": "two"}, {"en": "three", "ko": None}]
    found = read(files(jsonl(tmp_path / "a.jsonl", *rows)))
    assert [(item.text, item.language) for item in found] == [
        ("one", "en"), ("하나", "ko"), ("둘", "ko"), ("two", "en"), ("three", "en"),
    ]  # fmt: skip
    groups = [item.group for item in found]
    assert groups[0] == groups[1] != groups[2] == groups[3]
    assert groups[4] is None


def test_a_text_column_wins_over_language_keys(tmp_path: Path):
    found = read(files(jsonl(tmp_path / "a.jsonl", {"text": "one", "en": "x"}), language="ko"))
    assert [(item.text, item.language) for item in found] == [("one", "ko")]


def test_the_language_column_names_the_language(tmp_path: Path):
    rows = [{"text": "하나", "lang": "ko"}, {"text": "?", "lang": None}, {"text": "?"}]
    found = read(files(jsonl(tmp_path / "a.jsonl", *rows), language_column="lang"))
    assert [item.language for item in found] == ["ko", "und", "und"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.binary(max_size=20)
        | st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(st.characters(exclude_categories=()), max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["text", "en", "content", "x"]), inner, max_size=3)
            ),
            max_leaves=6,
        ).map(lambda value: json.dumps(value).encode()),
        max_size=6,
    )
)
def test_no_json_stops_the_reader(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]):
    path = jsonl(tmp_path_factory.getbasetemp() / "any.jsonl", {"text": "one"})
    path.write_bytes(path.read_bytes() + b"\n".join(lines))
    found = read(files(path))
    assert all(isinstance(item, BadLine) or isinstance(item.text, str) for item in found)
    assert found[0] == Sentence("one", "und", "any.jsonl")


# --- csv ------------------------------------------------------------------------------------------


def test_csv_quotes_may_hold_commas_line_ends_and_quotes(tmp_path: Path):
    content = 'id,text\r\n1,"one, two"\r\n2,"a\r\nb"\r\n3,"say ""hi"""\r\n'
    assert texts(read(files(write(tmp_path / "a.csv", content)))) == ["one, two", "a b", 'say "hi"']


def test_a_byte_order_mark_does_not_hide_the_first_column(tmp_path: Path):
    assert texts(read(files(write(tmp_path / "a.csv", b"\xef\xbb\xbftext,n\none,1\n")))) == ["one"]


def test_tsv_is_split_at_tabs(tmp_path: Path):
    assert texts(read(files(write(tmp_path / "a.tsv", "n\ttext\n1\tone, two\n")))) == ["one, two"]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (["hi", "you there?"], ["hi", "you there?"]),
        ([{"role": "user", "content": "hi"}, {"role": "bot", "text": "yes"}, {"value": "so"}], ["hi", "yes", "so"]),
        ([1, None, {"role": "user"}, ["nested"], "hi"], ["hi"]),
        ("[laughs] well", ["[laughs] well"]),
        ("[" + "1" * 5000 + "]", ["[" + "1" * 5000 + "]"]),
        ("[" * 5000, ["[" * 5000]),
    ],
)
def test_a_cell_of_turns_gives_each_turn(tmp_path: Path, cell: Any, expected: list[str]):
    value = cell if isinstance(cell, str) else json.dumps(cell)
    escaped = value.replace('"', '""')
    found = read(files(write(tmp_path / "chat.csv", f'n,turns\n1,"{escaped}"\n'), columns=("turns",), language="ko"))
    assert texts(found) == expected
    assert {item.language for item in found} == {"ko"}


def test_turns_of_one_conversation_are_one_group(tmp_path: Path):
    content = 'turns\n"[""a"", ""b""]"\n"[""c"", ""d""]"\n'
    first, second, third, fourth = read(files(write(tmp_path / "chat.csv", content), columns=("turns",)))
    assert first.group == second.group != third.group == fourth.group


def test_broken_csv_lines_are_counted_where_they_stand(tmp_path: Path):
    lines = [b"text,n", b"one,1", b"t\xffwo,2", b"t\0wo,2", b"three,3", b"four,4"]
    found = read(files(write(tmp_path / "a.csv", b"\n".join(lines)), limit=2))
    assert texts(found) == ["one", "three"]
    assert reasons(found) == ["not UTF-8", "NUL character"]


def test_an_oversized_csv_cell_is_counted_and_the_rest_is_read(tmp_path: Path):
    found = read(files(write(tmp_path / "a.csv", "text\none\n" + "x" * 140_000 + "\ntwo\n")))
    assert texts(found) == ["one", "two"]
    assert reasons(found) == ["not CSV"]


def test_csv_rows_of_another_length_than_the_header_are_no_danger(tmp_path: Path):
    found = read(files(write(tmp_path / "a.csv", "n,text\n1,one,extra,more\n2\n\n3,three\n")))
    assert texts(found) == ["one", "three"]
    assert reasons(found) == ["no column text"]


# --- parquet --------------------------------------------------------------------------------------


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_gives_texts_and_lists_of_turns(tmp_path: Path):
    path = parquet(tmp_path / "a.parquet", text=["one", None, "two"], turns=[["a", "b"], [], ["c"]])
    assert texts(read(files(path))) == ["one", "two"]
    assert texts(read(files(path, columns=("turns",)))) == ["a", "b", "c"]


def test_parquet_without_rows_is_an_empty_source(tmp_path: Path):
    path = parquet(tmp_path / "a.parquet", text=pa.array([], pa.string()))
    assert fault(files(path)) == f"source {path} gave no text at all"


@pytest.mark.parametrize("kept", [0, 3, 4, 100, -1, -8])
def test_a_cut_parquet_is_named_in_one_line(tmp_path: Path, kept: int):
    path = parquet(tmp_path / "a.parquet", text=[f"sentence {number}" for number in range(500)])
    path.write_bytes(path.read_bytes()[:kept])
    assert fault(files(path)).startswith(f"{path} is not a whole parquet file: ")


def test_parquet_texts_that_are_not_utf8_are_an_error_not_a_crash(tmp_path: Path):
    offsets, content = pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")
    path = parquet(tmp_path / "a.parquet", text=pa.Array.from_buffers(pa.string(), 1, [None, offsets, content]))
    assert fault(files(path)).startswith(f"{path} is not a whole parquet file: 'utf-8' codec")


def test_no_flipped_bit_of_a_parquet_file_gives_a_traceback(tmp_path: Path):
    path = parquet(tmp_path / "a.parquet", text=[f"sentence {number}" for number in range(300)])
    whole, draw, refused = path.read_bytes(), random.Random(0), 0
    for _ in range(200):
        content = bytearray(whole)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        try:
            list(read(files(path)))
        except SourceError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 60


# --- which files ----------------------------------------------------------------------------------


def names(source: FileSource, data_dir: Path | None, languages: tuple[str, ...] = ("en", "ko")) -> list[Any]:
    return [(file.name, language) for file, language in source_files(source, languages=languages, data_dir=data_dir)]


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path):
    for name in ("b.txt", "c.txt", "a.txt", "a.csv"):
        write(tmp_path / name, "x")
    assert names(files("c.txt", "*.txt"), tmp_path) == [("a.txt", None), ("b.txt", None), ("c.txt", None)]


def test_a_file_named_twice_is_read_once(tmp_path: Path):
    write(tmp_path / "a.txt", "one\n")
    assert texts(read(files("a.txt", "*.txt", tmp_path / "a.txt"), data_dir=tmp_path)) == ["one"]


def test_two_stars_reach_into_folders(tmp_path: Path):
    write(tmp_path / "x" / "y" / "deep.txt", "x")
    write(tmp_path / "flat.txt", "x")
    assert names(files("**/*.txt"), tmp_path) == [("flat.txt", None), ("deep.txt", None)]


def test_the_language_in_a_path_is_the_language_of_its_files(tmp_path: Path):
    for name in ("en/a.txt", "ko/b.txt", "fr/c.txt"):
        write(tmp_path / name, "x")
    assert names(files("{language}/*.txt", language="de"), tmp_path, ("ko", "en", "pl")) == [
        ("a.txt", "en"),
        ("b.txt", "ko"),
    ]


def test_a_language_pattern_without_any_file_is_an_error(tmp_path: Path):
    write(tmp_path / "fr" / "c.txt", "x")
    assert "'{language}/*.txt' matches no file" in fault(files("{language}/*.txt"), data_dir=tmp_path)


def test_the_data_folder_goes_before_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "here" / "a.txt", "here\n")
    write(tmp_path / "here" / "b.txt", "only here\n")
    write(tmp_path / "data" / "a.txt", "data\n")
    monkeypatch.chdir(tmp_path / "here")
    assert texts(read(files("a.txt"), data_dir=tmp_path / "data")) == ["data"]
    assert texts(read(files("b.txt"), data_dir=tmp_path / "data")) == ["only here"]


@pytest.mark.parametrize("pattern", ["chat [2024].txt", "*.txt"])
def test_brackets_in_names_are_not_taken_for_patterns(tmp_path: Path, pattern: str):
    folder = tmp_path / "data [old]"
    write(folder / "chat [2024].txt", "one\n")
    assert texts(read(files(pattern), data_dir=folder)) == ["one"]


def test_the_home_of_nobody_is_a_missing_file(tmp_path: Path):
    assert "matches no file" in fault(files("~nobody-of-this-name/a.txt"))


def test_the_limit_counts_texts_of_each_file_not_bad_lines(tmp_path: Path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.txt", b"\xff\n" + f"{name}1\n{name}2\n{name}3\n".encode())
    found = read(files(tmp_path / "*.txt", limit=2))
    assert texts(found) == ["a1", "a2", "b1", "b2"]
    assert reasons(found) == ["not UTF-8", "not UTF-8"]


# --- hub data sets --------------------------------------------------------------------------------


def hub(**settings: Any) -> HubSource:
    return HubSource(kind="hub", **{"dataset": "org/name", "columns": ("text",), **settings})


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> dict[str | None, list[dict[str, Any]]]:
    found: dict[str | None, list[dict[str, Any]]] = {}

    def stream_rows(source: HubSource, subset: str | None, *, data_dir: Path | None) -> Iterator[dict[str, Any]]:
        yield from found[subset]

    monkeypatch.setattr(hub_sources, "stream_rows", stream_rows)
    return found


def test_a_local_copy_is_read_without_the_hub(tmp_path: Path):
    for language, text in (("en", "one"), ("ko", "하나")):
        jsonl(tmp_path / "name" / language / "train.jsonl", {"text": text, "label": 1}, {"text": None, "label": 2})
    source = hub(subsets={"en": "en", "ko": "ko"}, data_files="{subset}/train.jsonl")
    assert list(read_hub(source, data_dir=tmp_path)) == [
        Sentence("one", "en", "org/name/en"),
        Sentence("하나", "ko", "org/name/ko"),
    ]


def test_a_damaged_local_copy_is_named(tmp_path: Path):
    write(tmp_path / "org" / "name" / "train.jsonl", b"\xff\xfe not json")
    with pytest.raises(SourceError, match=r"^data set org/name: the local copy .*/org/name cannot be read: [^\n]*$"):
        list(read_hub(hub(data_files="train.jsonl"), data_dir=tmp_path))


def test_the_limit_of_a_hub_source_is_per_subset_and_counts_usable_texts(rows: dict):
    rows["a"] = [{"text": text} for text in ("long enough", "short", "also long", "never read")]
    rows["b"] = [{"text": "of the other"}]
    found = list(read_hub(hub(subsets={"a": "en", "b": "ko"}, limit=2, min_chars=6), data_dir=None))
    assert [(item.text, item.language) for item in found if isinstance(item, Sentence)] == [
        ("long enough", "en"), ("also long", "en"), ("of the other", "ko"),
    ]  # fmt: skip
    assert reasons(found) == ["too short"]


def test_the_limit_holds_in_the_middle_of_a_hub_row(rows: dict):
    rows[None] = [{"a": "one", "b": "two"}, {"a": "three", "b": "four"}]
    found = list(read_hub(hub(columns=("a", "b"), limit=3), data_dir=None))
    assert texts(found) == ["one", "two", "three"]


def test_the_texts_of_one_hub_row_are_one_group(rows: dict):
    rows[None] = [{"a": "one", "b": "two"}, {"a": "three", "b": None}]
    found = list(read_hub(hub(columns=("a", "b"), language="en"), data_dir=None))
    assert [(item.text, item.group) for item in found] == [
        ("one", "org/name:0"), ("two", "org/name:0"), ("three", None),
    ]  # fmt: skip


def test_a_missing_hub_column_is_named_with_those_there_are(rows: dict):
    rows["en"] = [{"body": "x", "label": 1}]
    with pytest.raises(SourceError, match=r"^org/name/en has no column 'text'; it has: body, label$"):
        list(read_hub(hub(subsets={"en": "en"}), data_dir=None))


def test_an_mteb_task_becomes_its_train_split_in_the_recipes_languages():
    source = mteb_train_source("MassiveIntentClassification", languages=("ko", "zh"), limit=5)
    assert (source.dataset, source.split, source.columns) == ("mteb/amazon_massive_intent", "train", ("text",))
    assert set(source.subsets.values()) == {"ko", "zh"}
    assert source.subsets["ko"] == "ko"


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("NoSuchTask", "mteb has no task 'NoSuchTask'"),
        ("TwentyNewsgroupsClustering.v2", "is of type Clustering; its train split has no plain text columns"),
        ("MassiveIntentClassification", "has none of the languages xx"),
    ],
)
def test_an_mteb_task_that_cannot_be_trained_on_is_refused(task: str, message: str):
    with pytest.raises(SourceError, match=message.replace(".", r"\.")):
        mteb_train_source(task, languages=("xx",), limit=None)
