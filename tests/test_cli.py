"""The command line: one line for an error, JSON alone where JSON is asked for, nothing where nothing is."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from babelpress import progress
from babelpress.api import load_run
from babelpress.cli import main
from babelpress.corpus.bundled import held_out_meanings, load_meanings
from babelpress.errors import BabelpressError
from babelpress.evaluation import speed
from babelpress.evaluation.results import Measures
from babelpress.outputs import write_results
from babelpress.pipeline import STAGES
from babelpress.recipe import Recipe
from tests.distillation import RECIPE, write_recipe
from tests.report.figures import make_speed
from tests.tiny import make_teacher

VERBS = (
    "run", "plan", "press", "distill", "evaluate", "visualize", "card", "report", "check", "compare", "suites",
    "measure", "speed", "push", "export",
)  # fmt: skip
RECIPES = ("list", "show", "init")


@dataclass
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture
def call(capfd, monkeypatch):
    """Run the command line here; what libraries print past Python is caught, too."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    root, ours = logging.getLogger(), logging.getLogger("babelpress")
    before = (root.handlers[:], root.level, ours.level)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["babelpress", *arguments])
        root.handlers[:] = []  # pytest's own, with which basicConfig would do nothing
        capfd.readouterr()
        try:
            main()
            code: int | str | None = 0
        except SystemExit as end:
            code = end.code
        caught = capfd.readouterr()
        return Ended(int(code or 0), caught.out, caught.err)

    yield run
    root.handlers[:], level, own = before
    root.setLevel(level)
    ours.setLevel(own)
    progress.draw_on(None)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, tiny_teacher) -> Path:
    return write_recipe(tmp_path_factory.mktemp("recipe"), tiny_teacher)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """One run's folder for all: each test brings it up as far as it needs."""
    return tmp_path_factory.mktemp("run") / "r"


def assert_one_line(ended: Ended, *parts: str) -> None:
    assert ended.code == 1
    assert ended.out == ""
    assert ended.err.startswith("babelpress: ")
    assert ended.err.count("\n") == 1
    assert "Traceback" not in ended.err
    for part in parts:
        assert part in ended.err


# --- help ---------------------------------------------------------------------------------------


def test_no_arguments_print_help(call):
    ended = call()
    assert "Usage:" in ended.out + ended.err
    assert "Traceback" not in ended.err
    assert all(verb in ended.out + ended.err for verb in (*VERBS, "recipes"))


@pytest.mark.parametrize("words", [*((verb,) for verb in VERBS), *(("recipes", name) for name in RECIPES)])
def test_every_verb_explains_itself_with_an_example(call, words):
    ended = call(*words, "--help")
    assert ended.code == 0
    example = next(line for line in ended.out.splitlines() if "Example:" in line)
    assert "babelpress " + " ".join(words) in example


@pytest.mark.parametrize("words", [(), *((verb,) for verb in VERBS), ("recipes",), *(("recipes", n) for n in RECIPES)])
def test_help_fits_80_columns(call, words):
    ended = call(*words, "--help")
    assert max(map(cell_len, ended.out.splitlines())) <= 80


def test_help_does_not_wait_for_torch():
    script = "import sys; from babelpress.cli import main\ntry: main()\nfinally: print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script, "--help"], capture_output=True, text=True, check=True, env={**os.environ}
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "babelpress.cli" in loaded
    assert not loaded & {"torch", "transformers", "sentence_transformers", "mteb", "pyarrow", "umap"}


def test_an_unknown_verb_is_a_usage_error(call):
    ended = call("distil", "demo")
    assert ended.code == 2
    assert "distil" in ended.err
    assert "Traceback" not in ended.err


# --- errors -------------------------------------------------------------------------------------


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


# --- output -------------------------------------------------------------------------------------


def test_press_json_is_all_of_stdout(call, recipe, folder):
    ended = call("press", str(recipe), "-o", str(folder), "--json")
    facts = json.loads(ended.out)
    assert (ended.code, ended.err) == (0, "")
    assert (facts["folder"], facts["layers"], facts["tokens"]) == (str(folder / "pressed"), 2, 800)


