"""What several tests of distillation start from."""

from __future__ import annotations

import pytest

from babelpress.teacher import read_teacher
from tests.distillation import make_student, make_texts, write_corpus
from tests.distillation.examples import HELD_OUT, TEXTS, use_small_shards


@pytest.fixture(scope="module")
def teacher(tiny_teacher):
    return read_teacher(str(tiny_teacher))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("text") / "corpus", train=TEXTS, validation=HELD_OUT)


@pytest.fixture
def small_shards(monkeypatch):
    use_small_shards(monkeypatch)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return make_student(tmp_path_factory.mktemp("student") / "s")


@pytest.fixture(scope="module")
def texts():
    return make_texts()
