"""What is written into the rewritten tokenizer.json: every id, byte pieces, scores, cuts (docs/pitfalls.md, A)."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import lru_cache

import pytest
from tokenizers import Tokenizer

from babelpress.errors import TeacherError
from babelpress.recipe import VocabularyMethod
from babelpress.utils.tokenizer import load_tokenizer
from babelpress.vocabulary.choose import plan_vocabulary
from babelpress.vocabulary.count import count_pieces
from babelpress.vocabulary.plan import VocabularyPlan
from babelpress.vocabulary.surgery import new_id, rewrite_tokenizer
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES, META, TokenizerFile, parse_tokenizer
from tests.tiny import SPECIAL, embedded_tokenizer
from tests.tokenizer_parts import added, assemble, bpe, byte_level, wordpiece
from tests.vocabulary import (
    byte_ids_of,
    counts_of,
    embedded_plan,
    file_of,
    ids_of,
    meanings,
    plan_of,
    teacher_tokenizer,
)

BYTES = frozenset(BYTE_PIECES)
UNK = "<unk>"


@lru_cache(maxsize=1)
def student_json() -> dict:
    return rewrite_tokenizer(file_of("embedded"), embedded_plan())


@lru_cache(maxsize=1)
def student() -> Tokenizer:
    return load_tokenizer(student_json())


def pieces_of(tokenizer: Tokenizer, text: str) -> list[str]:
    return tokenizer.encode(text, add_special_tokens=False).tokens


# --- every place that holds an id ---------------------------------------------------------------


def tiny_plan(*kept: int, new: tuple[str, ...] = BYTE_PIECES) -> VocabularyPlan:
    return VocabularyPlan(kept, new, {}, 0, 0, ())


def hand_json(**parts: dict | None) -> dict:
    """Special tokens at odd places, so that a place which is not mapped shows."""
    vocabulary = [["x", -1.0], ["<s>", 0.0], ["y", -2.0], ["<unk>", 0.0], ["▁", -3.0], ["</s>", 0.0], ["z", -20.0]]
    added = [{"id": 1, "content": "<s>"}, {"id": 3, "content": "<unk>"}, {"id": 5, "content": "</s>"}]
    return {"model": {"type": "Unigram", "unk_id": 3, "vocab": vocabulary}, "added_tokens": added, **parts}


KEPT = (1, 3, 4, 5)  # <s> 0, <unk> 1, ▁ 2, </s> 3


def rewritten(tokenizer: dict, *kept: int) -> dict:
    return rewrite_tokenizer(parse_tokenizer(tokenizer), tiny_plan(*(kept or KEPT)))


def test_the_unknown_id_is_mapped_a9():
    assert rewritten(hand_json())["model"]["unk_id"] == 1


def test_added_tokens_are_mapped_a9():
    found = rewritten(hand_json())["added_tokens"]
    assert [(token["content"], token["id"]) for token in found] == [("<s>", 0), ("<unk>", 1), ("</s>", 3)]


def test_a_template_post_processor_is_mapped_a9():
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [5, 1], "tokens": ["</s>", "<s>"]}},
    }
    found = rewritten(hand_json(post_processor=template))["post_processor"]
    assert found["special_tokens"] == {"</s>": {"id": "</s>", "ids": [3, 0], "tokens": ["</s>", "<s>"]}}
    assert found["single"] == template["single"]


def test_a_post_processor_nested_in_a_sequence_is_mapped_a9():
    roberta = {"type": "RobertaProcessing", "sep": ["</s>", 5], "cls": ["<s>", 1], "trim_offsets": True}
    nested = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, roberta]}
    found = rewritten(hand_json(post_processor=nested))["post_processor"]
    assert found["processors"][1] == {**roberta, "sep": ["</s>", 3], "cls": ["<s>", 0]}


def test_an_id_that_the_plan_dropped_is_named():
    with pytest.raises(TeacherError, match=r"</s> refers to id 5, which the plan does not keep"):
        rewritten(hand_json(), 1, 3, 4)
    with pytest.raises(TeacherError, match="unk_id refers to id 3"):
        new_id(tiny_plan(0, 1), 3, "unk_id")


def test_the_teachers_tokenizer_is_not_changed():
    before = hand_json(decoder={"type": "Metaspace"}, pre_tokenizer={"type": "Metaspace"})
    after = rewritten(before)
    after["added_tokens"][0]["content"] = "changed"
    after["pre_tokenizer"]["pretokenizers"][0]["type"] = "changed"
    assert before == hand_json(decoder={"type": "Metaspace"}, pre_tokenizer={"type": "Metaspace"})


def test_special_tokens_sit_at_the_reference_students_ids():
    assert [student().id_to_token(number) for number in range(4)] == SPECIAL
    assert student().token_to_id("<mask>") == len(embedded_plan().kept) - 1
    assert [student().id_to_token(len(embedded_plan().kept) + value) for value in (0, 255)] == ["<0x00>", "<0xFF>"]


def test_every_kept_piece_has_the_teachers_score_at_its_new_id():
    teacher, plan = embedded_tokenizer()["model"]["vocab"], embedded_plan()
    assert student_json()["model"]["vocab"][: len(plan.kept)] == [list(teacher[old]) for old in plan.kept]


def test_mask_still_takes_the_space_before_it_a9():
    assert pieces_of(student(), "a <mask> b") == pieces_of(teacher_tokenizer(), "a <mask> b")


# --- byte fallback ------------------------------------------------------------------------------


def test_a_character_that_no_piece_spells_becomes_its_utf8_bytes():
    assert pieces_of(student(), "𐎀") == [META, "<0xF0>", "<0x90>", "<0x8E>", "<0x80>"]


def test_real_fallback_beside_a_literal_still_works_a2():
    assert [piece for piece in pieces_of(student(), "<0x41>𐎀") if piece in BYTES] == list(pieces_of(student(), "𐎀")[1:])


def test_all_256_byte_pieces_are_there_once_a4():
    found = [piece for piece, _ in student_json()["model"]["vocab"] if piece in BYTES]
    assert found == list(BYTE_PIECES)


def test_a_missing_byte_piece_is_refused_a4():
    with pytest.raises(TeacherError, match=r"all 256 byte pieces; 1 are missing \(<0xFF>"):
        rewrite_tokenizer(file_of("embedded"), replace(embedded_plan(), new_pieces=BYTE_PIECES[:255]))


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


def test_dropping_pieces_without_byte_fallback_does_not_make_known_text_unknown_a3():
    # The teacher cuts "▁abcde" into ▁ ab cd e (-1 - 27), because a + bcde costs 51. With a dropped and the
    # lowest score at -9, an unknown a would cost 19 and "unknown + bcde" (20) would win over ab cd e (27).
    pieces = [("▁", -1.0), ("a", -50.0), ("ab", -9.0), ("cd", -9.0), ("e", -9.0), ("bcde", -1.0)]
    teacher = copy.deepcopy(embedded_tokenizer())
    teacher["model"]["vocab"] = [*([p, 0.0] for p in SPECIAL), *map(list, pieces), ["<mask>", 0.0]]
    teacher["added_tokens"][-1]["id"] = 10
    file, counts = parse_tokenizer(teacher), counts_of(11, en={6: 1, 7: 1, 8: 1, 9: 1})
    plan = plan_vocabulary(file, counts, method=VocabularyMethod.SEEN, byte_fallback=False)
    for tokenizer in (teacher, rewrite_tokenizer(file, plan)):
        assert pieces_of(load_tokenizer(tokenizer), "abcde") == ["▁", "ab", "cd", "e"]


def test_without_byte_fallback_nothing_but_the_pieces_changes():
    found = rewrite_tokenizer(file_of("embedded"), replace(embedded_plan(), new_pieces=()))
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
    found = rewritten(hand_json(decoder=given_decoder))["decoder"]
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
    found = rewritten(hand_json(pre_tokenizer=given_pre))["pre_tokenizer"]
    assert [part["type"] for part in found["pretokenizers"]] == kinds


# --- how rare bytes are -------------------------------------------------------------------------


@lru_cache(maxsize=1)
def known_texts() -> list[str]:
    """The sentences in which the teacher knows every character; what it does not know is bytes at any budget."""
    every = [text for texts, _ in meanings() for text in texts]
    return [text for text, ids in zip(every, ids_of(teacher_tokenizer(), every), strict=True) if 3 not in ids]


def byte_share(plan: VocabularyPlan) -> float:
    tokenizer = load_tokenizer(rewrite_tokenizer(file_of("embedded"), plan))
    own = {tokenizer.token_to_id(piece) for piece in BYTE_PIECES}
    ids = [number for found in ids_of(tokenizer, known_texts()) for number in found]
    return sum(number in own for number in ids) / len(ids)


def test_bytes_are_under_a_tenth_of_a_percent_of_text_that_the_teacher_knows_a7():
    """At the reference's budget; how far a smaller one is from that its plan says, see below."""
    assert len(known_texts()) > 5_000
    assert byte_share(embedded_plan(15_424)) < 0.001
    assert sum(language.characters_more for language in embedded_plan(9_000).languages.values()) > 100


