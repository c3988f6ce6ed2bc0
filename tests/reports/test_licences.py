"""Whose work a student is made of, and under which licence: as far as the recipe says, and no further."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from babelpress.reports.licences import Credit, list_credits, teacher_link
from babelpress.teacher import Teacher, read_teacher
from tests.reports.figures import NAME, make_recipe
from tests.reports.test_card import card, row

TEACHER = f"teacher: [{NAME}](https://huggingface.co/{NAME})"
BANKING = "[mteb/banking77](https://huggingface.co/datasets/mteb/banking77)"
UNSTATED = "licence not stated in the recipe"


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> Teacher:
    return read_teacher(str(tiny_teacher), name=NAME)


def credit(teacher: Teacher, sources: str) -> list[Credit]:
    first, *others = list_credits(make_recipe(f"corpus.sources=[{sources}]"), teacher)
    assert first == Credit(TEACHER, "mit")
    return others


def test_the_licence_and_the_authors_of_a_source_are_the_recipes(teacher):
    sources = (
        "{kind: hub, dataset: mteb/banking77, language: en, columns: [text], licence: cc-by-4.0, attribution: PolyAI},"
        "{kind: files, paths: [/srv/secret/a.txt, 'b/{language}/*.gz'], licence: our own}"
    )
    assert credit(teacher, sources) == [Credit(BANKING, "cc-by-4.0", "PolyAI"), Credit("a.txt, *.gz", "our own")]


def test_a_licence_that_nobody_states_is_said_to_be_missing(teacher):
    sources = "{kind: hub, dataset: mteb/banking77, language: en, columns: [text]}, {kind: files, paths: [a.txt]}"
    assert credit(teacher, sources) == [Credit(BANKING, UNSTATED), Credit("a.txt", UNSTATED)]


def test_the_train_split_of_a_task_has_the_licence_that_mteb_states(teacher):
    assert credit(teacher, "{kind: mteb_train, tasks: [Banking77Classification, STSBenchmark]}") == [
        Credit(BANKING, "mit (as mteb states it)"),
        Credit("[mteb/stsbenchmark-sts](https://huggingface.co/datasets/mteb/stsbenchmark-sts)", UNSTATED),
    ]
    assert credit(teacher, "{kind: mteb_train, tasks: [Banking77Classification], licence: cc-by-4.0}") == [
        Credit(BANKING, "cc-by-4.0")
    ]


def test_the_projects_own_sentences_and_the_teachers_pieces_need_no_one_elses_leave(teacher):
    assert credit(teacher, "{kind: bundled}, {kind: pieces, texts: 9}, {kind: bundled}") == [
        Credit("babelpress's own parallel sentences", "apache-2.0", "babelpress"),
        Credit("word lists of the teacher's pieces", "as the teacher's"),
    ]


def test_a_source_that_is_named_twice_is_credited_once(teacher):
    one = "{kind: files, paths: [a.txt], licence: mit}"
    assert credit(teacher, f"{one}, {one}") == [Credit("a.txt", "mit")]


def test_a_teacher_without_a_licence_is_told_of(teacher):
    unlicensed = dataclasses.replace(teacher, licence=None)
    assert list_credits(make_recipe(), unlicensed)[0] == Credit(TEACHER, "its folder names none")


def test_the_embedded_teacher_says_where_its_text_is_told_of():
    assert list_credits(make_recipe(), read_teacher("bundled"))[0] == Credit(
        "teacher: babelpress/reference-teacher", "apache-2.0", "babelpress; its text: docs/reference_teacher.md there"
    )


def test_the_card_has_a_row_for_each_and_no_text_breaks_its_table(teacher):
    recipe = make_recipe(
        'corpus.sources=[{kind: files, paths: [a.txt], licence: "mine | yours", attribution: "A.\\nB."}, '
        "{kind: files, paths: [b.txt]}]"
    )
    text = card(teacher, recipe=recipe).partition("## Licence and attributions")[2]
    assert "Licence: mit, that of the teacher." in text
    assert row(text, TEACHER) == ["mit", ""]
    assert "| a.txt | mine \\| yours | A. B. |" in text
    assert row(text, "b.txt") == [UNSTATED, ""]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("/srv/secret/mine", "mine"), ("../secret/mine/", "mine"), ("C:\\secret\\mine", "mine"), ("mine", "mine"),
        ("babelpress/reference-teacher", "babelpress/reference-teacher"), ("a/b", "[a/b](https://huggingface.co/a/b)"),
    ],
)  # fmt: skip
def test_a_teacher_from_a_folder_is_its_last_part(teacher, name, shown):
    assert teacher_link(dataclasses.replace(teacher, name=name)) == shown


def test_a_credit_in_plain_words_has_no_links():
    credit = Credit("[org/data](https://huggingface.co/datasets/org/data), [b](c)", "mit", "A. Author")
    assert credit.plain == ("org/data, b", "mit (A. Author)")
    assert Credit("words", "as the teacher's").plain == ("words", "as the teacher's")
