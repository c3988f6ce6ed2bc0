"""The rewritten tokenizer.json, held against the teacher's by the real tokenizers library (FIELD_NOTES A)."""

from __future__ import annotations

import copy
import json
import re
import sys
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from babelpress.corpus.bundled import load_meanings
from babelpress.errors import TeacherError
from babelpress.recipe import VocabularyMethod
from babelpress.student.build import compact_tokenizer
from babelpress.vocabulary.plan import BYTE_PIECES, META, VocabularyPlan, plan_vocabulary
from babelpress.vocabulary.surgery import new_id, rewrite_tokenizer
from tests.tiny import SPECIAL, embedded_tokenizer
from tests.vocabulary import counts_of, embedded_plan, teacher_tokenizer

BYTES = frozenset(BYTE_PIECES)
UNK = "<unk>"


@lru_cache(maxsize=1)
def student_json() -> dict:
    return rewrite_tokenizer(embedded_tokenizer(), embedded_plan())


@lru_cache(maxsize=1)
def student() -> Tokenizer:
    return Tokenizer.from_str(json.dumps(student_json(), ensure_ascii=False))


def pieces_of(tokenizer: Tokenizer, text: str) -> list[str]:
    return tokenizer.encode(text, add_special_tokens=False).tokens


def kept_pieces() -> list[str]:
    vocabulary = embedded_tokenizer()["model"]["vocab"]
    return [vocabulary[old][0] for old in embedded_plan().kept]


# --- every place that holds an id ---------------------------------------------------------------


def tiny_plan(*kept: int, new: tuple[str, ...] = BYTE_PIECES) -> VocabularyPlan:
    return VocabularyPlan(kept, new, {}, 0, 0, ())


def hand_json() -> dict:
    """Special tokens at odd places, so that a place which is not mapped shows."""
    vocabulary = [["x", -1.0], ["<s>", 0.0], ["y", -2.0], ["<unk>", 0.0], ["▁", -3.0], ["</s>", 0.0], ["z", -20.0]]
    added = [{"id": 1, "content": "<s>"}, {"id": 3, "content": "<unk>"}, {"id": 5, "content": "</s>"}]
    return {"model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary}, "added_tokens": added}


KEPT = (1, 3, 4, 5)  # <s> 0, <unk> 1, ▁ 2, </s> 3


def test_the_unknown_id_is_mapped_a9():
    assert rewrite_tokenizer(hand_json(), tiny_plan(*KEPT))["model"]["unk_id"] == 1


def test_added_tokens_are_mapped_a9():
    found = rewrite_tokenizer(hand_json(), tiny_plan(*KEPT))["added_tokens"]
    assert [(token["content"], token["id"]) for token in found] == [("<s>", 0), ("<unk>", 1), ("</s>", 3)]


def test_a_template_post_processor_is_mapped_a9():
    tokenizer = hand_json()
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [5, 1], "tokens": ["</s>", "<s>"]}},
    }
    found = rewrite_tokenizer(tokenizer, tiny_plan(*KEPT))["post_processor"]
    assert found["special_tokens"] == {"</s>": {"id": "</s>", "ids": [3, 0], "tokens": ["</s>", "<s>"]}}
    assert found["single"] == tokenizer["post_processor"]["single"]


def test_a_post_processor_nested_in_a_sequence_is_mapped_a9():
    tokenizer = hand_json()
    roberta = {"type": "RobertaProcessing", "sep": ["</s>", 5], "cls": ["<s>", 1], "trim_offsets": True}
    tokenizer["post_processor"] = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, roberta]}
    found = rewrite_tokenizer(tokenizer, tiny_plan(*KEPT))["post_processor"]
    assert found["processors"][1] == {**roberta, "sep": ["</s>", 3], "cls": ["<s>", 0]}


def test_an_id_that_the_plan_dropped_is_named():
    with pytest.raises(TeacherError, match=r"</s> refers to id 5, which the plan does not keep"):
        rewrite_tokenizer(hand_json(), tiny_plan(1, 3, 4))
    with pytest.raises(TeacherError, match="unk_id refers to id 3"):
        new_id(tiny_plan(0, 1), 3, "unk_id")


