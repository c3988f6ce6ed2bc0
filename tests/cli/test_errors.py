"""Errors: one line each, nothing on standard output."""

from __future__ import annotations

import pytest

from tests.cli import assert_one_line


def test_an_unknown_recipe_is_one_line_that_names_the_shipped_ones(call):
    assert_one_line(call("press", "nothing"), "no recipe called 'nothing'", "demo", "me5s_v3")


def test_a_missing_recipe_file_is_one_line(call):
    assert_one_line(call("press", "gone/my.yaml"), "there is no recipe file gone/my.yaml")


@pytest.mark.parametrize("name", ["[/x].yaml", "[red].yaml", "[bold]a[/bold].yaml"])
def test_brackets_in_a_name_are_not_taken_for_markup(call, name):
    assert_one_line(call("press", name), f"there is no recipe file {name}")


def test_an_unknown_key_is_one_line_that_names_it(call, recipe):
    assert_one_line(call("press", str(recipe), "--set", "distillation.epoch=1"), "distillation.epoch: no such key")


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("distillation.epochs", "write it as section.key=value"),
        ("distillation.epochs=many", "distillation.epochs"),
        ("distillation.epochs=[", "is not a YAML value"),
        ("=1", "write it as section.key=value"),
        ("name.first=x", "is a value, not a section"),
    ],
)
def test_a_bad_override_is_one_line(call, recipe, override, part):
    assert_one_line(call("press", str(recipe), "--set", override), part)


def test_damaged_yaml_is_one_line(call, tmp_path):
    (tmp_path / "bad.yaml").write_text("name: [\n  - :\n")
    assert_one_line(call("press", str(tmp_path / "bad.yaml")), "not valid YAML")


def test_a_missing_data_folder_is_one_line(call, recipe, tmp_path):
    assert_one_line(call("press", str(recipe), "--data-dir", str(tmp_path / "gone")), "--data-dir", "is not a folder")


@pytest.mark.parametrize("where", ["option", "recipe"])
def test_a_missing_teacher_is_one_line(call, recipe, tmp_path, where):
    gone = str(tmp_path / "gone")
    extra = ("--teacher", gone) if where == "option" else ("--set", f"teacher.model={gone}")
    assert_one_line(call("press", str(recipe), *extra), gone)


def test_a_missing_text_file_is_one_line(call, recipe, tmp_path):
    ended = call(
        "press", str(recipe), "--quiet", "--output", str(tmp_path), "--set",
        "corpus.sources=[{kind: files, paths: [gone.txt]}]",
    )  # fmt: skip
    assert_one_line(ended, "'gone.txt' matches no file")


def test_a_folder_that_cannot_be_made_is_one_line(call, recipe, tmp_path):
    (tmp_path / "file").write_text("")
    ended = call("press", str(recipe), "--output", str(tmp_path / "file" / "run"))
    assert_one_line(ended, "Not a directory")


def test_a_recipe_without_text_left_is_one_line(call, recipe, tmp_path):
    ended = call("press", str(recipe), "--quiet", "-o", str(tmp_path / "run"), "--set", "corpus.min_chars=4000")
    assert_one_line(ended, "no training sentence is left")


def test_a_teacher_that_is_too_short_for_the_recipe_is_refused_before_any_work(call, recipe, tmp_path):
    ended = call("distill", str(recipe), "-o", str(tmp_path / "run"), "--set", "distillation.max_length=4096")
    assert_one_line(ended, "distillation.max_length is 4096")
    assert not (tmp_path / "run").exists()


def test_a_batch_larger_than_the_corpus_is_one_line(call, recipe, folder):
    ended = call("distill", str(recipe), "--quiet", "-o", str(folder), "--set", "distillation.batch_size=100000")
    assert_one_line(ended, "distillation.batch_size is 100000, there are ", " training sentences")