def test_plan_json_is_all_of_stdout_and_agrees_with_press(call, recipe, folder):
    ended = call("plan", str(recipe), "-o", str(folder), "--json")
    assert (ended.code, ended.err) == (0, "")
    facts = json.loads(ended.out)
    pressed = json.loads(call("press", str(recipe), "-o", str(folder), "--json").out)
    assert facts["parameters"] == pressed["parameters"]
    assert facts["rows"] == pressed["tokens"]
    assert facts["target_bytes"] == facts["corpus"]["splits"]["train"] * 16 * 2


def test_quiet_prints_nothing(call, recipe, tmp_path):
    ended = call("press", str(recipe), "-o", str(tmp_path / "run"), "--quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


def test_json_in_other_letters_is_readable(call):
    assert json.loads(call("recipes", "list", "--json").out).keys() >= {"demo", "me5s_v3"}


def test_a_plan_fits_80_columns(call, recipe, folder):
    ended = call("plan", str(recipe), "-o", str(folder))
    assert ended.code == 0
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    assert max(map(cell_len, ended.err.splitlines())) <= 80
    assert all(part in ended.out for part in ("embedding rows", "800", "ko", "hi", "TFLOP"))


def test_the_result_of_press_names_folder_and_size(call, recipe, folder):
    ended = call("press", str(recipe), "-o", str(folder))
    said = " ".join(ended.out.split())
    assert "2 layers, 800 rows" in said
    assert str(folder / "pressed") in ended.out.replace("\n", "")


def test_stages_are_told_on_stderr_so_that_stdout_can_be_piped(call, recipe, tmp_path):
    ended = call("press", str(recipe), "-o", str(tmp_path / "run"))
    assert "pressed: " in ended.err
    assert "corpus: " not in ended.out


def test_a_run_in_a_folder_with_brackets_says_its_name_as_it_is(call, recipe, tmp_path):
    ended = call("press", str(recipe), "-o", str(tmp_path / "[bold]x[/y]"))
    assert ended.code == 0
    assert "[bold]x[/y]" in ended.out.replace("\n", "")


def test_runs_go_to_runs_and_the_recipes_name_unless_told(call, recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call("press", str(recipe), "--quiet").code == 0
    assert (tmp_path / "runs" / "small" / "pressed" / "model.safetensors").is_file()


def test_a_teacher_given_by_option_stands_in_for_the_recipes(call, tmp_path, tiny_teacher):
    path = tmp_path / "named.yaml"
    path.write_text(RECIPE.format(teacher="intfloat/multilingual-e5-small"))
    ended = call("plan", str(path), "-o", str(tmp_path / "run"), "--teacher", str(tiny_teacher), "--json")
    assert json.loads(ended.out)["teacher"]["name"] == "intfloat/multilingual-e5-small"


def test_an_interrupt_is_one_line_and_130(call, recipe, folder, monkeypatch):
    from babelpress import api

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "press", interrupted)
    ended = call("press", str(recipe), "-o", str(folder))
    assert (ended.code, ended.out) == (130, "")
    assert ended.err == "babelpress: stopped; run the same command again to go on from here\n"


def test_a_full_disk_is_one_line_with_the_file(call, recipe, folder, monkeypatch):
    from babelpress import api

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "runs/r/corpus.partial/train.parquet")

    monkeypatch.setattr(api, "press", full)
    assert_one_line(call("press", str(recipe), "-o", str(folder)), "No space left on device: runs/r/corpus.partial")


