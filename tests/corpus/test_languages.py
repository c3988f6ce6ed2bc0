"""Languages as people write them: in columns, in recipes, or not at all."""

from __future__ import annotations

import json

import pytest

from babelpress.corpus.sentence import Sentence
from babelpress.corpus.sources import read_source
from babelpress.errors import RecipeError
from babelpress.recipe import FileSource
from babelpress.schema.languages import language_code
from tests.reports.figures import make_recipe


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("EN", "en"), ("eng", "en"), ("fr_FR", "fr"), ("German", "de"), ("en ", "en"), ("zh-Hans", "zh"),
        ("zh-TW", "zh-TW"), ("unknown", "und"), ("n/a", "und"), ("", "und"), ("Latn", "und"), ("\x00", "und"),
        ("\ud800", "und"), ("x" * 9999, "und"), ("5", "und"),
    ],
)  # fmt: skip
def test_a_language_is_known_however_it_is_written(written, code):
    assert language_code(written, ("en", "zh-TW", "de")) == code


def languages_of(folder, rows, languages, **settings):
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = FileSource(kind="files", paths=(str(folder / "a.jsonl"),), columns=("text",), **settings)
    recipe = make_recipe(f"languages={languages}")
    items = read_source(source, recipe=recipe, data_dir=None)
    return [item.language for item in items if isinstance(item, Sentence)]


def test_values_of_a_language_column_are_normalised_and_the_rest_is_undetermined(tmp_path):
    rows = [{"text": "a", "lang": code} for code in ("EN", "German", "n/a", None, 7, "fr_FR")]
    assert languages_of(tmp_path, rows, "[en, de, fr]", language_column="lang") == [
        "en",
        "de",
        "und",
        "und",
        "und",
        "fr",
    ]


def test_text_without_a_language_is_that_of_the_only_language(tmp_path):
    assert languages_of(tmp_path, [{"text": "a"}], "[de]") == ["de"]
    assert languages_of(tmp_path, [{"text": "a"}], "[de, fr]") == ["und"]
    rows = [{"text": "a", "lang": None}, {"text": "b", "lang": "fr"}]
    assert languages_of(tmp_path, rows, "[de]", language_column="lang") == ["de", "fr"]


def test_a_recipe_may_write_out_a_language_and_is_refused_where_it_names_none():
    assert FileSource(kind="files", paths=("a",), language="German").language == "de"
    assert FileSource(kind="files", paths=("a",), language="zh-TW").language == "zh-TW"
    with pytest.raises(RecipeError, match="'unknown' names no language; give a code such as de"):
        make_recipe("corpus.sources=[{kind: files, paths: [a], language: unknown}]")


def test_norwegian_is_not_false():
    with pytest.raises(RecipeError, match='no is false in YAML; write "no" in quotes'):
        make_recipe("languages=[en, no]")
    assert make_recipe("languages=[en, 'no']").languages == ("en", "no")
