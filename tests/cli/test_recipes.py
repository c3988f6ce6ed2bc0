"""recipes on the command line."""

from __future__ import annotations

import json

import yaml
from rich.cells import cell_len

from babelpress.recipe import Recipe
from tests.cli import assert_one_line


def test_the_shipped_recipes_are_listed_in_80_columns(call):
    ended = call("recipes", "list")
    assert "demo" in ended.out
    assert "me5s_v3" in ended.out
    assert max(map(cell_len, ended.out.splitlines())) <= 80


def test_a_recipe_is_shown_as_it_stands_and_can_be_read_back(call):
    ended = call("recipes", "show", "demo")
    assert Recipe.parse(ended.out) == Recipe.load("demo")


def test_a_recipe_shown_as_json_has_every_default(call):
    shown = json.loads(call("recipes", "show", "demo", "--json").out)
    assert shown["distillation"]["clip_norm"] == 1.0
    assert Recipe.model_validate(shown) == Recipe.load("demo")


def test_showing_an_unknown_recipe_is_one_line(call):
    assert_one_line(call("recipes", "show", "nothing"), "no recipe called 'nothing'")


def test_a_new_recipe_is_valid_and_has_its_own_name(call, tmp_path):
    path = tmp_path / "my model.yaml"
    assert call("recipes", "init", str(path), "--from", "me5s_v3").code == 0
    made, origin = Recipe.load(path), Recipe.load("me5s_v3")
    assert made.name == "my-model"
    assert made.model_copy(update={"name": origin.name}) == origin


def test_a_new_recipe_keeps_the_comments(call, tmp_path):
    call("recipes", "init", str(tmp_path / "a.yaml"))
    text = (tmp_path / "a.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(text)["name"] == "a"
    assert "#" in text


def test_init_never_overwrites(call, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("months of work")
    assert_one_line(call("recipes", "init", str(path)), "is there already; give another name")
    assert path.read_text() == "months of work"


def test_init_from_an_unknown_recipe_writes_nothing(call, tmp_path):
    assert_one_line(call("recipes", "init", str(tmp_path / "a.yaml"), "--from", "nothing"), "no recipe called")
    assert not (tmp_path / "a.yaml").exists()


def test_init_with_a_name_that_no_run_can_have_writes_nothing(call, tmp_path):
    assert_one_line(call("recipes", "init", str(tmp_path / "-.yaml")), "name")
    assert not (tmp_path / "-.yaml").exists()
