"""The published card: metadata that can be read, and the model's name as it will be."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

from babelpress.errors import BabelpressError
from babelpress.publishing.card import check_card, rename_card
from tests.publishing import NAME, make_published

PLAIN = '---\nlicense: mit\n---\n# x/old\n\n```python\nmodel = SentenceTransformer("x/old")\n```\n'


@pytest.fixture(scope="module")
def text(tmp_path_factory, tiny_teacher) -> str:
    folder = make_published(tmp_path_factory.mktemp("card") / "student", tiny_teacher)
    return (folder / "README.md").read_text(encoding="utf-8")


def test_a_card_of_ours_is_renamed_in_index_title_and_quick_start_alone(text):
    renamed, old = rename_card(text, "me/mine")
    assert old == NAME
    changed = [
        (before, after)
        for before, after in zip(text.splitlines(), renamed.splitlines(), strict=True)
        if before != after
    ]
    assert changed == [
        (f"- name: {NAME}", "- name: me/mine"),
        (f"# {NAME}", "# me/mine"),
        (f'model = SentenceTransformer("{NAME}")', 'model = SentenceTransformer("me/mine")'),
    ]
    assert ModelCard(renamed).data.model_name == "me/mine"


def test_a_card_that_has_the_right_name_is_left_as_it_is(text):
    renamed, _ = rename_card(text, "me/mine")
    assert rename_card(renamed, "me/mine") == (renamed, None)


def test_a_card_without_an_index_is_named_by_its_quick_start():
    renamed, old = rename_card(PLAIN, "me/mine")
    assert old == "x/old"
    assert renamed == PLAIN.replace("x/old", "me/mine")


def test_a_title_of_its_own_is_kept(text):
    titled = text.replace(f"# {NAME}\n", "# A small encoder\n")
    assert "# A small encoder\n" in rename_card(titled, "me/mine")[0]


def test_other_models_that_a_card_loads_keep_their_names(text):
    more = text + "\n```python\nteacher = SentenceTransformer('a/teacher')\n```\n"
    assert "SentenceTransformer('a/teacher')" in rename_card(more, "me/mine")[0]


def test_a_quick_start_that_loads_the_base_model_is_not_taken_for_the_models_own():
    card = PLAIN.replace("license: mit", "license: mit\nbase_model: x/old")
    assert rename_card(card, "me/mine") == (card, None)


def test_line_ends_of_windows_stay():
    card = PLAIN.replace("\n", "\r\n")
    renamed, old = rename_card(card, "me/mine")
    assert old == "x/old"
    assert renamed.count("\r\n") == renamed.count("\n") == card.count("\n")


def test_a_card_that_names_no_model_is_left_as_it_is():
    card = "---\nlicense: mit\n---\n# Words\n"
    assert rename_card(card, "me/mine") == (card, None)


@pytest.mark.parametrize("name", [".*", "a(b", "x/old\\1"])
def test_a_name_is_text_not_a_pattern(name):
    card = PLAIN.replace("x/old", name)
    assert rename_card(card, "me/mine")[1] == name


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ("# no metadata\n", "has no metadata"),
        ("---\nlicense: [mit\n---\n# x\n", "not valid"),
        ("---\n- a list\n---\n# x\n", "not valid"),
        ("---\nlicense: mit\nmodel-index:\n- name: x\n  results:\n  - task: {}\n---\n# x\n", "not valid"),
        ("---\n---\n# x\n", "has no metadata"),
    ],
)
def test_metadata_that_cannot_be_read_are_refused_in_one_line(card, words):
    with pytest.raises(BabelpressError, match=words) as error:
        check_card(card, origin="x/README.md")
    assert str(error.value).startswith("x/README.md")
    assert "\n" not in str(error.value)


def test_a_card_of_ours_can_be_read(text):
    check_card(text, origin="README.md")