def test_an_error_of_ours_is_a_bug_with_its_traceback(call, recipe, monkeypatch):
    """Only what is expected becomes one line; a bug must not be hidden."""
    from babelpress import api

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(api, "load_run", broken)
    with pytest.raises(ZeroDivisionError):
        call("press", str(recipe))


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Everything, once, in a process of its own: what a user's terminal would see."""
    target = tmp_path_factory.mktemp("whole") / "r"
    script = "from babelpress.cli import main; main()"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80", "TERM": "dumb"}
    done = subprocess.run(
        [sys.executable, "-c", script, "run", str(recipe), "-o", str(target), "--set", "distillation.epochs=1"],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    return target, done


def test_a_whole_run_ends_well_and_leaves_what_it_promises(whole):
    target, done = whole
    assert done.returncode == 0, done.stderr
    for name in (
        "results.json", "report.html", "student/model.safetensors", "student/README.md", "report/umap.png",
        "report/umap.html", "pictures/loss.png", "pictures/pareto.svg", "recipe.yaml",
    ):  # fmt: skip
        assert (target / name).stat().st_size > 0


def test_the_final_table_fits_80_columns(whole):
    lines = whole[1].stdout.splitlines()
    short = [line for line in lines if str(whole[0]) not in line]
    assert max(map(cell_len, short)) <= 80
    assert any("retention" in line for line in lines)


def test_a_whole_run_says_nothing_of_its_libraries(whole):
    """A line for each stage on stderr, no warning, no bar."""
    lines = [line.strip() for line in whole[1].stderr.splitlines() if line.strip()]
    assert [line.partition(":")[0] for line in lines] == list(STAGES)


def test_a_whole_run_has_the_numbers_of_its_picture_in_its_results(whole):
    models = json.loads((whole[0] / "results.json").read_text())["models"]
    numbers = json.loads((whole[0] / "report" / "parallel.json").read_text())
    assert {name: model["parallel"] for name, model in models.items()} == numbers
    assert [numbers["teacher"][key] for key in ("languages", "sentences")] == [3, 10]
    assert {model["speed"] for model in models.values()} == {None}


def test_numbers_of_another_picture_are_not_taken_for_this_runs(whole, recipe, tmp_path):
    """`evaluate` alone finds a report that an earlier run with other settings, or of another student, left there."""
    shutil.copytree(whole[0], tmp_path / "r")
    run = load_run(str(recipe), output=tmp_path / "r", overrides=["distillation.epochs=1"])
    assert write_results(run).models["teacher"].parallel is not None
    other = ["distillation.epochs=1", "visualization.sentences=11"]
    run = load_run(str(recipe), output=tmp_path / "r", overrides=other)
    assert {model.parallel for model in write_results(run).models.values()} == {None}


@pytest.mark.parametrize(
    ("verb", "key"),
    [("evaluate", "models"), ("visualize", "picture"), ("card", "card"), ("report", "page"), ("run", "models")],
)
def test_json_of_a_finished_run_is_all_of_stdout(call, whole, recipe, verb, key):
    ended = call(verb, str(recipe), "-o", str(whole[0]), "--set", "distillation.epochs=1", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert key in json.loads(ended.out)


# --- compare and suites --------------------------------------------------------------------------

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


# --- measure ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def text_file(tmp_path_factory) -> Path:
    """Ninety texts in three languages."""
    rows = [
        {"text": meaning.texts[code], "language": code}
        for meaning in load_meanings()[:30]
        for code in ("en", "ko", "th")
    ]
    file = tmp_path_factory.mktemp("text") / "mine.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def other_model(tmp_path_factory) -> Path:
    return make_teacher(tmp_path_factory.mktemp("runs") / "mine" / "student", layers=2, seed=3)


def test_models_are_measured_in_80_columns(call, tiny_teacher, other_model, text_file):
    ended = call(
        "measure", str(other_model), str(tiny_teacher), "--teacher", str(tiny_teacher), "--text", str(text_file)
    )
    assert (ended.code, ended.err) == (0, "")
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    parts = ("A  mine-student", "B  tiny-e5", "90 texts", "by language", "by length", "disturbed text", "typos")
    assert all(part in ended.out for part in parts)


def test_measures_as_json_are_all_of_stdout_and_the_picture_is_drawn(
    call, tiny_teacher, other_model, text_file, tmp_path
):
    models = (str(tiny_teacher), str(other_model), "--teacher", str(tiny_teacher))
    ended = call(
        "measure", *models, "--text", str(text_file), "--sample", "60", "--json", "--plot", str(tmp_path / "a.png")
    )
    assert (ended.code, ended.err) == (0, "")
    found = {name: Measures.model_validate(figures) for name, figures in json.loads(ended.out).items()}
    assert list(found) == ["teacher", "tiny-e5", "mine-student"]
    assert found["tiny-e5"].overall.texts == 60
    assert found["tiny-e5"].overall.student_queries == 1
    assert found["mine-student"].overall.cosine < 0.9
    assert {code: near.texts for code, near in found["teacher"].by_language.items()} == {"en": 20, "ko": 20, "th": 20}
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_quiet_measures_say_nothing(call, tiny_teacher, text_file):
    ended = call("measure", str(tiny_teacher), "--teacher", str(tiny_teacher), "--text", str(text_file), "-q")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"student": "nowhere"}, "nowhere is no model folder (it has no modules.json)"),
        ({"student": "."}, ". is no model folder (it has no modules.json)"),
        ({"student": "narrow"}, "narrow has 8 dimensions, the teacher 16"),
        ({"--teacher": "./nowhere"}, "teacher './nowhere' is neither a folder nor a hub id"),
        ({"--teacher": "."}, ". is no model folder"),
        ({"--text": "gone.txt"}, "'gone.txt' matches no file"),
        ({"--text": "empty.txt"}, "empty.txt holds no text"),
        ({"--text": "few.txt"}, "3 different texts are too few to measure; give at least 20"),
        ({"--language": "en,ko"}, "--language names 2 languages"),
        ({"--plot": "a.pdf"}, "must end in .png or .svg"),
    ],
)
def test_what_cannot_be_measured_is_one_line(call, tiny_teacher, text_file, tmp_path, monkeypatch, arguments, part):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("")
    Path("few.txt").write_text("a\nb\nc\n")
    if arguments.get("student") == "narrow":
        make_teacher(Path("narrow"), hidden=8)
    before = sorted(tmp_path.iterdir())
    options = {"student": str(tiny_teacher), "--teacher": str(tiny_teacher), "--text": str(text_file)} | arguments
    student = options.pop("student")
    assert_one_line(call("measure", student, *(word for pair in options.items() for word in pair)), part)
    assert sorted(tmp_path.iterdir()) == before


