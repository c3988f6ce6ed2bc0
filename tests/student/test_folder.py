"""The files beside the weights, read by the rules of the programs that will read them (FIELD_NOTES B)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer

from babelpress.architectures import FAMILIES
from babelpress.errors import TeacherError
from babelpress.recipe import Pooler, SpecialText
from babelpress.student.folder import special_tokens_map, student_config, student_pooling, tokenizer_config
from babelpress.teacher import pooling_mode, read_teacher
from tests.student import press
from tests.tiny import make_teacher, tokenizer_json, words


@pytest.fixture(scope="module")
def student(tmp_path_factory, tiny_teacher) -> Path:
    """The tiny teacher, two of three layers, without its pooler."""
    folder = tmp_path_factory.mktemp("folder") / "student"
    press(tiny_teacher, folder, layers=(0, 2), size=700, pooler=Pooler.DROP)
    return folder


def read(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text(encoding="utf-8"))


# --- readers ------------------------------------------------------------------------------------


def typed(value: dict[str, Any], **fields: type) -> None:
    """serde without defaults: every field is there and of its type."""
    for name, kind in fields.items():
        assert type(value[name]) is kind, name


def test_text_embeddings_inference_parses_the_folder_b1(student):
    # the required fields of ModelConfig, PoolConfig (of older versions four flags, of newer ones two), STConfig and
    # NewSTConfig in its router/src/lib.rs
    typed(read(student, "config.json"), architectures=list, model_type=str, max_position_embeddings=int)
    assert type(read(student, "config.json").get("pad_token_id", 0)) is int
    typed(
        read(student, "1_Pooling/config.json"), pooling_mode_cls_token=bool, pooling_mode_mean_tokens=bool,
        pooling_mode_max_tokens=bool, pooling_mode_mean_sqrt_len_tokens=bool, pooling_mode_lasttoken=bool,
    )  # fmt: skip
    typed(read(student, "sentence_bert_config.json"), max_seq_length=int)
    assert not read(student, "config.json")["architectures"][0].endswith(("Classification", "MaskedLM"))


def test_text_embeddings_inference_takes_the_tokenizer_alone_and_no_more_text_than_there_are_positions_b1(student):
    # it cuts at max_seq_length, counts positions from 0 except for RoBERTa's kin, and pads by itself
    config = read(student, "config.json")
    assert config["model_type"] == "bert"
    assert read(student, "sentence_bert_config.json")["max_seq_length"] <= config["max_position_embeddings"]
    assert Tokenizer.from_file(str(student / "tokenizer.json")).padding is None


@pytest.mark.parametrize("prompts", [{}, {"query": "query: ", "passage": "passage: "}])
def test_text_embeddings_inference_takes_prompts_that_are_texts_b6(tmp_path, tiny_teacher, prompts):
    # NewSTConfig: an object of texts, or null; a default prompt is named on its command line
    teacher = shutil.copytree(tiny_teacher, tmp_path / "teacher")
    settings = {"prompts": prompts, "default_prompt_name": None}
    (teacher / "config_sentence_transformers.json").write_text(json.dumps(settings), encoding="utf-8")
    press(teacher, tmp_path / "student", layers=(0,), size=700)
    found = read(tmp_path / "student", "config_sentence_transformers.json")["prompts"]
    assert found == prompts
    assert {type(text) for text in found.values()} <= {str}


def vllm_pooling(student: Path) -> tuple[list[str], bool]:
    """What vLLM makes of the modules: types of pooling in the order of the file, and whether to normalise.

    It goes by whole module types and by keys whose value is true: what stands between `pooling_mode_` and the next
    underscore, `lasttoken` being LAST.
    """
    modules = {module["type"]: module["path"] for module in read(student, "modules.json")}
    pooling = read(student, modules["sentence_transformers.models.Pooling"] + "/config.json")
    named = [key.removeprefix("pooling_mode_").split("_")[0] for key, value in pooling.items() if value is True]
    return [name.removesuffix("token").upper() for name in named], "sentence_transformers.models.Normalize" in modules


@pytest.mark.parametrize(("mode", "kind"), [("mean", "MEAN"), ("cls", "CLS"), ("lasttoken", "LAST")])
def test_vllm_finds_the_pooling_first_of_all_that_is_true_b1(tmp_path, mode, kind):
    # older versions take the first key, newer ones skip what is no pooling (include_prompt)
    teacher = make_teacher(tmp_path / "teacher")
    (teacher / "1_Pooling" / "config.json").write_text(
        json.dumps({"embedding_dimension": 16, "pooling_mode": mode}), encoding="utf-8"
    )
    press(teacher, tmp_path / "student", layers=(0,), size=700)
    assert vllm_pooling(tmp_path / "student") == ([kind, "INCLUDE"], True)


def test_vllm_takes_the_length_from_sentence_bert_config_b1(student):
    # it wants both keys, or takes neither
    typed(read(student, "sentence_bert_config.json"), max_seq_length=int, do_lower_case=bool)
    assert read(student, "sentence_bert_config.json")["do_lower_case"] is False


def test_fastembed_finds_every_file_and_the_same_ids_b2(student):
    # what its load_tokenizer does
    config, settings = read(student, "config.json"), read(student, "tokenizer_config.json")
    tokenizer = Tokenizer.from_file(str(student / "tokenizer.json"))
    before = tokenizer.get_vocab(with_added_tokens=True)
    assert settings["model_max_length"] == 128
    assert tokenizer.token_to_id(settings["pad_token"]) == config["pad_token_id"] == 1
    for token in read(student, "special_tokens_map.json").values():
        tokenizer.add_special_tokens([token if isinstance(token, str) else AddedToken(**token)])
    assert tokenizer.get_vocab(with_added_tokens=True) == before


def test_old_sentence_transformers_can_import_every_module_b1(student):
    from sentence_transformers.util import import_from_string

    types = [module["type"] for module in read(student, "modules.json")]
    assert types == [f"sentence_transformers.models.{kind}" for kind in ("Transformer", "Pooling", "Normalize")]
    for name in types:
        assert import_from_string(name)


def test_pooling_is_said_in_the_old_and_the_new_way_b1(student):
    pooling = read(student, "1_Pooling/config.json")
    assert pooling["pooling_mode"] == "mean"
    assert [name for name, value in pooling.items() if value is True] == ["pooling_mode_mean_tokens", "include_prompt"]
    assert pooling["word_embedding_dimension"] == 16


def test_sentence_transformers_before_5_4_takes_every_key_of_the_pooling_b1(student):
    # its Pooling.load calls Pooling(**config) with these parameters; another key is a TypeError
    modes = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    known = {"word_embedding_dimension", "pooling_mode", "include_prompt", *(f"pooling_mode_{mode}" for mode in modes)}
    assert set(read(student, "1_Pooling/config.json")) <= known


def test_special_tokens_map_is_written_b2(student):
    found = read(student, "special_tokens_map.json")
    assert {role: found[role] for role in ("bos_token", "pad_token", "eos_token", "unk_token")} == {
        "bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>",
    }  # fmt: skip
    assert found["mask_token"]["lstrip"] is True


def test_the_config_is_minimal_b8(student):
    config = read(student, "config.json")
    assert set(config) & {"_name_or_path", "use_cache", "transformers_version", "auto_map", "index"} == set()
    assert (config["num_hidden_layers"], config["vocab_size"]) == (2, 700)
    assert (config["bos_token_id"], config["pad_token_id"], config["eos_token_id"]) == (0, 1, 2)


def test_the_tokenizer_class_is_one_that_keeps_byte_fallback_a1(student):
    assert read(student, "tokenizer_config.json")["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert read(student, "config.json")["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_lengths_agree_in_every_file_a13(student):
    assert read(student, "tokenizer.json")["truncation"] is None
    assert read(student, "tokenizer.json")["padding"] is None
    assert read(student, "tokenizer_config.json")["model_max_length"] == 128
    assert read(student, "sentence_bert_config.json")["max_seq_length"] == 128
    assert "max_length" not in read(student, "tokenizer_config.json")


def test_nothing_stale_comes_along_a8(tmp_path):
    teacher = make_teacher(tmp_path / "teacher")
    for name in ("sentencepiece.bpe.model", "added_tokens.json", "vocab.txt"):
        (teacher / name).write_text("stale", encoding="utf-8")
    press(teacher, tmp_path / "student", layers=(0,), size=700)
    student = tmp_path / "student"
    assert sorted(str(path.relative_to(student)) for path in student.rglob("*") if path.is_file()) == [
        "1_Pooling/config.json", "config.json", "config_sentence_transformers.json", "model.safetensors",
        "modules.json", "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.json",
        "tokenizer_config.json",
    ]  # fmt: skip


# --- special tokens -----------------------------------------------------------------------------


def test_roles_come_from_the_teachers_own_config():
    tokenizer = tokenizer_json([("▁", -1.0)])
    found = special_tokens_map(tokenizer, {"bos_token": "</s>", "pad_token": {"content": "<unk>"}})
    assert (found["bos_token"], found["pad_token"], found["cls_token"]) == ("</s>", "<unk>", "<s>")


def test_a_role_whose_token_does_not_exist_is_guessed_from_the_usual_texts():
    assert special_tokens_map(tokenizer_json([("▁", -1.0)]), {"pad_token": "[PAD]"})["pad_token"] == "<pad>"


@pytest.mark.parametrize("role", ["pad", "unk"])
def test_a_tokenizer_without_padding_or_unknown_token_is_refused(role):
    tokenizer = tokenizer_json([("▁", -1.0)])
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["content"] != f"<{role}>"]
    with pytest.raises(TeacherError, match=f"has no {role}_token"):
        special_tokens_map(tokenizer, {})


def test_the_tokenizer_config_holds_texts_alone():
    tokens = special_tokens_map(tokenizer_json([("▁", -1.0)]), {})
    found = tokenizer_config(tokens, {}, max_length=77, special_text=SpecialText.AS_TEACHER)
    assert (found["model_max_length"], found["mask_token"]) == (77, "<mask>")


# --- ids and positions --------------------------------------------------------------------------


def config_of(model_type: str, **options: Any) -> dict[str, Any]:
    tokenizer = tokenizer_json([("▁", -1.0)])
    tokens = special_tokens_map(tokenizer, {})
    config = {"model_type": model_type, **options}
    family = FAMILIES[model_type]
    return student_config(family, config, tokenizer=tokenizer, tokens=tokens, layers=1, rows=6)


@pytest.mark.parametrize("pad", [0, 1, None])
def test_a_bert_students_pad_is_the_tokenizers_whatever_the_teacher_said_b3(pad):
    assert config_of("bert", pad_token_id=pad)["pad_token_id"] == 1


@pytest.mark.parametrize("pad", [0, 5, None])
def test_an_xlm_roberta_whose_positions_would_move_is_refused_b4(pad):
    with pytest.raises(TeacherError, match="every position would move"):
        config_of("xlm-roberta", pad_token_id=pad)


def test_an_xlm_roberta_config_that_leaves_its_pad_to_the_default_is_right_b4():
    assert config_of("xlm-roberta")["pad_token_id"] == 1


# --- pooling ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "mode"),
    [
        ({"pooling_mode": "mean"}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_len_tokens"),
        ({"pooling_mode_weightedmean_tokens": True}, "weightedmean"),
        ({"pooling_mode_lasttoken": True}, "lasttoken"),
    ],
)
def test_pooling_is_read_in_the_old_and_the_new_way_b1(config, mode):
    assert pooling_mode(config) == mode


@pytest.mark.parametrize("config", [{}, {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True}])
def test_no_pooling_or_two_at_once_is_refused(config):
    with pytest.raises(TeacherError, match="one was expected"):
        pooling_mode(config)


def test_whether_prompts_are_pooled_is_the_teachers_choice(tiny_teacher):
    assert student_pooling(read_teacher(str(tiny_teacher)), {"include_prompt": False})["include_prompt"] is False


@pytest.mark.parametrize("mode", ["cls", "max", "lasttoken"])
def test_a_teachers_other_pooling_stays_and_loads(tmp_path, mode):
    from tests.student import load

    teacher = make_teacher(tmp_path / "teacher", pieces=list(words(1500)))
    (teacher / "1_Pooling" / "config.json").write_text(
        json.dumps({"embedding_dimension": 16, "pooling_mode": mode}), encoding="utf-8"
    )
    press(teacher, tmp_path / "student", layers=(0, 1, 2))
    assert load(tmp_path / "student")[1].pooling_mode == mode
