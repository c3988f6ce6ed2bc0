"""A tokenizer.json that is not what it claims to be is refused, with the file and the fault."""

from __future__ import annotations

import copy
import json
import pickle
import zipfile
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest

from babelpress.errors import TeacherError
from babelpress.teacher import read_teacher
from babelpress.vocabulary.tokenizer_file import Family, parse_tokenizer, read_tokenizer_file
from tests.families import BIG, FAMILIES
from tests.tiny import make_teacher
from tests.tokenizer_parts import added, assemble, bpe, template, wordpiece
from tests.vocabulary import MASK, SMALL, file_of, small_json, tokenizer_of


def small_bpe() -> dict:
    ids = {"a": 0, "b": 1, "ab": 2, "<unk>": 3}
    parts = {"post_processor": template("<s> $A", "<s> $A $B", {"<s>": 4})}
    return assemble(bpe(ids, [["a", "b"]], unk_token="<unk>"), [added("<unk>", 3), added("<s>", 4)], **parts)


def small_wordpiece() -> dict:
    frame = {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}
    ids = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3}
    return assemble(wordpiece(ids), [added("[UNK]", 0)], post_processor=frame)


def refused(tokenizer: Any, fault: str) -> None:
    """One line with the file's name and the fault."""
    with pytest.raises(TeacherError, match=fault) as caught:
        parse_tokenizer(tokenizer, origin="here/tokenizer.json")
    assert "here/tokenizer.json" in str(caught.value)
    assert "\n" not in str(caught.value)


# --- what is right ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*FAMILIES, *BIG, "embedded"])
def test_every_familys_file_is_read(name):
    file = file_of(name)
    assert [file.ids[piece] for piece in file.pieces] == list(range(len(file.pieces)))
    for token in file.raw["added_tokens"]:
        assert file.pieces[token["id"]] == token["content"]
    assert str(file.family) == tokenizer_of(name)["model"]["type"]


def test_added_tokens_behind_the_models_pieces_are_ids_like_others_a9():
    file = parse_tokenizer(small_bpe())
    assert (file.pieces, file.added, file.unk_id) == (("a", "b", "ab", "<unk>", "<s>"), {"<unk>": 3, "<s>": 4}, 3)


def test_a_byte_level_bpe_needs_no_unknown_piece():
    assert parse_tokenizer(assemble(bpe({"a": 0}, []))).unk_id is None


def test_ids_that_the_frame_uses_are_named_though_no_added_token_lists_them_a9():
    assert parse_tokenizer(small_wordpiece()).named_ids == {0, 1, 2}


def test_reading_changes_nothing():
    tokenizer = small_bpe()
    parse_tokenizer(tokenizer)
    assert tokenizer == small_bpe()


def test_merges_are_read_in_both_of_their_forms():
    old = small_bpe()
    old["model"]["merges"] = ["a b"]
    assert parse_tokenizer(old).merges == parse_tokenizer(small_bpe()).merges == [("a", "b")]


# --- pieces and ids -----------------------------------------------------------------------------


def test_a_doubled_id_is_refused():
    refused(assemble(bpe({"a": 0, "b": 0}, [])), "id 0 stands for 'a' and for 'b'")


def test_an_id_that_no_piece_has_is_refused():
    refused(assemble(bpe({"a": 0, "b": 2}, [])), "no piece has id 1, though ids go up to 2")


def test_a_hole_before_an_added_token_is_refused():
    refused(assemble(bpe({"a": 0}, []), [added("<s>", 2)]), "no piece has id 1, though ids go up to 2")


@pytest.mark.parametrize("number", [-1, 1.0, True, None, "0"])
def test_an_id_that_is_no_number_from_0_on_is_refused(number):
    refused(assemble(bpe({"a": number}, [])), "piece 'a' has id .*, not a whole number from 0 on")


def test_a_doubled_piece_is_refused():
    refused(small_json([*SMALL, ("a", -3.0)]), "lists a piece twice: 'a' is 5 and 12")


@pytest.mark.parametrize("vocabulary", [None, [], {}, "abc", 7])
@pytest.mark.parametrize("family", list(Family))
def test_a_model_without_pieces_is_refused(family, vocabulary):
    refused({"model": {"type": str(family), "vocab": vocabulary}}, f"a {family}'s vocab is .*, this one has none")


@pytest.mark.parametrize(
    "entry", [["a"], ["a", -1.0, 0], [7, -1.0], [None, -1.0], "ab", {"a": 1}, ["a", "-1"], ["a", None]]
)
def test_an_entry_that_is_no_piece_with_a_score_is_refused(entry):
    tokenizer = small_json()
    tokenizer["model"]["vocab"][5] = entry
    refused(tokenizer, r"entry 5 of the vocab is .*, not \[piece, score\]")


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", "-1e999", "1" + "0" * 400, "true"])
def test_a_score_that_is_no_finite_number_is_refused(score, tmp_path):
    text = json.dumps(small_json()).replace("-3.0", score)
    assert score in text
    (tmp_path / "tokenizer.json").write_text(text, encoding="utf-8")
    with pytest.raises(TeacherError, match=r"tokenizer\.json: entry 5 of the vocab"):
        read_tokenizer_file(tmp_path / "tokenizer.json")