# --- speed ---------------------------------------------------------------------------------------


@pytest.fixture
def timed(monkeypatch):
    """What the verb hands to the measurement, which is not done; its figures are made up."""
    given = {}

    def measure(folders, texts, *, rounds):
        given.update(folders=folders, texts=texts, rounds=rounds)
        return {name: make_speed(number) for number, name in enumerate(folders, 1)}

    monkeypatch.setattr(speed, "measure_speed", measure)
    return given


def test_models_are_timed_on_embedded_sentences_of_all_languages(call, timed, tiny_teacher):
    ended = call("speed", "embedded", str(tiny_teacher))
    assert (ended.code, ended.err) == (0, "")
    assert list(timed["folders"]) == ["embedded", "tiny-e5"]
    assert all((folder / "modules.json").is_file() for folder in timed["folders"].values())
    assert (len(timed["texts"]), timed["rounds"]) == (256, 5)
    languages = {code for meaning in held_out_meanings() for code, text in meaning.texts.items()
                 if text in set(timed["texts"])}  # fmt: skip
    assert len(languages) == 16


def test_the_speed_table_fits_80_columns_and_has_ratios_to_the_first(call, timed, tiny_teacher):
    ended = call("speed", "embedded", str(tiny_teacher), str(tiny_teacher))
    assert max(map(cell_len, ended.out.splitlines())) <= 80
    lines = [line.split("│") for line in ended.out.splitlines()]
    rows = [[cell.strip() for cell in line] for line in lines if len(line) == 6]
    assert ["tiny-e5 (2)", "1,233", "20.3", "29.4", "3.31", "8,763"] in rows
    # 1,233 / 1,231, 20.3 / 18.3, 29.4 / 27.4, 3.31 / 1.31, 8,763 / 8,761
    assert rows[-1] == ["× first", "1.00", "1.11", "1.07", "2.53", "1.00"]
    assert [line[0] for line in rows].count("× first") == 2


