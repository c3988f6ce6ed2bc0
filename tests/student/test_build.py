"""Pressed students, loaded and run by the real libraries."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from babelpress.architectures.bert import FAMILY
from babelpress.recipe import Pooler
from babelpress.student.build import replace_weights
from babelpress.utils.files import read_json
from babelpress.vocabulary.tokenizer_file import BYTE_PIECES
from tests.student import TEXTS, covered_texts, load, press
from tests.tiny import make_teacher, words

WORD_EMBEDDINGS = FAMILY.embeddings

LAYERS = (0, 1, 2)


@pytest.fixture(scope="module", params=["bert", "xlm-roberta"])
def pair(request, tmp_path_factory):
    """(teacher, student with all layers, plan) of each model type."""
    folder = tmp_path_factory.mktemp(request.param)
    teacher = make_teacher(
        folder / "teacher", model_type=request.param, pad_in_config=0 if request.param == "bert" else 1,
        pieces=list(words(3000)), positions=70,
    )  # fmt: skip
    return teacher, folder / "student", press(teacher, folder / "student", layers=LAYERS, size=2500)


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("build")
    press(make_teacher(folder / "teacher", pieces=list(words(3000))), folder / "student", layers=(0, 2), size=2500)
    return folder / "student"


# --- the same embeddings ------------------------------------------------------------------------


def test_a_vocabulary_only_student_gives_the_teachers_embeddings_b4(pair):
    teacher, student, plan = pair
    texts = covered_texts(teacher, plan)
    assert len(texts) > 100
    assert len(plan.kept) < 3005 - 500
    difference = load(student).encode(texts, batch_size=16) - load(teacher).encode(texts, batch_size=16)
    assert np.abs(difference).max() <= 1e-6


def test_the_longest_input_gives_the_teachers_embedding_b4(pair):
    teacher, student, plan = pair
    texts = [" ".join(covered_texts(teacher, plan)) * 2]
    model = load(student)
    assert len(model.preprocess(texts)["input_ids"][0]) == model.max_seq_length == load(teacher).max_seq_length
    assert np.abs(model.encode(texts) - load(teacher).encode(texts)).max() <= 1e-6


def test_padding_beside_a_longer_text_changes_nothing_b3(pair):
    model = load(pair[1])
    texts = [TEXTS[0], " ".join(TEXTS[:6])]
    alone = np.concatenate([model.encode([text]) for text in texts])
    assert np.abs(model.encode(texts) - alone).max() <= 1e-6


def test_dropped_layers_are_dropped_and_the_others_are_the_teachers(tmp_path):
    teacher = make_teacher(tmp_path / "teacher", pieces=list(words(1500)))
    press(teacher, tmp_path / "student", layers=(2, 0), size=900)
    old, new = load_file(teacher / "model.safetensors"), load_file(tmp_path / "student" / "model.safetensors")
    assert {int(name.split(".")[2]) for name in new if name.startswith("encoder.")} == {0, 1}
    for place, layer in ((0, 2), (1, 0)):
        name = "attention.self.query.weight"
        np.testing.assert_array_equal(new[f"encoder.layer.{place}.{name}"], old[f"encoder.layer.{layer}.{name}"])


def test_rows_are_gathered_by_id_not_cut_from_the_end_a11(pair):
    teacher, student, plan = pair
    old, new = (load_file(folder / "model.safetensors")[WORD_EMBEDDINGS] for folder in (teacher, student))
    assert new.shape == (2500, 16)
    np.testing.assert_array_equal(new[: len(plan.kept)], old[list(plan.kept)])


def test_spare_rows_of_the_teacher_are_never_taken_a10(pair):
    teacher, _, plan = pair
    assert max(plan.kept) < len(read_json(teacher / "tokenizer.json")["model"]["vocab"])


def test_every_id_has_a_row_a10(pair):
    _, student, plan = pair
    ids = Tokenizer.from_file(str(student / "tokenizer.json")).get_vocab(with_added_tokens=True).values()
    assert max(ids) == plan.rows - 1


def test_the_teachers_prefix_does_not_reach_the_student(tmp_path):
    teacher = make_teacher(tmp_path / "teacher", pieces=list(words(1500)))
    weights = load_file(teacher / "model.safetensors")
    renamed = {f"bert.{name}": value for name, value in weights.items()}
    renamed |= {
        "cls.predictions.bias": np.zeros(3, np.float32),
        "bert.embeddings.position_ids": np.zeros((1, 4), np.int64),
    }
    save_file(renamed, str(teacher / "model.safetensors"), metadata={"format": "pt"})
    press(teacher, tmp_path / "student", layers=LAYERS, size=900)
    assert set(load_file(tmp_path / "student" / "model.safetensors")) == set(weights)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_precision_teacher_gives_an_fp32_student(tmp_path, dtype):
    from safetensors.torch import load_file as load_torch
    from safetensors.torch import save_file as save_torch

    teacher = make_teacher(tmp_path / "teacher", pieces=list(words(1500)))
    half = {name: value.to(dtype) for name, value in load_torch(teacher / "model.safetensors").items()}
    save_torch(half, teacher / "model.safetensors", metadata={"format": "pt"})
    press(teacher, tmp_path / "student", layers=LAYERS, size=900)
    found = load_torch(tmp_path / "student" / "model.safetensors")
    assert {value.dtype for value in found.values()} == {torch.float32}
    assert torch.equal(found["pooler.dense.weight"], half["pooler.dense.weight"].float())


def test_pressing_twice_gives_the_same_bytes(tmp_path, tiny_teacher):
    for name in ("one", "two"):
        press(tiny_teacher, tmp_path / name, layers=(0, 2), size=700)
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes(), path.name


# --- byte fallback in the real libraries --------------------------------------------------------

UNSPELLED = "𐎀 😵 ab𐎁cd"


def byte_pieces(tokens: list[str]) -> int:
    return sum(token in set(BYTE_PIECES) for token in tokens)


def raw_ids(folder: Path, text: str) -> list[int]:
    return Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids


def test_byte_fallback_survives_autotokenizer_a1(student):
    tokenizer = AutoTokenizer.from_pretrained(student)
    assert byte_pieces(tokenizer.tokenize(UNSPELLED)) == 12
    assert tokenizer(UNSPELLED)["input_ids"] == raw_ids(student, UNSPELLED)


def test_byte_fallback_survives_sentence_transformer_a1(student):
    ids = load(student).preprocess([UNSPELLED])["input_ids"][0].tolist()
    assert ids == raw_ids(student, UNSPELLED)
    assert 3 not in ids


def test_byte_fallback_survives_a_save_and_load_by_the_user_a1(student, tmp_path):
    model = load(student)
    before = model.encode(TEXTS[:5])
    model.save_pretrained(str(tmp_path / "again"), create_model_card=False)
    again = load(tmp_path / "again")
    assert again.preprocess([UNSPELLED])["input_ids"][0].tolist() == raw_ids(student, UNSPELLED)
    np.testing.assert_array_equal(again.encode(TEXTS[:5]), before)


def test_both_libraries_cut_every_text_as_the_file_says_a1(student):
    tokenizer = AutoTokenizer.from_pretrained(student)
    for text in [*TEXTS, "<0x41>", "a <mask> b", "2026-08-21", " double  space ", "ﬁ ｆｕｌｌ"]:
        assert tokenizer(text)["input_ids"] == raw_ids(student, text), text


def test_literal_bytes_stay_text_in_autotokenizer_a2(student):
    assert byte_pieces(AutoTokenizer.from_pretrained(student).tokenize("<0x61>")) in (0, 2)  # < and > may be unspelled
    assert "<0x61>" not in AutoTokenizer.from_pretrained(student).tokenize("<0x61>")


def test_autotokenizer_decodes_bytes_to_text_a5(student):
    tokenizer = AutoTokenizer.from_pretrained(student)
    assert tokenizer.decode(tokenizer(UNSPELLED)["input_ids"], skip_special_tokens=True) == UNSPELLED


def test_special_tokens_have_the_same_ids_in_every_reader_a9(student):
    tokenizer, raw = AutoTokenizer.from_pretrained(student), Tokenizer.from_file(str(student / "tokenizer.json"))
    config = read_json(student / "config.json")
    assert (tokenizer.bos_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (
        0,
        1,
        2,
        3,
    )
    assert config["pad_token_id"] == raw.token_to_id("<pad>") == 1
    assert tokenizer.mask_token_id == raw.token_to_id("<mask>") == 2500 - 256 - 1
    assert len(tokenizer) == raw.get_vocab_size() == 2500


def test_the_tokenizer_file_is_what_the_library_would_save(student, tmp_path):
    Tokenizer.from_file(str(student / "tokenizer.json")).save(str(tmp_path / "again.json"))
    assert (tmp_path / "again.json").read_bytes() == (student / "tokenizer.json").read_bytes()


def test_encoding_does_not_bake_a_length_into_the_folder_a13(student, tmp_path):
    copy = shutil.copytree(student, tmp_path / "copy")
    load(copy).encode([" ".join(TEXTS)])
    assert (copy / "tokenizer.json").read_bytes() == (student / "tokenizer.json").read_bytes()
    assert len(raw_ids(copy, " ".join(TEXTS))) > 128


# --- training -----------------------------------------------------------------------------------


def gradient_by_row(folder: Path) -> torch.Tensor:
    model = load(folder)
    features = model.preprocess(TEXTS[:8])
    model.train()
    (model(features)["sentence_embedding"] * torch.arange(16.0)).sum().backward()
    return model[0].auto_model.embeddings.word_embeddings.weight.grad.abs().sum(dim=1)


def test_the_start_token_learns_b3(pair):
    gradient = gradient_by_row(pair[1])
    assert gradient[0] > 0
    assert gradient[2] > 0
    assert gradient[1] == 0  # <pad>


def test_the_e5_teachers_own_config_would_freeze_it_b3(tmp_path, student):
    """The trap is real: with the teacher's pad_token_id, the same student does not train `<s>`."""
    copy = shutil.copytree(student, tmp_path / "copy")
    config = {**read_json(copy / "config.json"), "pad_token_id": 0}
    (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert gradient_by_row(copy)[0] == 0


def test_trained_tensors_replace_pressed_ones_and_no_other(tmp_path, student):
    one = {WORD_EMBEDDINGS: np.full((2500, 16), 7.0, np.float32)}
    save_file(one, str(tmp_path / "trained.safetensors"))
    replace_weights(student, tmp_path / "trained.safetensors", tmp_path / "out.safetensors")
    before, after = load_file(student / "model.safetensors"), load_file(tmp_path / "out.safetensors")
    assert set(after) == set(before)
    assert [name for name in before if not np.array_equal(before[name], after[name])] == [WORD_EMBEDDINGS]


# --- modules, prompts, pooler -------------------------------------------------------------------


def test_pooling_and_normalize_are_kept_b6(student):
    model = load(student)
    assert [type(module).__name__ for module in model] == ["Transformer", "Pooling", "Normalize"]
    assert model[1].pooling_mode == "mean"
    np.testing.assert_allclose(np.linalg.norm(model.encode(TEXTS[:4]), axis=1), 1.0, atol=1e-6)


def test_prompts_reach_the_student_b6(tmp_path, tiny_teacher):
    prompts = {"query": "query: ", "passage": "passage: "}
    press(tiny_teacher, tmp_path / "student", layers=(0,), size=700, prompts=prompts)
    assert {name: load(tmp_path / "student").prompts[name] for name in prompts} == prompts


def test_a_default_prompt_that_was_replaced_does_not_break_the_student_b6(tmp_path):
    teacher = make_teacher(tmp_path / "teacher")
    own = {"prompts": {"query": "", "document": ""}, "default_prompt_name": "document"}
    (teacher / "config_sentence_transformers.json").write_text(json.dumps(own), encoding="utf-8")
    press(teacher, tmp_path / "student", layers=(0,), size=700)
    assert load(tmp_path / "student").default_prompt_name is None


def test_a_default_prompt_is_applied_as_by_the_teacher_b6(tmp_path):
    teacher = make_teacher(tmp_path / "teacher", pieces=list(words(3000)))
    own = {"prompts": {"query": "a b c: "}, "default_prompt_name": "query"}
    (teacher / "config_sentence_transformers.json").write_text(json.dumps(own), encoding="utf-8")
    plan = press(teacher, tmp_path / "student", layers=LAYERS, size=2900)
    texts = covered_texts(teacher, plan)[:20]
    assert np.abs(load(tmp_path / "student").encode(texts) - load(teacher).encode(texts)).max() <= 1e-6


def test_a_dense_module_is_copied_with_its_weights_b6(tmp_path):
    teacher = make_teacher(tmp_path / "teacher", pieces=list(words(3000)))
    modules = read_json(teacher / "modules.json")
    modules[2] = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (teacher / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (teacher / "2_Dense").mkdir()
    dense = {
        "in_features": 16,
        "out_features": 4,
        "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    (teacher / "2_Dense" / "config.json").write_text(json.dumps(dense), encoding="utf-8")
    weights = {"linear.weight": np.ones((4, 16), np.float32), "linear.bias": np.ones(4, np.float32)}
    save_file(weights, str(teacher / "2_Dense" / "model.safetensors"), metadata={"format": "pt"})
    plan = press(teacher, tmp_path / "student", layers=LAYERS, size=2500)
    texts = covered_texts(teacher, plan)[:20]
    found = load(tmp_path / "student").encode(texts)
    assert found.shape == (20, 4)
    assert np.abs(found - load(teacher).encode(texts)).max() <= 1e-5


def load_report(folder: Path, capfd) -> str:
    """What transformers says while a folder is loaded."""
    from transformers.utils import logging as transformers_logging

    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger, level = logging.getLogger("transformers"), transformers_logging.get_verbosity()
    quiet = logging.getLogger("transformers.modeling_utils")
    own_level = quiet.level
    transformers_logging.set_verbosity_warning()
    quiet.setLevel(logging.NOTSET)  # babelpress.architectures.encoders may have quieted it
    logger.addHandler(handler)
    try:
        load(folder)
    finally:
        logger.removeHandler(handler)
        quiet.setLevel(own_level)
        transformers_logging.set_verbosity(level)
    captured = capfd.readouterr()
    return "\n".join([*records, captured.out, captured.err])


def test_a_student_without_pooler_loads_quietly_b9(tmp_path, capfd, tiny_teacher):
    press(tiny_teacher, tmp_path / "student", layers=(0, 2), size=700, pooler=Pooler.DROP)
    assert not any(name.startswith("pooler") for name in load_file(tmp_path / "student" / "model.safetensors"))
    assert "pooler" not in load_report(tmp_path / "student", capfd).lower()


def test_a_student_with_pooler_loads_quietly_b9(student, capfd):
    report = load_report(student, capfd).lower()
    assert "pooler" not in report
    assert "missing" not in report


def test_without_that_care_the_report_would_frighten_b9(tmp_path, capfd, tiny_teacher):
    """The trap is real: the same weights with the usual sentence_bert_config.json."""
    press(tiny_teacher, tmp_path / "student", layers=(0, 2), size=700, pooler=Pooler.DROP)
    (tmp_path / "student" / "sentence_bert_config.json").write_text('{"max_seq_length": 128, "do_lower_case": false}')
    assert "pooler" in load_report(tmp_path / "student", capfd).lower()


def test_the_pooler_does_not_change_embeddings_b9(tmp_path, tiny_teacher):
    for name, pooler in (("with", Pooler.KEEP), ("without", Pooler.DROP)):
        press(tiny_teacher, tmp_path / name, layers=LAYERS, size=700, pooler=pooler)
    np.testing.assert_array_equal(
        load(tmp_path / "with").encode(TEXTS[:8]), load(tmp_path / "without").encode(TEXTS[:8])
    )


# --- no unknown through the whole stack ---------------------------------------------------------


def test_no_scalar_value_is_unknown_in_a_reloaded_sentence_transformer(student):
    sample = [chr(code) for code in range(0, 0x110000, 331) if not 0xD800 <= code <= 0xDFFF]
    assert_all_known(load(student), [text for one in sample for text in (one, f"ab{one}cd")])


@pytest.mark.full
def test_no_scalar_value_at_all_is_unknown_in_a_reloaded_sentence_transformer(student):
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    assert_all_known(load(student), every)


def assert_all_known(model, texts: list[str]) -> None:
    for start in range(0, len(texts), 20_000):
        batch = texts[start : start + 20_000]
        ids = model.tokenizer(batch)["input_ids"]
        assert [text for text, numbers in zip(batch, ids, strict=True) if 3 in numbers or max(numbers) >= 2500] == []