# --- the unknown piece --------------------------------------------------------------------------


@pytest.mark.parametrize("unk", [None, -1, 13, "3", 3.0, True])
def test_an_unknown_id_that_is_no_piece_is_refused(unk):
    tokenizer = small_json()
    tokenizer["model"]["unk_id"] = unk
    refused(tokenizer, "has unk_id .*, which is not one of its 13 pieces")


@pytest.mark.parametrize("unk", ["<none>", None, ["a"], {}])
def test_an_unknown_piece_that_is_not_there_is_refused(unk):
    tokenizer = small_wordpiece()
    tokenizer["model"]["unk_token"] = unk
    refused(tokenizer, "its unknown piece .* is not in the vocab")


def test_a_bpes_unknown_piece_that_is_not_there_is_refused():
    tokenizer = small_bpe()
    tokenizer["model"]["unk_token"] = "<none>"
    refused(tokenizer, "its unknown piece '<none>' is not in the vocab")


# --- models, merges, added tokens, post-processors ------------------------------------------------


@pytest.mark.parametrize("kind", ["WordLevel", "unigram", None, 7, ["BPE"], {}])
def test_other_kinds_are_refused_by_name_with_those_that_are_supported(kind):
    refused(
        {"model": {"type": kind, "vocab": {"a": 0}}}, "tokenizer is not supported; supported: Unigram, BPE, WordPiece"
    )


@pytest.mark.parametrize(
    "tokenizer", [[], [1, 2], "text", 7, None, {}, {"model": None}, {"model": []}, {"version": "1.0"}]
)
def test_what_has_no_model_is_refused(tokenizer):
    refused(tokenizer, "has no model; a tokenizer.json of the tokenizers library was expected")


@pytest.mark.parametrize(("merge", "missing"), [(["a", "c"], "'c'"), (["b", "a"], "'ba'"), ("c a", "'c'")])
def test_a_merge_of_pieces_that_are_not_there_is_refused(merge, missing):
    tokenizer = small_bpe()
    tokenizer["model"]["merges"].append(merge)
    refused(tokenizer, f"merge 1 needs {missing}, which is not in the vocab")


@pytest.mark.parametrize("merge", [["a"], ["a", "b", "ab"], "ab", "a b c", 7, None, {"a": "b"}])
def test_a_merge_that_is_no_pair_is_refused(merge):
    tokenizer = small_bpe()
    tokenizer["model"]["merges"].append(merge)
    refused(tokenizer, "merge 1 is .*, not a pair of pieces")


@pytest.mark.parametrize("merges", [None, {}, "a b"])
def test_a_bpe_without_a_list_of_merges_is_refused(merges):
    refused(assemble({**bpe({"a": 0}, []), "merges": merges}), "a BPE needs a list of merges")


def test_an_added_token_at_odds_with_the_vocab_is_refused_a9():
    tokenizer = small_json()
    tokenizer["added_tokens"][1]["id"] = 2
    refused(tokenizer, "added token '<pad>' has id 2, the model lists it as 1")


def test_an_added_token_with_the_id_of_a_piece_is_refused_a9():
    tokenizer = small_json()
    tokenizer["added_tokens"].append({"id": 5, "content": "<lang>"})
    refused(tokenizer, "id 5 stands for 'a' and for '<lang>'")


def test_an_added_token_listed_under_two_ids_is_refused_a9():
    tokenizer = small_json()
    tokenizer["added_tokens"] += [{"id": MASK + 1, "content": "<lang>"}, {"id": MASK + 2, "content": "<lang>"}]
    refused(tokenizer, "added token '<lang>' has id 14, the model lists it as 13")


@pytest.mark.parametrize("token", ["<s>", 7, None, {"id": 3}, {"content": "<s>"}, {"id": "3", "content": "<s>"}])
def test_an_added_token_without_id_or_content_is_refused(token):
    refused({**small_json(), "added_tokens": [token]}, "added token .* has no id or no content")


@pytest.mark.parametrize("tokens", [7, "abc", {"<s>": 0}])
def test_added_tokens_that_are_no_list_are_refused(tokens):
    refused({**small_json(), "added_tokens": tokens}, "added token")


