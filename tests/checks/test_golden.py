"""The golden file: what it holds, what a port is told, and that it stands or falls with its tokenizer."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from babelpress.checks.golden import (
    GOLDEN,
    Difference,
    Golden,
    GoldenCase,
    check_golden,
    compare_golden,
    golden_texts,
    make_golden,
    read_golden,
    write_golden,
)
from babelpress.checks.readers import Reader, open_readers
from babelpress.checks.result import Status
from babelpress.checks.run import run_checks
from babelpress.errors import BabelpressError
from babelpress.evaluation.fidelity.bundled import all_languages
from tests.checks import BYTES, break_json, make_student
from tests.families import FAMILIES
from tests.tiny import tokenizer_json

# ids: 0 to 3 <s> <pad> </s> <unk>, 4 to 7 these, 8 to 263 the bytes, 264 <mask>
PIECES = [("▁", -2.0), ("▁a", -1.0), ("b", -3.0), ("▁b", -1.5), *((piece, -9.0) for piece in BYTES)]


def a_tokenizer(folder: Path) -> Path:
    value = tokenizer_json(PIECES)
    value["model"]["byte_fallback"] = True
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = make_student(tmp_path_factory.mktemp("golden") / "student")
    write_golden(folder)
    return folder


def a_golden(*ids: tuple[int, ...], unk_id: int | None = 3) -> Golden:
    """Cases of these ids, framed by 0 and 2; pieces 10 to 19 are bytes."""
    cases = tuple(
        GoldenCase(kind="k", text=str(number), ids=row, ids_with_special=(0, *row, 2), tokens=("x",) * len(row))
        for number, row in enumerate(ids)
    )
    return Golden(format=1, tokenizer_sha256="", unk_id=unk_id, byte_ids=tuple(range(10, 20)), cases=cases)


# --- what is in it ------------------------------------------------------------------------------


def test_ids_and_tokens_are_the_tokenizers_worked_out_by_hand(tmp_path):
    found = {case.text: case for case in make_golden(a_tokenizer(tmp_path)).cases}
    assert (found["a b"].ids, found["a b"].tokens) == ((5, 7), ("▁a", "▁b"))
    assert found["a b"].ids_with_special == (0, 5, 7, 2)
    assert (found[""].ids, found[""].ids_with_special) == ((), (0, 2))
    # no piece for NUL: ▁ and its byte; none for 😀 (F0 9F 98 80) behind a: its four bytes, then b
    assert found["\x00"].ids == (4, 8)
    assert found["a😀b"].tokens == ("▁a", "<0xF0>", "<0x9F>", "<0x98>", "<0x80>", "b")
    assert found["a<s>b"].tokens == ("▁a", "<s>", "▁b")


def test_it_says_which_pieces_stand_for_bytes_and_which_tokenizer_it_is_of(tmp_path):
    path = a_tokenizer(tmp_path)
    found = make_golden(path)
    assert (found.unk_id, found.byte_ids) == (3, tuple(range(8, 264)))
    assert found.tokenizer_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_byte_pieces_that_are_no_fallback_are_not_named(tmp_path):
    path = a_tokenizer(tmp_path)
    path.write_text(path.read_text(encoding="utf-8").replace('"byte_fallback": true', '"byte_fallback": false'))
    assert make_golden(path).byte_ids == ()


def test_texts_are_of_every_language_and_every_edge_and_never_twice_the_same():
    texts = golden_texts()
    kinds = {kind for kind, _ in texts}
    assert kinds >= set(all_languages()) | {"empty", "byte names", "special names", "right to left", "control"}
    assert len({text for _, text in texts}) == len(texts)
    assert texts == golden_texts()


def test_the_file_is_ascii_a_case_a_line_and_always_the_same(good):
    before = (good / GOLDEN).read_bytes()
    assert write_golden(good) == good / GOLDEN
    assert (good / GOLDEN).read_bytes() == before
    assert before.isascii()
    lines = before.decode().splitlines()
    assert json.loads(lines[lines.index(' "cases": [') + 1].rstrip(","))["kind"] == "ar"
    assert read_golden(good / GOLDEN) == make_golden(good / "tokenizer.json")


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_any_family_has_one_and_another_reader_agrees(family, tmp_path):
    from transformers import PreTrainedTokenizerFast

    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(FAMILIES[family]()), encoding="utf-8")
    found = make_golden(path)
    other = PreTrainedTokenizerFast(tokenizer_file=str(path))
    for special in (True, False):
        ids = other(found.texts, add_special_tokens=special)["input_ids"]
        assert compare_golden(found, ids, special=special) == []


# --- what a port is told ------------------------------------------------------------------------


def test_a_port_that_agrees_has_no_difference():
    assert compare_golden(a_golden((5, 6), ()), [[0, 5, 6, 2], [0, 2]]) == []
    assert compare_golden(a_golden((5, 6), ()), [[5, 6], []], special=False) == []


def test_a_difference_names_its_case_and_the_first_place():
    golden = a_golden((5, 6), (7,))
    (one,) = compare_golden(golden, [[0, 5, 9, 2], [0, 7, 2]])
    assert one == Difference(golden.cases[0], (0, 5, 6, 2), (0, 5, 9, 2))
    assert str(one) == "id 9 at place 2, 6 expected"
    (short,) = compare_golden(golden, [[0, 5, 6, 2], [0, 7]])
    assert str(short) == "2 ids, 3 expected"


def test_a_runtime_without_byte_fallback_gives_one_unknown_for_a_run_of_bytes():
    golden = a_golden((5, 10, 11, 6, 12), (13, 14))
    assert compare_golden(golden, [[5, 3, 6, 3], [3]], special=False, bytes_as_unknown=True) == []
    wrong = compare_golden(golden, [[5, 3, 3, 6, 3], [13, 14]], special=False, bytes_as_unknown=True)
    assert [difference.case.text for difference in wrong] == ["0", "1"]


def test_without_an_unknown_piece_bytes_stay_bytes():
    golden = a_golden((5, 10), unk_id=None)
    assert compare_golden(golden, [[5, 10]], special=False, bytes_as_unknown=True) == []


def test_another_number_of_texts_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="zip"):
        compare_golden(a_golden((5,), (6,)), [[5]])


# --- the file is trusted as little as any -------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"\xff\xfe", "not a golden file"),
        (b"[]", "not a golden file"),
        (b'{"format": 2}', "format"),
        (
            b'{"format": 1, "tokenizer_sha256": "", "unk_id": 3, "byte_ids": [], "cases": [{"kind": "k"}]}',
            "cases.0.text",
        ),
    ],
)
def test_a_file_that_is_none_is_named_with_its_fault(tmp_path, content, fault):
    (tmp_path / GOLDEN).write_bytes(content)
    with pytest.raises(BabelpressError, match=fault) as caught:
        read_golden(tmp_path / GOLDEN)
    assert str(tmp_path / GOLDEN) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_how_to_write_one(tmp_path):
    with pytest.raises(BabelpressError, match="write_golden") as caught:
        read_golden(tmp_path / GOLDEN)
    assert "\n" not in str(caught.value)


# --- the check ----------------------------------------------------------------------------------


def test_every_reader_of_a_good_folder_agrees(good):
    golden = read_golden(good / GOLDEN)
    with open_readers(good) as (readers, _):
        found = list(check_golden(golden, tokenizer=good / "tokenizer.json", readers=readers))
    assert {result.status for result in found} == {Status.PASS}
    names = [result.name for result in found]
    assert names[0] == "golden: tokenizer.json"
    assert names[1:] == [f"golden: {reader.name}" for reader in readers]
    assert found[1].tested == len(golden_texts())


def test_byte_fallback_lost_is_found_by_every_reader_and_by_the_hash_a1(good, tmp_path):
    broken = break_json(
        good, tmp_path / "b", "tokenizer.json", lambda value: value["model"].update(byte_fallback=False)
    )
    golden = read_golden(broken / GOLDEN)
    with open_readers(broken) as (readers, _):
        found = list(check_golden(golden, tokenizer=broken / "tokenizer.json", readers=readers))
    assert {result.status for result in found} == {Status.FAIL}
    assert "another tokenizer.json" in found[0].detail
    missing = [case.text for case in golden.cases if set(case.ids) & set(golden.byte_ids)]
    assert {result.first_failure for result in found[1:]} == {missing[0]}


def test_a_reader_that_cannot_be_loaded_fails(good):
    golden = read_golden(good / GOLDEN)
    readers = [Reader("AutoTokenizer", fault="OSError: no")]
    found = list(check_golden(golden, tokenizer=good / "tokenizer.json", readers=readers))
    assert (found[1].status, found[1].detail) == (Status.FAIL, "cannot be loaded: OSError: no")


def test_the_report_holds_it_where_it_is_asked_for(good, monkeypatch):
    monkeypatch.setattr("babelpress.checks.run.scalar_values", lambda *, full: ["a"])
    without, with_it = (run_checks(good, golden=golden).results for golden in (False, True))
    extra = [result for result in with_it if result.name.startswith("golden")]
    assert len(with_it) == len(without) + len(extra)
    assert [result.status for result in extra] == [Status.PASS] * 7


def test_a_report_that_needs_it_is_refused_before_any_work(good, tmp_path):
    shutil.copytree(good, tmp_path / "s")
    (tmp_path / "s" / GOLDEN).unlink()
    with pytest.raises(BabelpressError, match="is missing"):
        run_checks(tmp_path / "s", golden=True)
