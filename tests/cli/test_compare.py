"""compare and suites on the command line."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from babelpress.errors import BabelpressError
from tests.cli import assert_one_line

BOTH = ("published:multilingual-e5-small", "published:me5s_compressed_v3_distilled")


def test_suites_are_listed_in_80_columns_and_as_json(call):
    ended = call("suites")
    assert (ended.code, ended.err) == (0, "")
    assert "retrieval-lite" in ended.out
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    facts = json.loads(call("suites", "--json").out)
    assert len(facts["me5s"]["groups"]["STS"]) == 10
    assert facts["offline"] == {
        "description": facts["offline"]["description"], "languages": None, "bundled": True, "groups": {},
    }  # fmt: skip


def test_published_models_are_compared_in_80_columns_without_any_download(call):
    ended = call("compare", *BOTH)
    assert (ended.code, ended.err) == (0, "")
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    assert all(part in ended.out for part in ("STS22.v2", "multilingual-e5-small (published; the measure)", "B, %"))


def test_a_comparison_as_the_card_counts_gives_its_means(call):
    facts = json.loads(call("compare", *BOTH, "--subsets", "all", "--json").out)
    assert [round(cell["score"], 1) for cell in facts["overall"]["cells"]] == [63.9, 54.5]
    assert round(facts["overall"]["cells"][1]["kept"], 2) == 0.85


@pytest.mark.parametrize(("form", "start"), [("markdown", "# multilingual-e5-small"), ("csv", "table,"), ("json", "{")])
def test_a_comparison_in_a_form_is_all_of_stdout(call, form, start):
    ended = call("compare", *BOTH, "--format", form, "--suite", "quick")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(start)
    assert ended.out.endswith("\n")


def test_a_comparison_is_written_by_the_ending_of_its_file_and_drawn(call, tmp_path):
    for name, start in (("a.md", "# multi"), ("a.csv", "table,"), ("a.json", "{")):
        ended = call("compare", *BOTH, "-o", str(tmp_path / name), "--plot", str(tmp_path / "a.png"), "--quiet")
        assert (ended.code, ended.out, ended.err) == (0, "", "")
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_a_comparison_is_drawn_against_size(call, tmp_path, ending, start):
    ended = call("compare", *BOTH, "--pareto", str(tmp_path / f"a.{ending}"), "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == [f"a.{ending}"]
    assert (tmp_path / f"a.{ending}").read_bytes().startswith(start)


def test_models_of_unknown_size_are_not_drawn_and_no_file_is_written(call, tmp_path):
    both = ("published:me5s_compressed", "published:me5s_compressed_distilled")
    ended = call("compare", *both, "--pareto", str(tmp_path / "a.png"), "-o", str(tmp_path / "a.md"))
    assert_one_line(ended, "nobody tells how many parameters these have: me5s_compressed, me5s_compressed_distilled")
    assert list(tmp_path.iterdir()) == []


def test_json_on_stdout_does_not_change_what_the_file_holds(call, tmp_path):
    ended = call("compare", *BOTH, "-o", str(tmp_path / "a.md"), "--json")
    assert json.loads(ended.out)["models"] == [name.removeprefix("published:") for name in BOTH]
    assert (tmp_path / "a.md").read_text(encoding="utf-8").startswith("# multi")


def test_a_finished_run_is_compared_with_its_own_teacher(call, whole):
    facts = json.loads(call("compare", f"{whole[0]}:teacher", str(whole[0]), "--json").out)
    results = json.loads((whole[0] / "results.json").read_text())
    student = results["models"]["distilled"]
    assert facts["overall"]["cells"][1]["score"] == pytest.approx(student["average"])
    assert facts["overall"]["cells"][1]["kept"] == pytest.approx(student["retention"])


def test_a_prompt_keeps_its_blanks_and_may_hold_an_equals_sign(call, monkeypatch):
    from babelpress import api

    given = {}

    def compare(models, **named):
        given.update(named)
        raise BabelpressError("enough")

    monkeypatch.setattr(api, "compare", compare)
    call("compare", *BOTH, "--prompt", "query=query: ", "--prompt", "STS=a=b", "--batch-size", "7")
    assert (given["prompts"], given["batch_size"]) == ({"query": "query: ", "STS": "a=b"}, 7)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("published:multilingual-e5-smal",), "did you mean multilingual-e5-small"),
        (("nowhere",), "neither a model folder"),
        (("--suite", "me5"), "did you mean me5s"),
        (("--against", "other"), "is none of the models"),
        (("--format", "xml"), "--format 'xml' is not known; there are: table, markdown, csv, json"),
        (("--subsets", "some"), "--subsets 'some' is not known; there are: common, all"),
        (("--plot", "a.pdf"), "--plot a.pdf: its name must end in .png or .svg"),
        (("--pareto", "a.pdf"), "--pareto a.pdf: its name must end in .png or .svg"),
        (("--output", "a.txt"), "must end in .md, .csv, .json, or give --format"),
        (("--tasks", "Tatoeba"), "has none of Tatoeba"),
        (("--data-dir", "gone"), "--data-dir gone is not a folder"),
        (("--prompt", "query"), "--prompt 'query' is not NAME=TEXT"),
        (("--prompt", "query=a", "--prompt", "query=b"), "--prompt query is given twice"),
        (("--batch-size", "0"), "--batch-size is 0; it must be 1 or more"),
    ],
)
def test_a_comparison_that_cannot_be_is_one_line_and_no_file(call, tmp_path, monkeypatch, arguments, part):
    monkeypatch.chdir(tmp_path)
    assert_one_line(call("compare", *BOTH, *arguments), part)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_suite_of_a_recipe_is_one_line(call, recipe):
    assert_one_line(call("press", str(recipe), "--set", "evaluation.suite=quik"), "did you mean quick")