def test_the_teachers_tokenizer_is_not_changed():
    before = hand_json()
    rewrite_tokenizer(before, tiny_plan(*KEPT))
    assert before == hand_json()


def test_special_tokens_sit_at_the_reference_students_ids():
    assert [student().id_to_token(number) for number in range(4)] == SPECIAL
    assert student().token_to_id("<mask>") == len(embedded_plan().kept) - 1
    assert [student().id_to_token(len(embedded_plan().kept) + value) for value in (0, 255)] == ["<0x00>", "<0xFF>"]


def test_every_kept_piece_has_the_teachers_score_at_its_new_id():
    teacher, plan = embedded_tokenizer()["model"]["vocab"], embedded_plan()
    assert student_json()["model"]["vocab"][: len(plan.kept)] == [list(teacher[old]) for old in plan.kept]


def test_encoding_is_framed_by_the_mapped_special_tokens():
    assert student().encode("hello").tokens[0] == "<s>"
    assert student().encode("hello").tokens[-1] == "</s>"
    assert [student().encode("hello").ids[place] for place in (0, -1)] == [0, 2]


def test_pairs_keep_the_teachers_frame():
    assert student().encode("a", "b").tokens == teacher_tokenizer().encode("a", "b").tokens


def test_mask_still_takes_the_space_before_it_a9():
    assert pieces_of(student(), "a <mask> b") == pieces_of(teacher_tokenizer(), "a <mask> b")


# --- byte fallback ------------------------------------------------------------------------------


def test_a_character_that_no_piece_spells_becomes_its_utf8_bytes():
    assert pieces_of(student(), "𐎀") == [META, "<0xF0>", "<0x90>", "<0x8E>", "<0x80>"]


def test_literal_byte_pieces_are_text_a2():
    for text in ("<0x41>", "<0xE4>", "<0xF0><0x9F>", "a<0x00>b", "<<0x41>>", "＜0x41＞", "<0x41", "0x41>"):
        assert not BYTES & set(pieces_of(student(), text)), text
        assert student().decode(student().encode(text).ids) == teacher_tokenizer().normalizer.normalize_str(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["<0x41>", "<0xE4>", "<", ">", "0x", "0xE4>", "a", " ", "가", "<0x4"]), max_size=12))
def test_no_mixture_of_literals_makes_a_byte_piece_a2(parts):
    assert not BYTES & set(pieces_of(student(), "".join(parts)))


def test_real_fallback_beside_a_literal_still_works_a2():
    assert [piece for piece in pieces_of(student(), "<0x41>𐎀") if piece in BYTES] == list(pieces_of(student(), "𐎀")[1:])


def test_all_256_byte_pieces_are_there_once_a4():
    found = [piece for piece, _ in student_json()["model"]["vocab"] if piece in BYTES]
    assert found == list(BYTE_PIECES)


def test_a_missing_byte_piece_is_refused_a4():
    with pytest.raises(TeacherError, match=r"all 256 byte pieces; 1 are missing \(<0xFF>"):
        rewrite_tokenizer(embedded_tokenizer(), replace(embedded_plan(), new_pieces=BYTE_PIECES[:255]))


def test_byte_pieces_do_not_move_the_unknown_score_a3():
    lowest = min(score for _, score in embedded_tokenizer()["model"]["vocab"])
    vocabulary = student_json()["model"]["vocab"]
    assert {score for piece, score in vocabulary if piece in BYTES} == {lowest}
    assert min(score for _, score in vocabulary) == lowest


@pytest.mark.parametrize("text", ["2026-08-21", "x<y", "a@b", "=0", "Q V \\ | `", "50%", "1,000.5", "{[(~^_)]}"])
def test_ordinary_ascii_needs_no_bytes_a6(text):
    assert not (BYTES | {UNK}) & set(pieces_of(student(), text))


def test_every_printable_ascii_character_inside_a_word_needs_no_bytes_a6():
    have = {piece for piece, _ in embedded_tokenizer()["model"]["vocab"]}
    for character in map(chr, range(0x21, 0x7F)):
        assert character not in have or not BYTES & set(pieces_of(student(), f"a{character}b")), character