@pytest.mark.parametrize("number", [5, 99, -1])
def test_a_post_processor_with_an_id_outside_is_refused_a9(number):
    frame = template("<s> $A", "<s> $A $B", {"<s>": number})
    refused({**small_bpe(), "post_processor": frame}, f"the post-processor uses id {number}; there are 5 pieces")
    nested = {"type": "Sequence", "processors": [{"type": "BertProcessing", "sep": ["x", number], "cls": ["x", 0]}]}
    refused({**small_bpe(), "post_processor": nested}, f"the post-processor uses id {number}; there are 5 pieces")


@pytest.mark.parametrize("key", ["normalizer", "pre_tokenizer", "post_processor", "decoder"])
@pytest.mark.parametrize("step", [5, [], {}, {"type": 5}, {"type": "Sequence", "steps": [{"type": "NFC"}, None]}])
def test_a_step_that_has_no_type_is_refused(key, step):
    refused({**small_bpe(), key: step}, f"its {key} is .*, not a step with a type")


# --- whatever else ------------------------------------------------------------------------------

WHATEVER = [
    None, True, -1, 3, 99, 10**400, 0.5, float("nan"), "", "a", "<s>", [], [7], ["a"], [["a", "b"]], {}, {"a": 0},
    {"ids": 5}, {"ids": ["a"]}, {"type": "x"}, {"type": "Sequence", "x": [5]},
]  # fmt: skip


def places(node: Any, way: tuple = ()) -> list[tuple]:
    """Return the way to every part of a tokenizer.json."""
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [found for key, child in children for found in ((*way, key), *places(child, (*way, key)))]


@pytest.mark.parametrize("make", [small_json, small_bpe, small_wordpiece])
def test_whatever_stands_in_any_place_it_is_read_or_refused_in_one_line(make):
    for *way, key in places(make()):
        for value in WHATEVER:
            tokenizer = make()
            reduce(getitem, way, tokenizer)[key] = copy.deepcopy(value)
            try:
                file = parse_tokenizer(tokenizer, origin="here")
            except TeacherError as error:
                assert "here" in str(error)
                assert "\n" not in str(error)
                continue
            assert [file.ids[piece] for piece in file.pieces] == list(range(len(file.pieces)))
            assert all(0 <= number < len(file.pieces) for number in file.named_ids)
            assert file.is_byte_level in (True, False)
            assert file.plain_ids.dtype == bool


# --- files --------------------------------------------------------------------------------------


def pickled() -> bytes:
    return pickle.dumps({"model": {"type": "Unigram"}})


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", r"is not a tokenizer: it begins with b''"),
        (b"   \n", r"is not a tokenizer: it begins with b''"),
        (b"[1, 2]", r"is not a tokenizer: it begins with b'\[1, 2\]', a JSON object was expected"),
        (b"\x00\x01\x02", "is not a tokenizer: it begins with"),
        (pickled(), "a pickle, which is never read"),
        (b"{" + bytes(range(256)) * 4096, "a tokenizer.json was expected"),
        (b"{" + b"a" * 2**20, "a tokenizer.json was expected"),
        (b'{"model": {"type": "Unigram"', "a tokenizer.json was expected"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "a tokenizer.json was expected"),
        (b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "a tokenizer.json was expected"),
        (b'{"model": {"type": "BPE", "vocab": {"a": ' + b"9" * 5000 + b"}}}", "tokenizer.json"),
        (b'{"model": "\xff\xfe"}', "a tokenizer.json was expected"),
        (b"{}", "has no model"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_tokenizer_is_refused_by_name(content, fault, tmp_path: Path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(TeacherError, match=fault) as caught:
        read_tokenizer_file(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(path))


def test_a_zip_is_never_read(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "tokenizer.json", "w") as archive:
        archive.writestr("data.pkl", pickled())
    with pytest.raises(TeacherError, match="a pickle, which is never read"):
        read_tokenizer_file(tmp_path / "tokenizer.json")


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(TeacherError, match=r"tokenizer\.json is missing"):
        read_tokenizer_file(tmp_path / "tokenizer.json")


def test_a_folder_in_its_place_is_named(tmp_path: Path):
    (tmp_path / "tokenizer.json").mkdir()
    with pytest.raises(TeacherError, match=r"tokenizer\.json"):
        read_tokenizer_file(tmp_path / "tokenizer.json")


def test_a_byte_order_mark_is_named_for_what_it_is(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(small_bpe()).encode())
    with pytest.raises(TeacherError, match="BOM"):
        read_tokenizer_file(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("name", FAMILIES)
def test_more_pieces_than_rows_are_refused_a10(name, tmp_path: Path):
    folder = make_teacher(tmp_path / "teacher", layers=1, tokenizer=tokenizer_of(name), spare_rows=-1)
    with pytest.raises(TeacherError, match=r"tokenizer\.json has \d+ pieces but the embedding matrix has \d+ rows"):
        read_teacher(str(folder))
