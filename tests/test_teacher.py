"""A teacher's facts are read from its folder, and what cannot be pressed is refused before any work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from babelpress.errors import BabelpressError, HubError, TeacherError
from babelpress.teacher import BUNDLED, BUNDLED_ID, locate_teacher, read_teacher
from babelpress.utils.tensors import open_checkpoint
from tests.tiny import make_teacher, words


@pytest.fixture
def folder(tmp_path, tiny_teacher) -> Path:
    """A teacher that the test may damage; 600 pieces, 3 layers, 16 dimensions."""
    return shutil.copytree(tiny_teacher, tmp_path / "tiny-teacher")


def edit(folder: Path, name: str, **changes: Any) -> None:
    """Change keys of a JSON file; None takes one away."""
    values = json.loads((folder / name).read_text(encoding="utf-8")) if (folder / name).is_file() else {}
    values = {key: value for key, value in {**values, **changes}.items() if value is not None}
    (folder / name).write_text(json.dumps(values), encoding="utf-8")


def refused(folder: Path, match: str, error: type[BabelpressError] = TeacherError, **options: Any) -> None:
    with pytest.raises(error, match=match) as caught:
        read_teacher(str(folder), **options)
    assert "\n" not in str(caught.value)


# --- facts --------------------------------------------------------------------------------------


def test_the_facts_of_a_folder(folder):
    facts = read_teacher(str(folder))
    assert (facts.name, facts.architecture, facts.layers, facts.hidden) == ("tiny-teacher", "bert", 3, 16)
    assert (facts.heads, facts.feed_forward, facts.positions, facts.max_length) == (2, 32, 128, 128)
    assert (facts.pooling, facts.normalised, facts.tokenizer_kind) == ("mean", True, "Unigram")
    assert (facts.licence, facts.prompts, facts.default_prompt, facts.revision) == ("mit", {}, None, None)


def test_there_are_more_rows_than_pieces_in_e5_small_a10(folder):
    facts = read_teacher(str(folder))
    assert (facts.pieces, facts.rows) == (605, 610)


def test_parameters_by_hand(folder):
    # embeddings (610 + 128 + 2) x 16 + LayerNorm 32; a layer: 4 x (256 + 16) + (512 + 32) + (512 + 16) + 64 = 2224
    facts = read_teacher(str(folder))
    assert facts.parameters_without_pooler == 740 * 16 + 32 + 3 * 2224
    assert facts.parameters - facts.parameters_without_pooler == 256 + 16
    assert facts.weight_bytes == (folder / "model.safetensors").stat().st_size


def test_parameters_are_those_that_torch_counts(folder):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    assert read_teacher(str(folder)).parameters == sum(parameter.numel() for parameter in model.parameters())


def test_buffers_and_other_heads_are_not_parameters(folder):
    before = read_teacher(str(folder))
    weights = load_file(folder / "model.safetensors")
    extra = {"embeddings.position_ids": np.zeros((1, 128), np.int64), "lm_head.bias": np.zeros(610, np.float32)}
    save_file(weights | extra, str(folder / "model.safetensors"), metadata={"format": "pt"})
    assert read_teacher(str(folder)).parameters == before.parameters


@pytest.mark.parametrize("prefix", ["bert.", "model.encoder_q."])
def test_a_prefix_of_the_tensors_is_found(folder, prefix):
    before = read_teacher(str(folder))
    weights = {prefix + name: value for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    facts = read_teacher(str(folder))
    assert (facts.prefix, facts.parameters, facts.layers) == (prefix, before.parameters, 3)


def test_a_sharded_teacher_has_the_same_facts(folder):
    before = read_teacher(str(folder))
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    weight_map = {}
    for number, part in enumerate((names[::2], names[1::2])):
        file = f"model-{number}.safetensors"
        save_file({name: weights[name] for name in part}, str(folder / file), metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors").unlink()
    edit(folder, "model.safetensors.index.json", weight_map=weight_map)
    assert (read_teacher(str(folder)).parameters, read_teacher(str(folder)).rows) == (before.parameters, before.rows)


def test_facts_do_not_tell_where_the_folder_lies(folder):
    assert str(folder.parent) not in json.dumps(read_teacher(str(folder)).facts())


# --- lengths ------------------------------------------------------------------------------------


def test_xlm_roberta_has_two_positions_fewer_than_rows_b4(tmp_path):
    teacher = make_teacher(tmp_path / "teacher", model_type="xlm-roberta", pad_in_config=1, positions=514)
    edit(teacher, "sentence_bert_config.json", max_seq_length=None)
    edit(teacher, "tokenizer_config.json", model_max_length=None)
    assert read_teacher(str(teacher)).max_length == 512


def test_xlm_roberta_counts_from_its_default_pad_where_the_config_has_none_b4(tmp_path):
    teacher = make_teacher(tmp_path / "teacher", model_type="xlm-roberta", pad_in_config=1, positions=514)
    edit(teacher, "config.json", pad_token_id=None)
    assert read_teacher(str(teacher)).max_length == 512


@pytest.mark.parametrize(("sbert", "tokenizer", "expected"), [
    (50, 100, 50),  # the folder's own word comes first
    (None, 100, 100),  # sentence-transformers 6 leaves it to the tokenizer
    (None, 1e30, 128),  # "no limit" in transformers
    (None, None, 128),
    (4096, None, 128),  # never more than there are positions
])  # fmt: skip
def test_the_length_comes_from_whichever_file_has_it_b1(folder, sbert, tokenizer, expected):
    edit(folder, "sentence_bert_config.json", max_seq_length=sbert)
    edit(folder, "tokenizer_config.json", model_max_length=tokenizer)
    assert read_teacher(str(folder)).max_length == expected


# --- prompts, licence, name ---------------------------------------------------------------------

E5 = {"query": "query: ", "passage": "passage: "}


@pytest.mark.parametrize("name", ["intfloat/multilingual-e5-small", "intfloat/e5-base-v2", "multilingual-e5-large"])
def test_e5_gets_its_authors_prompts_although_its_folder_has_none_b6(folder, name):
    assert read_teacher(str(folder), name=name).prompts == E5


@pytest.mark.parametrize("name", ["intfloat/multilingual-e5-large-instruct", "me/not-e5-small-at-all", "me/ae5-small"])
def test_models_that_only_sound_like_e5_get_none(folder, name):
    assert read_teacher(str(folder), name=name).prompts == {}


def test_the_folders_own_prompts_come_before_the_registry_b6(folder):
    edit(folder, "config_sentence_transformers.json", prompts={"query": "q> ", "document": ""})
    assert read_teacher(str(folder), name="intfloat/multilingual-e5-small").prompts == {"query": "q> "}


def test_the_recipes_prompts_replace_all_others(folder):
    assert read_teacher(str(folder), name="intfloat/multilingual-e5-small", prompts={}).prompts == {}
    assert read_teacher(str(folder), prompts={"a": "b"}).prompts == {"a": "b"}


def test_a_default_prompt_is_kept_only_where_it_has_a_text(folder):
    edit(folder, "config_sentence_transformers.json", prompts={"query": "q> "}, default_prompt_name="query")
    assert read_teacher(str(folder)).default_prompt == "query"
    assert read_teacher(str(folder), prompts={"other": "o> "}).default_prompt is None


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("---\nlicense: mit\n---\n# x\n", "mit"),
        ("---\r\nlanguage: en\r\nlicense: apache-2.0\r\n---\r\n# x\r\n", "apache-2.0"),
        ("# no front matter\nlicense: mit\n", None),
        ("---\nlicense: [mit, other]\n---\n", None),
        ("---\nlicense: : :\n---\n", None),
        ("---\n- a list\n---\n", None),
        ("", None),
    ],
)
def test_the_licence_is_read_from_the_readmes_front_matter(folder, readme, licence):
    (folder / "README.md").write_text(readme, encoding="utf-8", newline="")
    assert read_teacher(str(folder)).licence == licence


def test_the_name_and_the_link_of_another_licence_are_read_with_it(folder):
    front = "---\nlicense: other\nlicense_name: my-terms\nlicense_link: 5\n---\n"
    (folder / "README.md").write_text(front, encoding="utf-8")
    facts = read_teacher(str(folder))
    assert (facts.licence, facts.licence_name, facts.licence_link) == ("other", "my-terms", None)


def test_no_readme_no_licence(folder):
    (folder / "README.md").unlink()
    assert read_teacher(str(folder)).licence is None


def test_a_teacher_below_the_home_folder_is_named_after_its_folder(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert read_teacher("~/tiny-teacher").name == "tiny-teacher"


def test_the_commit_of_a_hub_snapshot_is_its_revision(tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert read_teacher(str(make_teacher(tmp_path / "snapshots" / commit))).revision == commit


def test_the_embedded_teacher_is_whole_and_named_after_its_id():
    facts = read_teacher(BUNDLED)
    assert (facts.name, facts.tokenizer_kind) == (BUNDLED_ID, "Unigram")
    assert facts.rows >= facts.pieces


# --- fingerprint --------------------------------------------------------------------------------


def with_dense(folder: Path, value: float) -> None:
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))[:2]
    modules.append({"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (folder / "2_Dense").mkdir(exist_ok=True)
    save_file({"linear.weight": np.full((4, 16), value, np.float32)}, str(folder / "2_Dense" / "model.safetensors"))


def test_the_fingerprint_does_not_depend_on_the_place(tmp_path):
    one, two = (make_teacher(tmp_path / name / "teacher") for name in "ab")
    assert read_teacher(str(one)).fingerprint == read_teacher(str(two)).fingerprint


def test_the_fingerprint_follows_the_weights(tmp_path):
    one, two = (make_teacher(tmp_path / str(seed), seed=seed) for seed in (1, 2))
    assert read_teacher(str(one)).fingerprint != read_teacher(str(two)).fingerprint


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "config.json", "1_Pooling/config.json", "sentence_bert_config.json"]
)
def test_the_fingerprint_follows_every_config(folder, name):
    before = read_teacher(str(folder)).fingerprint
    edit(folder, name, note="changed")
    assert read_teacher(str(folder)).fingerprint != before


def test_the_fingerprint_follows_a_dense_modules_weights(folder):
    found = []
    for value in (1.0, 2.0):
        with_dense(folder, value)
        found.append(read_teacher(str(folder)).fingerprint)
    assert found[0] != found[1]


def test_the_readme_does_not_change_the_fingerprint(folder):
    before = read_teacher(str(folder)).fingerprint
    (folder / "README.md").write_text("other", encoding="utf-8")
    assert read_teacher(str(folder)).fingerprint == before


# --- refusals -----------------------------------------------------------------------------------


def test_remote_code_is_refused(folder):
    edit(folder, "config.json", auto_map={"AutoModel": "evil.Model"})
    refused(folder, "asks to run its own code.*trust_remote_code: true")


def test_remote_code_is_taken_where_the_recipe_says_so(folder):
    edit(folder, "config.json", auto_map={"AutoModel": "theirs.Model"})
    assert read_teacher(str(folder), trust_remote_code=True).trust_remote_code is True


@pytest.mark.parametrize("kind", ["modernbert", "t5", None])
def test_another_model_type_is_refused_by_name(folder, kind):
    edit(folder, "config.json", model_type=kind)
    refused(folder, f"is of type {kind!r}, whose layers and embeddings babelpress cannot prune; supported: bert, ")


@pytest.mark.parametrize("key", ["num_attention_heads", "intermediate_size", "max_position_embeddings"])
@pytest.mark.parametrize("value", [None, "12"])
def test_a_config_without_its_sizes_is_refused(folder, key, value):
    edit(folder, "config.json", **{key: value})
    refused(folder, f"no whole number above 0 for {key}")


@pytest.mark.parametrize("name", ["config.json", "modules.json", "tokenizer.json", "1_Pooling/config.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    refused(folder, name.rpartition("/")[2].replace(".", r"\."))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "1_Pooling/config.json", "tokenizer_config.json",
                                  "config_sentence_transformers.json"])  # fmt: skip
@pytest.mark.parametrize("content", ["", "{", "[]", "3", "\x00", "[" * 100_000])
def test_a_damaged_file_is_named(folder, name, content):
    edit(folder, "sentence_bert_config.json", max_seq_length=None)
    (folder / name).write_text(content, encoding="utf-8")
    refused(folder, name.rpartition("/")[2].replace(".", r"\."), BabelpressError)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "null", '{"a": 1}', "[1]", '[{"path": ""}]'])
def test_a_module_list_that_is_none_is_refused(folder, content):
    (folder / "modules.json").write_text(content, encoding="utf-8")
    refused(folder, "modules?", BabelpressError)


def write_modules(folder: Path, *modules: tuple[str, str]) -> None:
    entries = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in modules]
    (folder / "modules.json").write_text(json.dumps(entries), encoding="utf-8")


def test_a_teacher_without_pooling_is_refused(folder):
    write_modules(folder, ("", "Transformer"), ("2_Normalize", "Normalize"))
    refused(folder, "has no Pooling module")


def test_a_first_module_that_is_no_transformer_is_refused(folder):
    write_modules(folder, ("", "StaticEmbedding"))
    refused(folder, "first module is StaticEmbedding")


def test_a_transformer_in_a_subfolder_is_refused(folder):
    write_modules(folder, ("0_Transformer", "Transformer"), ("1_Pooling", "Pooling"))
    refused(folder, "lies in '0_Transformer'")


def test_an_unknown_module_is_refused_by_name(folder):
    write_modules(folder, ("", "Transformer"), ("1_Pooling", "Pooling"), ("2_LSTM", "LSTM"))
    refused(folder, "module LSTM is not supported yet")


@pytest.mark.parametrize("path", ["../elsewhere", "/etc", "1_Pooling/../../elsewhere"])
def test_a_module_cannot_lead_out_of_the_folder(folder, path):
    write_modules(folder, ("", "Transformer"), (path, "Pooling"))
    refused(folder, "points outside", BabelpressError)


def test_a_dense_module_of_pickles_is_refused(folder):
    write_modules(folder, ("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense"))
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"pickle")
    refused(folder, "2_Dense has no model.safetensors")


def test_fewer_rows_than_ids_is_refused_a10(tmp_path):
    refused(make_teacher(tmp_path / "teacher", spare_rows=-1), "has 605 pieces but the embedding matrix has 604 rows")


def test_exactly_as_many_rows_as_ids_is_right_a10(tmp_path):
    facts = read_teacher(str(make_teacher(tmp_path / "teacher", spare_rows=0)))
    assert facts.rows == facts.pieces == 605


def test_an_added_token_behind_the_rows_is_refused_a9(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    new = [{**tokenizer["added_tokens"][0], "id": 605 + more, "content": f"<new{more}>"} for more in range(6)]
    tokenizer["added_tokens"] += new
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    refused(folder, "has 611 pieces but the embedding matrix has 610 rows")
    tokenizer["added_tokens"].pop()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    assert read_teacher(str(folder)).pieces == 610


def test_an_added_token_that_leaves_a_hole_before_it_is_refused_a9(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["added_tokens"].append({**tokenizer["added_tokens"][0], "id": 606, "content": "<new>"})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    refused(folder, r"tokenizer\.json: no piece has id 605, though ids go up to 606")


def test_a_tokenizer_without_vocabulary_is_refused(folder):
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    refused(folder, r"tokenizer\.json has no model")


def test_a_gap_in_the_layers_is_refused(folder):
    weights = load_file(folder / "model.safetensors")
    holed = {name: value for name, value in weights.items() if not name.startswith("encoder.layer.1.")}
    save_file(holed, str(folder / "model.safetensors"), metadata={"format": "pt"})
    refused(folder, "config.json says num_hidden_layers 3, but the weights have no layer 1")


def test_a_config_with_fewer_layers_than_the_weights_decides(folder):
    whole = read_teacher(str(folder))
    edit(folder, "config.json", num_hidden_layers=2)
    facts = read_teacher(str(folder))
    assert (whole.layers, facts.layers) == (3, 2)
    assert whole.parameters - facts.parameters == facts.family.layer_parameters(facts)


@pytest.mark.parametrize(
    ("key", "value"),
    [("num_hidden_layers", 4), ("hidden_size", 32), ("max_position_embeddings", 64), ("vocab_size", 9)],
)
def test_a_config_that_says_other_than_the_weights_is_refused(folder, key, value):
    edit(folder, "config.json", **{key: value})
    refused(folder, f"config.json says {key} {value}, .*the weights have")


@pytest.mark.parametrize("value", [0, -1, True, 2.0, [3]])
def test_a_size_that_is_no_size_is_refused(folder, value):
    edit(folder, "config.json", num_hidden_layers=value)
    refused(folder, "no whole number above 0 for num_hidden_layers")


def test_norms_of_old_checkpoints_are_read_under_their_names_of_today(folder):
    weights = load_file(folder / "model.safetensors")
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
           for name, value in weights.items()}  # fmt: skip
    assert old.keys() != weights.keys()
    save_file(old, str(folder / "model.safetensors"), metadata={"format": "pt"})
    assert open_checkpoint(folder).names() == sorted(weights)
    assert read_teacher(str(folder)).parameters == sum(value.size for value in weights.values())


def test_a_norm_under_both_names_is_refused(folder):
    weights = load_file(folder / "model.safetensors")
    name = "embeddings.LayerNorm.weight"
    doubled = {**weights, name.replace("weight", "gamma"): weights[name]}
    save_file(doubled, str(folder / "model.safetensors"), metadata={"format": "pt"})
    refused(folder, "embeddings.LayerNorm.weight occurs twice")


def test_two_encoders_in_one_file_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    both = weights | {f"other.{name}": value.copy() for name, value in weights.items()}
    save_file(both, str(folder / "model.safetensors"), metadata={"format": "pt"})
    refused(folder, "2 tensors end in embeddings.word_embeddings.weight")


def test_weights_without_embeddings_are_refused(folder):
    save_file({"a": np.ones(1, np.float32)}, str(folder / "model.safetensors"))
    refused(folder, "0 tensors end in embeddings.word_embeddings.weight")


def test_weights_that_are_cut_off_are_refused(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    refused(folder, "is not a whole safetensors file")


# --- where teachers lie -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["./nowhere", "../nowhere", "/nowhere", "~/nowhere", "a/b/c", "sp ace", "a\nb"])
def test_what_is_neither_a_folder_nor_a_hub_id_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TeacherError, match="neither a folder nor a hub id"):
        locate_teacher(name)


def test_a_file_is_no_teacher(folder):
    with pytest.raises(TeacherError, match="neither a folder nor a hub id"):
        locate_teacher(str(folder / "config.json"))


def test_a_hub_id_without_a_hub_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HubError, match=r"nobody/no-such-model.*give a local copy with --teacher PATH"):
        locate_teacher("nobody/no-such-model")


def test_a_folder_of_that_name_comes_before_the_hub(tmp_path, monkeypatch):
    make_teacher(tmp_path / "org" / "name", pieces=list(words(50)))
    monkeypatch.chdir(tmp_path)
    assert read_teacher("org/name").layers == 3