def test_bytes_are_rare_in_the_sixteen_languages_a7():
    texts = [text for meaning in load_meanings()[:200] for text in meaning.texts.values()]
    tokens = [
        token for encoding in student().encode_batch_fast(texts, add_special_tokens=False) for token in encoding.tokens
    ]
    assert sum(token in BYTES for token in tokens) < 0.001 * len(tokens)


# --- segmentation is the teacher's --------------------------------------------------------------


def bytes_as_unknown(tokens: list[str]) -> list[str]:
    """Fold each run of byte pieces into one <unk>, as the teacher writes it."""
    folded: list[str] = []
    for is_byte, run in groupby(tokens, key=BYTES.__contains__):
        folded += [UNK] if is_byte else list(run)
    return folded


@lru_cache(maxsize=1)
def vocabulary_words() -> tuple[str, ...]:
    return tuple(piece.replace(META, " ") for piece in kept_pieces()[5:-1])


characters = st.characters(exclude_categories=("Cs",))
mixed_text = st.lists(
    st.one_of(
        st.deferred(lambda: st.sampled_from(vocabulary_words())),
        st.text(characters, max_size=3),
        st.text(st.sampled_from("abcXYZ0189-<>=@ 가나다안녕中文かなкотกขअआلامệ,.!?"), max_size=6),
    ),
    max_size=12,
).map("".join)


@settings(max_examples=400, deadline=None)
@given(mixed_text)
@example("the of and 안녕하세요")
@example("a𐎀b 𐎀𐎁 c")
def test_text_whose_teacher_pieces_are_kept_is_cut_as_the_teacher_cuts_it_a3(text):
    if re.search("<0x[0-9A-F]{2}>", teacher_tokenizer().normalizer.normalize_str(text)):
        return  # cut apart on purpose (A2)
    expected = pieces_of(teacher_tokenizer(), text)
    if set(expected) <= set(kept_pieces()):
        assert bytes_as_unknown(pieces_of(student(), text)) == expected


def test_most_embedded_sentences_with_kept_pieces_are_cut_alike_a3():
    kept = set(kept_pieces())
    compared = 0
    for meaning in load_meanings():
        for text in meaning.texts.values():
            expected = pieces_of(teacher_tokenizer(), text)
            if set(expected) <= kept:
                compared += 1
                assert pieces_of(student(), text) == expected
    assert compared > 500


def test_dropping_pieces_without_byte_fallback_does_not_make_known_text_unknown_a3():
    # The teacher cuts "▁abcde" into ▁ ab cd e (-1 - 27), because a + bcde costs 51. With a dropped and the
    # lowest score at -9, an unknown a would cost 19 and "unknown + bcde" (20) would win over ab cd e (27).
    pieces = [("▁", -1.0), ("a", -50.0), ("ab", -9.0), ("cd", -9.0), ("e", -9.0), ("bcde", -1.0)]
    teacher = copy.deepcopy(embedded_tokenizer())
    teacher["model"]["vocab"] = [*([p, 0.0] for p in SPECIAL), *map(list, pieces), ["<mask>", 0.0]]
    teacher["added_tokens"][-1]["id"] = 10
    counts = counts_of(11, en={6: 1, 7: 1, 8: 1, 9: 1})
    plan = plan_vocabulary(teacher, counts, method=VocabularyMethod.SEEN, size=None, byte_fallback=False)
    pressed = rewrite_tokenizer(teacher, plan)
    assert pieces_of(Tokenizer.from_str(json.dumps(teacher)), "abcde") == ["▁", "ab", "cd", "e"]
    assert pieces_of(Tokenizer.from_str(json.dumps(pressed)), "abcde") == ["▁", "ab", "cd", "e"]


# --- no unknown, and back to text ---------------------------------------------------------------


def scalar_values(step: int) -> list[str]:
    wanted = {
        *range(0, sys.maxunicode + 1, step),
        *range(0x3000),
        0xD7FF,
        0xE000,
        0xFFFD,
        0xFFFE,
        0xFFFF,
        sys.maxunicode,
    }
    return [chr(code) for code in sorted(wanted) if not 0xD800 <= code <= 0xDFFF]


