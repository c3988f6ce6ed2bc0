"""Each check fails on the fault that it is there for, with the first input that shows it, and on no good folder."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from babelpress import press
from babelpress.checks import comparison, consistency, encoding
from babelpress.checks.consistency import check_files
from babelpress.checks.encoding import (
    check_agreement,
    check_reachable,
    check_round_trip,
    check_totality,
    scalar_values,
    unreachable_pieces,
)
from babelpress.checks.readers import AUTO, RUST, Reader, open_readers
from babelpress.checks.result import CheckReport, CheckResult, Status
from babelpress.checks.run import Side, open_side, run_checks
from babelpress.checks.texts import Spaces, generate, literal_texts, space_rule
from babelpress.errors import BabelpressError
from babelpress.utils.tokenizer import open_tokenizer
from babelpress.vocabulary.tokenizer_file import parse_tokenizer
from tests.checks import break_json, make_student, student_tokenizer
from tests.distillation import write_recipe
from tests.families import FAMILIES
from tests.tiny import embedded_tokenizer

TEXTS = ["hello world", "a b", "안녕하세요", "x 😀 y 𐎀"]
SAMPLE = [chr(code) for code in range(0x300)] + ["가", "中", "😀", "𐎀", "\U0010ffff"]


@pytest.fixture(scope="module", autouse=True)
def _few_characters():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("babelpress.checks.run.scalar_values", lambda *, full: SAMPLE)
        yield


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return make_student(tmp_path_factory.mktemp("student") / "good")


@pytest.fixture
def broken(good, tmp_path):
    """Break the good student's tokenizer.json (or another file) and open it."""

    def change(edit, name: str = "tokenizer.json") -> Side:
        return open_side(break_json(good, tmp_path / "broken", name, edit))

    return change


def rust(side: Side) -> Reader:
    return Reader(RUST, open_tokenizer(side.home / "tokenizer.json"))


def total(side: Side, reader: Reader) -> CheckResult:
    return check_totality(
        "totality", encode=reader.encode, characters=SAMPLE, unk_id=side.file.unk_id, rows=len(side.file.pieces),
        is_visible=lambda text: bool(side.tokenizer.normalizer.normalize_str(text).strip()),
    )  # fmt: skip


def round_trip(side: Side) -> CheckResult:
    return check_round_trip(TEXTS, tokenizer=side.tokenizer, file=side.file)


def injection(side: Side, *readers: Reader) -> CheckResult:
    return encoding.check_no_injection(
        side.file, readers=readers or [rust(side)], normalizer=side.tokenizer.normalizer,
        texts=literal_texts(),
    )  # fmt: skip


def files(side: Side, *names: str) -> CheckResult:
    rows = len(side.file.pieces)
    return check_files(side.file, names=["config.json", *names], config=side.config, rows=rows)


def claims(side: Side, **places) -> CheckResult:
    settings = json.loads((side.home / "tokenizer_config.json").read_text(encoding="utf-8"))
    roles = consistency.role_texts(settings)
    found = consistency.file_claims(side.file) + consistency.config_claims("config.json", side.config, roles=roles)
    found += consistency.tokenizer_config_claims(settings, tokens=None, ids=side.file.ids)
    stated = consistency.lengths(settings, sentence_config=side.read("sentence_bert_config.json"), readers=[])
    options = {"stated": stated, "limit": consistency.longest_input(side.config), "is_stable": True, **places}
    return consistency.check_ids(side.file, claims=found, **options)


# --- a good folder ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report(good, tiny_teacher) -> CheckReport:
    return run_checks(good, teacher=tiny_teacher)


def test_a_good_student_passes_every_check(report):
    failed = [result for result in report.results if result.status is Status.FAIL]
    assert failed == []
    assert report.passed


def test_every_reader_is_tried_before_and_after_a_save(report):
    names = [result.name for result in report.results if result.name.startswith("totality")]
    readers = ("tokenizers", "AutoTokenizer", "SentenceTransformer")
    assert names == [f"totality: {reader}{saved}" for reader in readers for saved in ("", ", saved")]


def test_embeddings_are_not_compared_over_missing_layers(report):
    last = report.results[-1]
    assert (last.name, last.status, last.detail) == ("embeddings", Status.SKIPPED, "2 of 3 layers kept")


def test_a_pressed_student_with_all_layers_has_the_teachers_embeddings(tiny_teacher, tmp_path):
    overrides = ["layers.count=3", "vocabulary.size=800"]
    pressed = press(write_recipe(tmp_path, tiny_teacher), output=tmp_path / "run", overrides=overrides)
    found = {result.name: result for result in run_checks(pressed, teacher=tiny_teacher).results}
    assert [name for name, result in found.items() if result.status is not Status.PASS] == []
    assert found["embeddings"].tested > 10
    assert found["restriction"].tested > 10


