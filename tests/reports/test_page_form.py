"""What the page of a run is: safe, whole, readable, made of what lies beside it."""

from __future__ import annotations

import dataclasses
from itertools import pairwise

import pytest

from babelpress.evaluation.fidelity.bundled import BITEXT
from babelpress.recipe import Recipe
from babelpress.reports.page.facts import target_bytes, without_paths
from babelpress.reports.page.origin import command
from babelpress.reports.page.page import render_page
from babelpress.reports.page.pictures import Picture, find_interactive, find_pictures
from babelpress.schema.results import Score
from babelpress.student.layers import LayerPlan
from babelpress.utils.files import write_json
from tests.reports.figures import make_recipe, make_vocabulary
from tests.reports.html import Element, table_rows
from tests.reports.page_figures import PNG, SVG, make_facts, read_page, with_models

# --- safety -------------------------------------------------------------------------------------

EVIL = "<script>alert('&\"')</script>"


def test_what_others_wrote_is_text_and_no_markup(tiny_teacher):
    recipe = make_recipe().model_copy(update={"description": f"description {EVIL}"})
    recipe = recipe.model_copy(
        update={"card": recipe.card.model_copy(update={"notes": EVIL, "title": f"title {EVIL}"})}
    )
    facts = make_facts(tiny_teacher, recipe=recipe)
    models = {
        name: model.model_copy(
            update={"scores": {**model.scores, EVIL: Score(kind=EVIL, score=1.0, subsets={EVIL: 1.0, "b": 1.0})}}
        )
        for name, model in facts.results.models.items()
    }
    corpus = {**facts.results.corpus, "sources": {EVIL: 5}, "dropped": {EVIL: 6}, "languages": {"ko": 1}}
    missing, versions = {f"gone {EVIL}": EVIL}, {**facts.results.versions, EVIL: EVIL}
    results = with_models(facts, models, corpus=corpus, missing=missing, versions=versions)
    shown = read_page(
        dataclasses.replace(
            facts, results=results, interactive=f"{EVIL}.html", layers=LayerPlan((0,), 1, EVIL),
            teacher=dataclasses.replace(facts.teacher, name=EVIL, licence=EVIL, revision=EVIL),
        )
    )  # fmt: skip
    assert not shown.all("script")
    assert not any(name.startswith("on") for element in shown.walk() for name in element.attributes)
    assert shown.text.count(EVIL) > 12
    assert EVIL in shown.by_id("limits").text
    assert shown.all("h1")[0].text == f"title {EVIL}"


def test_nothing_is_loaded_from_anywhere(full_page, tiny_teacher):
    assert not full_page.all("script", "link", "iframe", "object", "embed", "base", "form")
    addresses = [
        element.attributes[name]
        for element in full_page.walk()
        for name in ("src", "srcset", "poster", "data", "action", "xlink:href")
        if name in element.attributes
    ]
    assert len(addresses) == 2
    assert all(address.startswith(("data:image/png;base64,", "data:image/svg+xml;base64,")) for address in addresses)
    (style,) = full_page.all("style")
    assert "url(" not in "".join(map(str, style.children))
    assert "@import" not in "".join(map(str, style.children))


def test_no_path_of_this_machine_is_on_the_page(tiny_teacher):
    recipe = make_recipe("teacher.model=/home/me/model", "corpus.sources.0.paths=['/srv/secret/a b.txt', 'c/*.txt']")
    text = render_page(make_facts(tiny_teacher, recipe=recipe))
    assert "/srv" not in text
    assert "/home" not in text
    assert str(tiny_teacher.parent) not in text
    assert all(part in read_page(make_facts(tiny_teacher, recipe=recipe)).by_id("recipe").text for part in
               ("…/model", "…/a b.txt", "c/*.txt"))  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/a/b.txt", "…/b.txt"), ("~/b", "…/b"), ("C:\\a\\b.txt", "…/b.txt"), ("a/b.txt", "a/b.txt"),
        ("org/name", "org/name"), ("query: ", "query: "), ("", ""), ("first\n/second", "first\n/second"),
    ],
)  # fmt: skip
def test_absolute_paths_are_their_last_part(text, shown):
    assert without_paths({"a": [text, 3, None]}) == {"a": [shown, 3, None]}


def test_the_whole_recipe_can_be_read_again(tiny_teacher):
    recipe = make_recipe("corpus.sources.0.paths=[a.txt]")
    shown = read_page(make_facts(tiny_teacher, recipe=recipe)).by_id("recipe")
    (text,) = ["".join(map(str, code.children)) for code in shown.all("code")]
    assert Recipe.parse(text) == recipe


# --- form ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["full_page", "plain_page"])
def either(request, full_page, plain_page) -> Element:
    return full_page if request.param == "full_page" else plain_page


def test_ids_are_given_once_and_every_link_inside_leads_to_one(either):
    ids = [element.attributes["id"] for element in either.walk() if "id" in element.attributes]
    assert len(set(ids)) == len(ids)
    targets = [a.attributes["href"] for a in either.all("a") if a.attributes["href"].startswith("#")]
    labels = [
        element.attributes["aria-labelledby"] for element in either.walk() if "aria-labelledby" in element.attributes
    ]
    assert len(targets) > 30
    assert {target.removeprefix("#") for target in targets} | set(labels) <= set(ids)