def test_speed_json_is_all_of_stdout(call, timed, tiny_teacher, tmp_path):
    (tmp_path / "mine.txt").write_text("one\ntwo\n\nthree\n", encoding="utf-8")
    ended = call("speed", str(tiny_teacher), "--text", str(tmp_path / "mine.txt"), "--rounds", "2", "--json")
    assert (ended.code, ended.err) == (0, "")
    facts = json.loads(ended.out)
    assert timed["texts"] == ["one", "two", "three"]
    assert (facts["sentences"], facts["rounds"]) == (3, 2)
    assert facts["models"]["tiny-e5"]["batched"] == make_speed(1).batched.model_dump()
    assert facts["machine"]["threads"] >= 1


def test_fewer_sentences_are_taken_evenly_from_a_file(call, timed, tiny_teacher, tmp_path):
    (tmp_path / "mine.txt").write_text("\n".join(map(str, range(10))), encoding="utf-8")
    call("speed", str(tiny_teacher), "--text", str(tmp_path / "mine.txt"), "--sentences", "3")
    assert timed["texts"] == ["0", "3", "6"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("nowhere",), "nowhere is no model folder: it has no modules.json"),
        (("run",), f"did you mean {Path('run') / 'student'}?"),
        (("embedded", "--text", "gone.txt"), "text file gone.txt is missing"),
        (("embedded", "--text", "empty.txt"), "speed cannot be measured with 0 texts; give at least 1"),
    ],
)
def test_a_speed_that_cannot_be_measured_is_one_line(call, tmp_path, monkeypatch, arguments, part):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "student").mkdir(parents=True)
    (tmp_path / "run" / "student" / "modules.json").write_text("[]")
    (tmp_path / "empty.txt").write_text("\n\n")
    assert_one_line(call("speed", *arguments), part)


@pytest.mark.parametrize("option", ["--rounds", "--sentences"])
def test_no_rounds_and_no_sentences_are_usage_errors(call, option):
    ended = call("speed", "embedded", option, "0")
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_an_interrupt_of_a_measurement_is_one_line_and_130(call, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(speed, "measure_speed", interrupted)
    ended = call("speed", "embedded")
    assert (ended.code, ended.out, ended.err) == (130, "", "babelpress: stopped\n")


# --- recipes ------------------------------------------------------------------------------------


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


# --- progress -----------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(progress, "_console", Console(file=stream, force_terminal=True, width=80))
    return stream


def test_a_bar_on_a_terminal_shows_label_count_and_unit(terminal):
    with progress.bar("reading", total=1000, unit="sentences", start=400) as advance:
        advance(100, note="loss 0.5")
    shown = terminal.getvalue()
    assert all(part in shown for part in ("reading", "500/1,000", "loss 0.5"))


def test_a_bar_fits_80_columns(terminal):
    with progress.bar("targets: encoding with the teacher", total=20_000_000, unit="sentences") as advance:
        advance(12_345_678, note="held-out loss 0.1234")
    assert max(Text.from_ansi(line).cell_len for line in terminal.getvalue().splitlines()) <= 80


def test_a_bar_of_unlike_items_shows_no_rate_and_fits_80_columns(terminal):
    with progress.bar("evaluation", total=78, unit="tasks", timed=False) as advance:
        advance(7, note="about 12 min left: AmazonCounterfactualClassification (a model of a long name)")
    text = terminal.getvalue()
    assert "7/78" in text
    assert "about 12 min left" in text
    assert "tasks/s" not in text
    assert max(Text.from_ansi(line).cell_len for line in text.splitlines()) <= 80


def test_a_bar_in_a_pipe_or_a_library_draws_nothing(monkeypatch):
    stream = io.StringIO()
    for console in (None, Console(file=stream)):
        monkeypatch.setattr(progress, "_console", console)
        with progress.bar("reading", total=10) as advance:
            advance()
            advance(3, note="x")
    assert stream.getvalue() == ""


def test_tracking_neither_loses_nor_changes_an_item(terminal):
    assert list(progress.track(range(5), "counting", total=5)) == [0, 1, 2, 3, 4]
    assert "5/5" in terminal.getvalue()