def test_the_facts_are_json(report):
    facts = json.loads(json.dumps(report.facts()))
    assert facts["passed"] is True
    assert facts["results"][0] | {"detail": "", "tested": 0} == {
        "name": "files", "status": "pass", "tested": 0, "detail": "", "first_failure": None
    }  # fmt: skip


def test_without_a_teacher_what_needs_one_is_skipped_and_nothing_else(good):
    results = run_checks(good).results
    assert [result.name for result in results if result.status is Status.SKIPPED] == ["restriction", "embeddings"]
    assert not [result for result in results if result.status is Status.FAIL]


# --- files --------------------------------------------------------------------------------------


def test_a_stale_sentencepiece_file_fails_a8(good):
    found = files(open_side(good), "sentencepiece.bpe.model")
    assert (found.status, found.first_failure) == (Status.FAIL, "sentencepiece.bpe.model")


def test_truncation_baked_in_fails_a13(broken):
    baked = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    found = files(broken(lambda raw: raw.update(truncation=baked)))
    assert (found.status, found.first_failure) == (Status.FAIL, "tokenizer.json: truncation")
    assert "max_length 4" in found.detail


def test_a_vocab_size_that_is_not_the_rows_fails(broken):
    found = files(broken(lambda config: config.update(vocab_size=7), "config.json"))
    assert (found.status, found.first_failure) == (Status.FAIL, "config.json")


def test_an_id_without_a_row_fails_a10(good):
    side = open_side(good)
    found = check_files(side.file, names=[], config={"vocab_size": 600}, rows=600)
    assert (found.status, found.first_failure) == (Status.FAIL, "<mask>")


def test_an_unpruned_vocab_txt_fails(good):
    side = open_side(good)
    rows = len(side.file.pieces)
    found = check_files(side.file, names=[], config=side.config, rows=rows, vocabulary_lines=["[PAD]", "[UNK]"])
    assert found.first_failure == "vocab.txt"


@pytest.mark.parametrize("content", [pickle.dumps({"a": 1}), b"\x00garbage" * 99, b"[1, 2]", b'{"model": 3}', b""])
def test_what_is_no_tokenizer_is_one_line_that_names_the_file(good, tmp_path, content):
    folder = tmp_path / "s"
    shutil.copytree(good, folder)
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(BabelpressError, match=r"tokenizer\.json") as caught:
        run_checks(folder)
    assert "\n" not in str(caught.value)


def test_what_is_no_student_is_one_line(tmp_path):
    with pytest.raises(BabelpressError, match="is not a folder"):
        run_checks(tmp_path / "nothing")
    with pytest.raises(BabelpressError, match=r"no modules\.json"):
        run_checks(tmp_path)


# --- totality -----------------------------------------------------------------------------------


def test_byte_fallback_switched_off_fails(broken):
    side = broken(lambda raw: raw["model"].update(byte_fallback=False))
    found = total(side, rust(side))
    first = next(text for text in SAMPLE if side.file.unk_id in side.tokenizer.encode(text).ids)
    assert (found.status, found.first_failure, found.tested) == (Status.FAIL, first, len(SAMPLE))
    assert f"of {len(SAMPLE)} characters are unknown" in found.detail


def test_a_class_that_transformers_rebuilds_fails_through_it_alone_a1(good, tmp_path):
    rebuilt = {"tokenizer_class": "XLMRobertaTokenizer"}
    folder = break_json(good, tmp_path / "s", "tokenizer_config.json", lambda config: config.update(rebuilt))
    side = open_side(folder)
    with open_readers(folder) as (readers, _):
        found = {reader.name: total(side, reader) for reader in readers}
        agreement = check_agreement(TEXTS, tokenizer=side.tokenizer, readers=readers)
    assert {name for name, result in found.items() if result.status is Status.PASS} == {RUST, f"{RUST}, saved"}
    assert found[AUTO].first_failure in SAMPLE
    assert (agreement.status, agreement.first_failure) == (Status.FAIL, "안녕하세요")
    assert agreement.detail.startswith("AutoTokenizer gives other ids")


def test_an_id_over_the_rows_fails():
    found = check_totality(
        "t", encode=lambda texts: [[9 if text == "b" else 1] for text in texts], characters=["a", "b"], unk_id=0,
        rows=9, is_visible=lambda _: False,
    )  # fmt: skip
    assert (found.status, found.first_failure, found.detail) == (
        Status.FAIL, "b", "1 of 2 characters give an id over 8"
    )  # fmt: skip