def test_a_budget_too_small_for_that_has_as_many_bytes_as_its_plan_says_a7():
    counts = count_pieces(file_of("embedded"), [(known_texts(), ["en"] * len(known_texts()))])
    plan = plan_vocabulary(file_of("embedded"), counts, method=VocabularyMethod.BUDGET, size=1_000, character_share=0.0)
    assert plan.languages["en"].byte_rate > 0.01
    assert byte_share(plan) == pytest.approx(plan.languages["en"].byte_rate, rel=0.05)


# --- hand-made BPE and WordPiece ----------------------------------------------------------------


def small_bpe() -> TokenizerFile:
    """a b c d ab cd abcd, and "x" that merges with none."""
    ids = {piece: number for number, piece in enumerate(["a", "b", "c", "d", "ab", "cd", "abcd", "x", "<unk>"])}
    merges = [["a", "b"], ["c", "d"], ["ab", "cd"]]
    return parse_tokenizer(assemble(bpe(ids, merges, unk_token="<unk>"), [added("<unk>", 8)]))


def test_merges_of_dropped_pieces_are_dropped_and_the_others_keep_their_order_a12():
    found = rewrite_tokenizer(small_bpe(), tiny_plan(0, 1, 2, 3, 4, 5, 8, new=()))["model"]
    assert found["merges"] == [["a", "b"], ["c", "d"]]
    assert found["vocab"] == {"a": 0, "b": 1, "c": 2, "d": 3, "ab": 4, "cd": 5, "<unk>": 6}


