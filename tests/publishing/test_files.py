"""Which files are published: those of a model, and none that runs, hides or tells of the machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from babelpress.errors import BabelpressError
from babelpress.publishing.files import find_student, list_uploads
from tests.publishing import make_published

ALL = [
    "1_Pooling/config.json",
    "README.md",
    "config.json",
    "config_sentence_transformers.json",
    "manifest.json",
    "model.safetensors",
    "modules.json",
    "onnx/exports.json",
    "onnx/model_quantized.onnx",
    "sentence_bert_config.json",
    "special_tokens_map.json",
    "tokenizer-golden.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "umap.png",
]  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_teacher) -> Path:
    return make_published(tmp_path_factory.mktemp("made") / "student", tiny_teacher)


@pytest.fixture
def folder(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run" / "student"))


def refusal(folder: Path) -> str:
    with pytest.raises(BabelpressError) as error:
        list_uploads(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_all_files_of_a_student_are_published_under_their_own_names(folder):
    assert [upload.path for upload in list_uploads(folder)] == ALL
    for upload in list_uploads(folder):
        assert upload.content == folder / upload.path
        assert upload.size == (folder / upload.path).stat().st_size


def test_a_runs_folder_means_its_student(folder):
    assert find_student(folder.parent) == folder
    assert find_student(folder) == folder


@pytest.mark.parametrize("name", ["nowhere", "file", "empty"])
def test_what_is_neither_a_run_nor_a_student_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BabelpressError, match=name):
        find_student(tmp_path / name)


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "state.pkl", "weights.pt", "modeling.py", "1_Pooling/run.sh", "data.parquet", "x.onnx.zip"],
)  # fmt: skip
def test_a_file_that_may_hold_code_is_refused_by_name(folder, name):
    (folder / name).write_bytes(b"x")
    assert f"{folder / name} is of a kind that is not published" in refusal(folder)


@pytest.mark.parametrize("name", [".model.onnx.4711.tmp", ".exports.json.lock"])
def test_what_a_killed_export_left_behind_is_not_published(folder, name):
    before = list_uploads(folder)
    (folder / name).write_text("half")
    assert list_uploads(folder) == before


@pytest.mark.parametrize("name", [".env", ".cache/x.json", "1_Pooling/.DS_Store"])
def test_a_hidden_file_is_refused_not_left_out(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("x")
    assert "is hidden; move it out of the folder" in refusal(folder)


def test_a_link_that_leads_out_of_the_folder_is_refused(folder, tmp_path):
    (tmp_path / "secret.json").write_text("{}")
    (folder / "more.json").symlink_to(tmp_path / "secret.json")
    assert "more.json is a link to a file outside the folder" in refusal(folder)


def test_a_link_to_a_folder_is_refused_also_where_it_stays_inside(folder):
    (folder / "again").symlink_to(folder / "1_Pooling")
    assert "again is a link to a folder" in refusal(folder)


def test_a_link_that_leads_nowhere_is_refused(folder):
    (folder / "more.json").symlink_to(folder / "gone.json")
    assert "more.json is not a regular file" in refusal(folder)


def test_a_link_inside_the_folder_is_a_file_like_others(folder):
    (folder / "copy.json").symlink_to(folder / "config.json")
    assert "copy.json" in [upload.path for upload in list_uploads(folder)]


@pytest.mark.parametrize("name", ["modules.json", "tokenizer.json", "README.md", "model.safetensors"])
def test_a_file_that_a_student_needs_is_missed(folder, name):
    (folder / name).unlink()
    assert ("safetensors" if name.endswith("tensors") else f"no {name}") in refusal(folder)


def test_without_a_card_the_remedy_is_to_write_it(folder):
    (folder / "README.md").unlink()
    assert refusal(folder).endswith("write the card first: babelpress card RECIPE")


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("manifest.json", '"teacher": "/home/me/models/e5"'), ("manifest.json", '"folder": "C:\\\\Users\\\\me\\\\x"'),
        ("README.md", "Trained on /srv/secret/chat.txt."), ("notes.txt", "see /mnt/disk/x"),
        ("config.json", '{"_name_or_path": "/tmp/x/e5"}'), ("README.md", "file:///etc/passwd"),
    ],
)  # fmt: skip
def test_a_path_of_a_machine_is_refused_with_its_line(folder, name, line):
    path = folder / name
    path.write_text(f"first\n{line}\n", encoding="utf-8")
    assert f"{path} names a path of this machine in line 2: " in refusal(folder)


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/data/home/x",
        "<0x2F> and </s>",
        "a/b/c and and/or",
        "`/query`",
        "| 3 / 4 |",
        "/home",
        "~/x",
        r'"query": "Q:\n"',
    ],
)
def test_text_that_only_looks_like_a_path_is_published(folder, text):
    (folder / "notes.md").write_text(text, encoding="utf-8")
    assert "notes.md" in [upload.path for upload in list_uploads(folder)]


def test_pieces_of_a_tokenizer_may_look_like_anything(folder):
    text = (folder / "tokenizer.json").read_text(encoding="utf-8")
    (folder / "tokenizer.json").write_text(text.replace('"▁"', '"/home/x"', 1), encoding="utf-8")
    assert list_uploads(folder)