def test_a_character_that_is_dropped_without_a_word_fails():
    found = check_totality(
        "t", encode=lambda texts: [[1] * len(text.replace("b", "")) for text in texts], characters=["a", "b"],
        unk_id=None, rows=9, is_visible=lambda _: True,
    )  # fmt: skip
    assert (found.first_failure, found.detail) == ("b", "1 of 2 characters are lost")


def test_all_scalar_values_are_1112064_and_the_sample_is_quick():
    assert len(scalar_values(full=True)) == 1_112_064
    assert set(map(chr, range(0x3000))) < set(scalar_values(full=False)) < set(scalar_values(full=True))
    assert len(scalar_values(full=False)) < 25_000


def test_a_reader_that_cannot_load_is_a_failure_not_a_crash(good, tmp_path):
    folder = break_json(good, tmp_path / "s", "config.json", lambda config: config.update(hidden_size=99))
    with open_readers(folder) as (readers, model):
        faults = {reader.name: reader.fault for reader in readers}
    assert model is None
    assert faults["SentenceTransformer"] == faults["SentenceTransformer, saved"] is not None
    assert faults[AUTO] is faults[RUST] is None


# --- round trip ---------------------------------------------------------------------------------


def test_a_decoder_left_as_metaspace_fails_a5(broken):
    found = round_trip(broken(lambda raw: raw.update(decoder=embedded_tokenizer()["decoder"])))
    assert found.status is Status.FAIL
    assert "<0x" in found.detail
    assert found.first_failure in TEXTS


def test_a_good_student_gives_texts_back(good):
    assert round_trip(open_side(good)).status is Status.PASS


RULES = {
    "unigram_xlmr": Spaces.COLLAPSED, "unigram_mt5": Spaces.COLLAPSED, "unigram_gemma": Spaces.KEPT,
    "bpe_bytelevel": Spaces.KEPT, "bpe_roberta": Spaces.KEPT, "bpe_gemma": Spaces.KEPT,
    "bpe_suffix": Spaces.DROPPED, "wordpiece_bert": Spaces.DROPPED,
}  # fmt: skip


@pytest.mark.parametrize("name", RULES)
def test_white_space_follows_the_family(name):
    file = parse_tokenizer(FAMILIES[name]())
    assert space_rule(file) is RULES[name]
    tokenizer = tokenizer_of(FAMILIES[name]())
    texts = ["do not  go, it is  late ", " the end", "a  b"]
    assert check_round_trip(texts, tokenizer=tokenizer, file=file).first_failure is None


@pytest.mark.parametrize("name", RULES)
def test_generated_texts_are_the_same_always(name):
    file = parse_tokenizer(FAMILIES[name]())
    assert generate(file, count=20, seed=1) == generate(file, count=20, seed=1) != generate(file, count=20, seed=2)


# --- literals -----------------------------------------------------------------------------------


def test_without_the_guard_a_literal_becomes_the_byte_a2(broken):
    found = injection(broken(lambda raw: raw["pre_tokenizer"]["pretokenizers"].pop()))
    assert (found.status, found.first_failure) == (Status.FAIL, "<0x00>")


def test_a_good_student_keeps_literals(good):
    assert injection(open_side(good)).status is Status.PASS


def test_a_vocabulary_without_byte_names_passes():
    file = parse_tokenizer(FAMILIES["bpe_bytelevel"]())
    found = encoding.check_no_injection(file, readers=[], normalizer=None, texts=["<0x41>"])
    assert (found.status, found.detail) == (Status.PASS, "no byte pieces by name")


def special(side: Side) -> dict[str, bool]:
    tokens = {name: side.file.ids[name] for name in ("<s>", "</s>", "<mask>")}
    return encoding.become_special(lambda texts: rust(side).encode(texts, special=False), tokens)


def test_special_tokens_in_text_are_reported(good):
    became = special(open_side(good))
    assert became == {"<s>": True, "</s>": True, "<mask>": True}
    alone = encoding.check_special_text({"r": became}, claims_plain=False, teacher=None)
    same = encoding.check_special_text({"r": became}, claims_plain=False, teacher=became)
    assert (alone.status, alone.detail) == (Status.PASS, "become special tokens")
    assert (same.status, same.detail) == (Status.PASS, "as the teacher: become special tokens")