def test_merges_written_as_one_string_stay_so():
    merges = rewrite_tokenizer(file_of("bpe_roberta"), plan_of("bpe_roberta"))["model"]["merges"]
    assert merges
    assert all(isinstance(merge, str) for merge in merges)


def test_a_wordpiece_is_written_in_bytes_by_hand():
    # "é" is the bytes C3 A9, whose stand-ins are Ã and ©
    ids = {piece: number for number, piece in enumerate(["[UNK]", "a", "##a", "é", "##é", "aé"])}
    parts = {
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    }
    file = parse_tokenizer(assemble(wordpiece(ids), [added("[UNK]", 0)], **parts))
    found = rewrite_tokenizer(file, tiny_plan(0, 1, 2, 4, 5, new=("Ã", "##Ã", "##©")))
    assert found["model"]["vocab"] == {
        "[UNK]": 0, "a": 1, "##a": 2, "##Ã©": 3, "aÃ©": 4, "Ã": 5, "##Ã": 6, "##©": 7,
    }  # fmt: skip
    assert found["model"]["max_input_chars_per_word"] == 400
    tokenizer = load_tokenizer(found)
    assert pieces_of(tokenizer, "aéa éa") == ["aÃ©", "##a", "Ã", "##©", "##a"]
    assert tokenizer.decode(tokenizer.encode("aéa éa").ids) == "aéa éa"


def test_a_wordpiece_without_new_pieces_is_not_written_in_bytes():
    found = rewrite_tokenizer(file_of("wordpiece_bert"), replace(plan_of("wordpiece_bert"), new_pieces=()))
    assert found["pre_tokenizer"] == file_of("wordpiece_bert").raw["pre_tokenizer"]
    assert set(found["model"]["vocab"]) <= set(file_of("wordpiece_bert").pieces)


def test_a_byte_level_tokenizer_needs_no_new_piece():
    file = parse_tokenizer(assemble(file_of("bpe_bytelevel").model, pre_tokenizer=byte_level()))
    assert plan_of("bpe_bytelevel").new_pieces == ()
    assert byte_ids_of("bpe_bytelevel") == set()
    assert file.is_byte_level


def test_the_rewritten_file_is_json_without_nan():
    assert json.loads(json.dumps(student_json(), allow_nan=False)) == student_json()
