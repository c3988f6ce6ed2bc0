"""What holds for every family's rewritten tokenizer.json, and for the vectors of a student that keeps every layer."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from babelpress.architectures.encoders import load_encoder
from babelpress.recipe import SpecialText
from babelpress.student.build import compact_tokenizer
from babelpress.vocabulary.surgery import rewrite_tokenizer, student_pieces
from babelpress.vocabulary.tokenizer_file import parse_tokenizer
from tests.families import FAMILIES
from tests.tokenizer_parts import sentences
from tests.vocabulary import file_of, ids_of, plan_of, student_json, student_of, teacher_of
from tests.vocabulary.conftest import Pressed

EVERY = ["embedded", *FAMILIES]
BPE = [name for name in FAMILIES if name.startswith("bpe")]


@pytest.mark.parametrize("name", EVERY)
def test_a_rewritten_file_has_a_piece_at_every_row_a9(name):
    found = parse_tokenizer(student_json(name))
    assert len(found.pieces) == plan_of(name).rows == len(student_json(name)["model"]["vocab"])
    assert list(found.pieces) == student_pieces(file_of(name), plan_of(name))
    assert student_of(name).get_vocab_size() == plan_of(name).rows


@pytest.mark.parametrize("name", EVERY)
def test_texts_and_pairs_keep_the_teachers_frame_a9(name):
    for pair in (("a",), ("a", "b")):
        teacher, student = teacher_of(name).encode(*pair), student_of(name).encode(*pair)
        assert [plan_of(name).id_map[number] for number in teacher.ids] == student.ids
        assert (student.type_ids, student.tokens) == (teacher.type_ids, teacher.tokens)


@pytest.mark.parametrize("name", EVERY)
def test_truncation_and_padding_are_never_carried_over_a13(name):
    baked = copy.copy(file_of(name).raw)
    baked["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    baked["padding"] = {
        "strategy": {"Fixed": 20}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1, "pad_type_id": 0,
        "pad_token": "<pad>",
    }  # fmt: skip
    assert len(Tokenizer.from_str(json.dumps(baked)).encode("a b c d e f g h").ids) == 20
    found = rewrite_tokenizer(parse_tokenizer(baked), plan_of(name))
    assert (found["truncation"], found["padding"]) == (None, None)
    shipped = Tokenizer.from_str(json.dumps(found)).encode("a b c d e f g h")
    assert 8 < len(shipped.ids) == len(student_of(name).encode("a b c d e f g h").ids)
    assert 0 not in shipped.attention_mask


@pytest.mark.parametrize("special_text", SpecialText)
@pytest.mark.parametrize("name", EVERY)
def test_save_load_save_is_byte_identical(name, special_text, tmp_path: Path):
    text = compact_tokenizer(student_json(name, special_text))
    (tmp_path / "one.json").write_text(text, encoding="utf-8", newline="\n")
    Tokenizer.from_file(str(tmp_path / "one.json")).save(str(tmp_path / "two.json"))
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "one.json").read_bytes()


# --- added tokens ---------------------------------------------------------------------------------


def test_added_tokens_behind_the_models_vocabulary_move_inside_it():
    teacher, student = file_of("bpe_bytelevel"), student_json("bpe_bytelevel")
    assert all(number >= len(teacher.model["vocab"]) for number in teacher.added.values())
    vocabulary = student["model"]["vocab"]
    assert sorted(vocabulary.values()) == list(range(plan_of("bpe_bytelevel").rows))
    special = [token for token in student["added_tokens"] if token["special"]]
    assert len(special) == 4
    assert all(vocabulary[token["content"]] == token["id"] for token in special)


@pytest.mark.parametrize(("name", "token"), [("bpe_bytelevel", "<tool_call>"), ("bpe_gemma", "<unused0>")])
def test_an_added_token_that_is_not_special_and_was_dropped_is_text_from_then_on(name, token):
    assert token in file_of(name).added
    assert file_of(name).added[token] not in plan_of(name).id_map
    assert token not in [listed["content"] for listed in student_json(name)["added_tokens"]]
    ids = ids_of(student_of(name), [f"a{token}b"])[0]
    assert len(ids) > 3
    assert student_of(name).decode(ids) == f"a{token}b"


@pytest.mark.parametrize("name", ["bpe_bytelevel", "bpe_gemma"])
def test_an_added_token_that_is_not_special_and_was_kept_is_one_piece(name):
    file, old_plan = file_of(name), plan_of(name)
    number = next(token["id"] for token in file.raw["added_tokens"] if not token["special"])
    plan = type(old_plan)(tuple(sorted({*old_plan.kept, number})), old_plan.new_pieces, {}, 0, 0, ())
    student = Tokenizer.from_str(json.dumps(rewrite_tokenizer(file, plan)))
    assert plan.id_map[number] in ids_of(student, [f"a{file.pieces[number]}b"])[0]


# --- BPE and WordPiece ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", BPE)
def test_exactly_the_merges_of_kept_pieces_to_kept_pieces_stay_a12(name):
    kept = {file_of(name).pieces[number] for number in plan_of(name).kept}
    expected = [pair for pair in file_of(name).merges if {*pair, "".join(pair)} <= kept]
    assert parse_tokenizer(student_json(name)).merges == expected
    assert 0 < len(expected) < len(file_of(name).merges)


def test_a_word_as_long_as_the_teacher_takes_is_cut_whatever_its_characters_take_in_bytes():
    longest = int(file_of("wordpiece_bert").model["max_input_chars_per_word"])
    unk = student_of("wordpiece_bert").token_to_id("[UNK]")
    for character in ("a", "é", "가", "𐎀"):
        assert unk not in ids_of(student_of("wordpiece_bert"), [character * longest])[0]


def test_words_in_bytes_are_bounded_for_the_sake_of_time():
    model = student_json("wordpiece_bert")["model"]
    assert model["max_input_chars_per_word"] == 4 * file_of("wordpiece_bert").model["max_input_chars_per_word"]
    assert student_of("wordpiece_bert").encode("a" * 401, add_special_tokens=False).tokens == ["[UNK]"]


# --- vectors --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["unigram_xlmr", "bpe_bytelevel", "wordpiece_bert"])
def test_a_student_of_all_layers_embeds_kept_text_as_its_teacher(name, pressed: Pressed):
    kept = plan_of(name).id_map.keys() - {file_of(name).unk_id}
    texts = list(sentences()[::3])
    texts = [text for text, ids in zip(texts, ids_of(teacher_of(name), texts), strict=True) if kept >= set(ids)][:64]
    assert len(texts) == 64
    student = pressed(name)
    expected = load_encoder(student.parent / "teacher").encode(texts, convert_to_tensor=True)
    found = load_encoder(student).encode(texts, convert_to_tensor=True)
    assert torch.allclose(found, expected, atol=1e-6)
    assert expected.std(dim=0).min() > 1e-3  # different texts have different vectors