@pytest.mark.parametrize(
    ("student", "teacher", "first"),
    [
        ({"<s>": True, "</s>": False}, {"<s>": True, "</s>": True}, "</s>"),
        ({"<s>": True, "</s>": True}, {"<s>": False, "</s>": False}, "<s>"),
        ({"<s>": False, "</s>": False}, {"<s>": True, "</s>": True}, None),
        ({"<s>": True, "</s>": False}, None, None),
        ({"<s>": True, "</s>": False}, {"<s>": True, "</s>": False}, None),
    ],
)
def test_special_tokens_are_judged_by_the_teachers(student, teacher, first):
    found = encoding.check_special_text({"r": student}, claims_plain=False, teacher=teacher)
    assert found.first_failure == first
    assert (found.status is Status.FAIL) is (first is not None)


def test_a_claim_of_plain_text_is_held_to(good):
    found = encoding.check_special_text({"r": special(open_side(good))}, claims_plain=True, teacher=None)
    assert (found.status, found.first_failure) == (Status.FAIL, "<s>")


@pytest.fixture(scope="module")
def plain(good, tmp_path_factory) -> Path:
    """A student that keeps special tokens' texts as text: none is listed, and the model cannot match them."""
    place = tmp_path_factory.mktemp("plain")
    cut = {"type": "Split", "pattern": {"Regex": "<(?=/?s>|pad>|unk>|mask>)"}, "behavior": "Isolated", "invert": False}

    def neutralise(raw: dict) -> None:
        raw["added_tokens"] = []
        raw["pre_tokenizer"]["pretokenizers"].append(cut)

    claim = {"split_special_tokens": True}
    first = break_json(good, place / "a", "tokenizer.json", neutralise)
    return break_json(first, place / "b", "tokenizer_config.json", lambda config: config.update(claim))


def test_a_student_of_plain_text_passes_every_check(plain, tiny_teacher):
    results = {result.name: result for result in run_checks(plain, teacher=tiny_teacher).results}
    assert [name for name, result in results.items() if result.status is Status.FAIL] == []
    assert results["special tokens in text"].detail == "plain text"


# --- ids ----------------------------------------------------------------------------------------


def test_an_id_shifted_in_the_post_processor_fails_a9(broken):
    def shift(raw: dict) -> None:
        if raw["post_processor"]["type"] == "TemplateProcessing":
            raw["post_processor"]["special_tokens"]["</s>"]["ids"] = [3]
        else:
            raw["post_processor"]["sep"][1] = 3

    found = claims(broken(shift))
    assert (found.status, found.first_failure) == (Status.FAIL, "post_processor: </s>")
    assert found.detail == "it has id 3 for '</s>', the vocabulary 2"


def test_a_pad_id_of_the_config_that_is_not_the_tokenizers_fails_b3(broken):
    found = claims(broken(lambda config: config.update(pad_token_id=0), "config.json"))
    assert found.first_failure == "config.json: pad_token_id"


def test_lengths_that_differ_fail(broken):
    found = claims(broken(lambda config: config.update(max_seq_length=64), "sentence_bert_config.json"))
    assert found.first_failure == "sentence_bert_config.json: max_seq_length"


def test_a_length_over_the_positions_fails(good):
    side = open_side(good)
    assert claims(side).status is Status.PASS
    assert claims(side, stated={"here": 500}).detail == "it is 500, the positions allow 128"
    assert claims(side, stated={}).first_failure == "model_max_length"
    assert claims(side, is_stable=False).first_failure == "tokenizer.json"


def test_positions_of_roberta_begin_behind_the_pad_b4():
    config = {"model_type": "xlm-roberta", "max_position_embeddings": 514, "pad_token_id": 1}
    assert consistency.longest_input(config) == 512
    assert consistency.longest_input({**config, "model_type": "bert"}) == 514


def test_tokenizer_json_is_stable(good):
    assert consistency.is_stable((good / "tokenizer.json").read_text(encoding="utf-8"))


# --- reachable ----------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def lost(name: str) -> tuple[str, ...]:
    return tuple(unreachable_pieces(parse_tokenizer(FAMILIES[name]()), tokenizer=tokenizer_of(FAMILIES[name]())))


def tokenizer_of(raw: dict):
    from tokenizers import Tokenizer

    return Tokenizer.from_str(json.dumps(raw, ensure_ascii=False))


@pytest.mark.parametrize("name", ["unigram_xlmr", "bpe_bytelevel", "bpe_suffix", "bpe_gemma", "wordpiece_bert"])
def test_every_piece_of_a_whole_tokenizer_is_reached(name):
    assert lost(name) == ()