def unknown_among(texts: list[str]) -> list[str]:
    unk, rows = student().token_to_id(UNK), embedded_plan().rows
    bad = []
    for start in range(0, len(texts), 50_000):
        batch = texts[start : start + 50_000]
        for text, encoding in zip(batch, student().encode_batch_fast(batch), strict=True):
            if unk in encoding.ids or max(encoding.ids) >= rows:
                bad.append(text)
    return bad


@pytest.mark.parametrize("form", ["{}", "ab{}cd", "가{}나"])
def test_no_unicode_scalar_value_is_unknown(form):
    assert unknown_among([form.format(character) for character in scalar_values(97)]) == []


@pytest.mark.full
@pytest.mark.parametrize("form", ["{}", "ab{}cd"])
def test_no_unicode_scalar_value_at_all_is_unknown(form):
    texts = [form.format(character) for character in scalar_values(1)]
    assert len(texts) == 1_112_064
    assert unknown_among(texts) == []


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters=META), max_size=40))
@example("😀")
@example("a😀𐎀b ц𐎀")
def test_decoding_gives_the_text_back_a5(text):
    normal = " ".join(teacher_tokenizer().normalizer.normalize_str(text).split())
    if META in normal or any(name in normal for name in (*SPECIAL, "<mask>")):
        return
    assert student().decode(student().encode(text).ids) == normal


# --- what is written ----------------------------------------------------------------------------


def test_truncation_and_padding_are_never_carried_over_a13():
    baked = copy.deepcopy(embedded_tokenizer())
    baked["truncation"] = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    baked["padding"] = {
        "strategy": "BatchLongest",
        "direction": "Right",
        "pad_id": 1,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }
    found = rewrite_tokenizer(baked, embedded_plan())
    assert (found["truncation"], found["padding"]) == (None, None)
    assert len(Tokenizer.from_str(json.dumps(found)).encode("a b c d e f g h").ids) == 10


def test_save_load_save_is_byte_identical(tmp_path: Path):
    text = compact_tokenizer(student_json())
    (tmp_path / "one.json").write_text(text, encoding="utf-8", newline="\n")
    Tokenizer.from_file(str(tmp_path / "one.json")).save(str(tmp_path / "two.json"))
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "one.json").read_bytes()


def test_without_byte_fallback_nothing_but_the_pieces_changes():
    plan = replace(embedded_plan(), new_pieces=())
    found = rewrite_tokenizer(embedded_tokenizer(), plan)
    for key in ("normalizer", "pre_tokenizer", "decoder"):
        assert found[key] == embedded_tokenizer()[key]
    assert found["model"]["byte_fallback"] is False


@pytest.mark.parametrize(
    ("given_decoder", "kinds"),
    [
        (None, ["ByteFallback"]),
        ({"type": "Metaspace"}, ["ByteFallback", "Metaspace"]),
        (
            {"type": "Sequence", "decoders": [{"type": "Replace"}, {"type": "Fuse"}]},
            ["ByteFallback", "Replace", "Fuse"],
        ),
        ({"type": "Sequence", "decoders": [{"type": "ByteFallback"}]}, ["ByteFallback"]),
    ],
)
def test_any_decoder_gets_byte_fallback_first_and_once_a5(given_decoder, kinds):
    found = rewrite_tokenizer({**hand_json(), "decoder": given_decoder}, tiny_plan(*KEPT))["decoder"]
    assert [part["type"] for part in found["decoders"]] == kinds


@pytest.mark.parametrize(
    ("given_pre", "kinds"),
    [
        (None, ["Split"]),
        ({"type": "Metaspace"}, ["Metaspace", "Split"]),
        ({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace"}]},
         ["WhitespaceSplit", "Metaspace", "Split"]),
    ],
)  # fmt: skip
def test_any_pre_tokenizer_gets_the_cut_of_literals_last_a2(given_pre, kinds):
    found = rewrite_tokenizer({**hand_json(), "pre_tokenizer": given_pre}, tiny_plan(*KEPT))["pre_tokenizer"]
    assert [part["type"] for part in found["pretokenizers"]] == kinds