def test_links_outside_are_to_the_hub_to_a_paper_and_to_the_picture_beside(full_page):
    outside = {a.attributes["href"] for a in full_page.all("a") if not a.attributes["href"].startswith("#")}
    assert outside == {
        "https://huggingface.co/intfloat/multilingual-e5-small", "https://arxiv.org/abs/2005.10242", "umap/umap.html",
    }  # fmt: skip


def test_headings_go_down_one_level_at_a_time(either):
    levels = [int(heading.tag[1]) for heading in either.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_have_captions_and_their_headings_a_scope(either):
    assert len(either.all("table")) > 10
    for table in either.all("table"):
        assert table.all("caption")[0].text
        assert all(cell.attributes.get("scope") in {"col", "row", "colgroup"} for cell in table.all("th"))
        widths = {
            sum(int(cell.attributes.get("colspan", 1)) for cell in row.all("th", "td")) for row in table.all("tr")
        }
        assert len(widths) == 1, table.attributes["id"]


def test_pictures_say_what_they_show_and_how_to_read_them(full_page):
    assert all(len(image.attributes["alt"]) > 20 for image in full_page.all("img"))
    drawings = [svg for svg in full_page.all("svg") if svg.attributes.get("aria-hidden") != "true"]
    assert all(svg.attributes["role"] == "img" and svg.attributes["aria-label"] for svg in drawings)
    figures = full_page.by_id("pictures").all("figure")
    assert len(figures) == 2
    assert all(len(figure.all("figcaption")[0].text) > 60 for figure in figures)


def test_the_page_says_its_language_and_its_width(full_page):
    assert full_page.all("html")[0].attributes["lang"] == "en"
    viewport = [meta for meta in full_page.all("meta") if meta.attributes.get("name") == "viewport"]
    assert "width=device-width" in viewport[0].attributes["content"]
    assert full_page.all("title")


def test_the_page_is_the_same_every_time(tiny_teacher):
    assert render_page(make_facts(tiny_teacher)) == render_page(make_facts(tiny_teacher))


# --- what lies beside ---------------------------------------------------------------------------


def test_the_languages_picture_is_told_with_scores_and_without_and_who_distilled_is(tiny_teacher):
    shown = read_page(make_facts(tiny_teacher, pictures=(Picture("languages", PNG, "image/png", "pictures"),)))
    said = shown.by_id("pictures").text
    assert "left of the teacher's dot the student's lies" in said
    assert "the teacher's own is 1 and not drawn" in said
    assert said.count('"distilled" is the student') == 1


def test_of_a_picture_in_two_forms_the_smaller_file_is_taken(tmp_path):
    for name, data in {
        "umap/umap.png": PNG, "umap/umap.svg": SVG + b" " * 999, "umap/other.png": PNG, "pictures/loss.svg": SVG,
        "student/umap.svg": SVG,
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    found = find_pictures(tmp_path)
    assert [(one.name, one.kind, one.stage) for one in found] == [
        ("umap", "image/png", "umap"), ("loss", "image/svg+xml", "pictures"),
    ]  # fmt: skip
    assert found[0].data == PNG


def test_the_picture_to_explore_is_linked_where_it_is(tmp_path):
    assert find_interactive(tmp_path) is None
    (tmp_path / "umap").mkdir()
    (tmp_path / "umap" / "umap.html").touch()
    assert find_interactive(tmp_path) == "umap/umap.html"


def test_targets_are_counted_in_the_cache_and_not_at_all_where_one_is_gone(tmp_path):
    place = tmp_path / "cache" / "targets" / "abc"
    place.mkdir(parents=True)
    write_json(tmp_path / "index.json", {"key": "abc", "rows": {}, "shards": {"a": {}, "b": {}}})
    (place / "a").write_bytes(b"x" * 70)
    assert target_bytes(tmp_path / "index.json", tmp_path / "cache") is None
    (place / "b").write_bytes(b"x" * 7)
    assert target_bytes(tmp_path / "index.json", tmp_path / "cache") == 77
    assert target_bytes(tmp_path / "gone.json", tmp_path / "cache") is None


def test_the_command_is_the_recipes_name_only_where_the_shipped_one_was_run(tiny_teacher):
    demo = Recipe.load("demo")
    for recipe, local, expected in (
        (demo, False, "babelpress run demo"),
        (demo.override(["seed=7"]), False, "babelpress run recipe.yaml"),
        (make_recipe(), True, "babelpress run recipe.yaml --data-dir DIR"),
    ):
        assert command(make_facts(tiny_teacher, recipe=recipe, local_data=local)) == expected


def test_a_vocabulary_without_bytes_says_so(tiny_teacher):
    shown = read_page(make_facts(tiny_teacher, vocabulary=make_vocabulary(byte_pieces=False)))
    assert "no byte piece is new" in shown.by_id("kept").text


def test_a_suites_groups_are_shown_and_the_embedded_sentences_beside(tiny_teacher):
    shown = read_page(make_facts(tiny_teacher, recipe=make_recipe("evaluation.suite=quick")))
    assert [name.split()[0] for name in table_rows(shown, "table-groups")] == [
        "Classification",
        "STS",
        "Bitext",
        "average",
    ]
    assert f"{BITEXT} Bitext" in table_rows(shown, "table-tasks")