def test_a_dropped_merge_leaves_a_piece_unreachable_a12():
    raw = copy.deepcopy(FAMILIES["bpe_bytelevel"]())
    piece = "".join(raw["model"]["merges"].pop())
    file = parse_tokenizer(raw)
    found = unreachable_pieces(file, tokenizer=tokenizer_of(raw))
    judged = check_reachable(file, unreachable=found, teacher=None)
    assert found == [piece]
    assert (judged.status, judged.first_failure) == (Status.FAIL, piece)
    forgiven = check_reachable(file, unreachable=found, teacher={piece})
    assert (forgiven.status, forgiven.detail) == (Status.PASS, "all but 1, which the teacher never gives either")


def test_an_outscored_unigram_piece_is_no_fault_of_the_press():
    raw = student_tokenizer()
    raw["model"]["vocab"][50][0], raw["model"]["vocab"][50][1] = "thethethe", -500.0
    file = parse_tokenizer(raw)
    found = unreachable_pieces(file, tokenizer=tokenizer_of(raw))
    judged = check_reachable(file, unreachable=found, teacher=None)
    assert (judged.status, judged.first_failure) == (Status.PASS, "thethethe")


# --- against the teacher ------------------------------------------------------------------------


def covered(teacher: Side, student: Side) -> comparison.Covered:
    kept = comparison.id_map(student.file, teacher=teacher.file)
    texts = [*TEXTS, "a <0x41>", "<s> a", *(piece.replace("▁", " ") for piece in student.file.pieces[4:60])]
    return comparison.find_covered(texts, tokenizer=teacher.tokenizer, teacher=teacher.file, kept=kept)


def test_only_texts_whose_pieces_were_all_kept_are_compared(good, tiny_teacher):
    student = open_side(good)
    found = covered(open_side(tiny_teacher), student)
    assert 20 < len(found.texts) < found.of
    assert not {"a <0x41>", "<s> a", "x 😀 y 𐎀"} & set(found.texts)
    assert comparison.check_restriction(found, tokenizer=student.tokenizer).status is Status.PASS


def test_other_scores_change_the_cut():
    teacher = parse_tokenizer(FAMILIES["unigram_xlmr"]())
    raw, tokenizer = copy.deepcopy(teacher.raw), tokenizer_of(teacher.raw)
    texts = [piece.replace("▁", " ") for piece in teacher.pieces[4:-1] if len(piece) > 3]
    for entry in raw["model"]["vocab"]:
        entry[1] = -90.0 if len(entry[0]) > 2 else entry[1]
    kept = comparison.id_map(parse_tokenizer(raw), teacher=teacher)
    found = comparison.find_covered(texts, tokenizer=tokenizer, teacher=teacher, kept=kept)
    judged = comparison.check_restriction(found, tokenizer=tokenizer_of(raw))
    assert (judged.status, judged.tested) == (Status.FAIL, len(texts))
    assert judged.first_failure in texts[:3]


def test_a_byte_level_student_of_a_wordpiece_is_read_in_stand_ins():
    teacher = parse_tokenizer(FAMILIES["wordpiece_bert"]())
    raw = copy.deepcopy(teacher.raw)
    own = [comparison.byte_level_piece(piece, file=teacher) for piece in teacher.pieces[:200]]
    raw["model"]["vocab"] = {piece: number for number, piece in enumerate(own)}
    raw["pre_tokenizer"] = {
        "type": "Sequence",
        "pretokenizers": [
            raw["pre_tokenizer"],
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False},
        ],
    }
    student = parse_tokenizer(raw)
    assert comparison.id_map(student, teacher=teacher) == {number: number for number in range(200)}
    assert comparison.byte_level_piece("##é", file=teacher) == "##Ã©"
    assert comparison.byte_level_piece("[CLS]", file=teacher) == "[CLS]"


def test_no_text_that_qualifies_is_a_skip(good):
    found = comparison.check_restriction(comparison.Covered((), (), 9), tokenizer=open_side(good).tokenizer)
    assert found.status is Status.SKIPPED


def test_embeddings_off_by_more_than_the_limit_fail():
    teacher = np.full((3, 2), 0.5, np.float32)
    student = teacher.copy()
    assert comparison.check_embeddings(["a", "b", "c"], student=student, teacher=teacher).status is Status.PASS
    student[1, 0] += 1e-5
    found = comparison.check_embeddings(["a", "b", "c"], student=student, teacher=teacher)
    assert (found.status, found.first_failure) == (Status.FAIL, "b")
    student[0, 0] = np.nan
    assert comparison.check_embeddings(["a", "b", "c"], student=student, teacher=teacher).first_failure == "a"


def test_at_most_200_texts_are_embedded():
    texts = tuple(map(str, range(1000)))
    found = comparison.sample(replace(comparison.Covered((), (), 0), texts=texts))
    assert len(found) == 200
    assert found[0] == "0"
