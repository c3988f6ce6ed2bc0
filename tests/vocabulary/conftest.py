"""Pressed folders of every family."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from babelpress.recipe import SpecialText, StudentSection
from babelpress.student.build import press_student
from babelpress.student.layers import LayerPlan
from babelpress.teacher import read_teacher
from tests.families import tokenizer_config_of
from tests.tiny import make_teacher
from tests.vocabulary import plan_of, tokenizer_of

Pressed = Callable[..., Path]


@pytest.fixture(scope="session")
def pressed(tmp_path_factory: pytest.TempPathFactory) -> Pressed:
    """From a family's name (and what special text does) to a pressed student of one layer; never written to."""

    @cache
    def teacher(name: str) -> Path:
        config = tokenizer_config_of(name)
        folder = tmp_path_factory.mktemp(name) / "teacher"
        return make_teacher(folder, layers=1, tokenizer=tokenizer_of(name), tokenizer_config=config)

    @cache
    def press(name: str, special_text: SpecialText = SpecialText.AS_TEACHER) -> Path:
        folder = teacher(name).parent / str(special_text)
        folder.mkdir()
        press_student(
            read_teacher(str(teacher(name))), folder, layers=LayerPlan((0,), 1, "test"), vocabulary=plan_of(name),
            settings=StudentSection(), special_text=special_text, seed=0,
        )  # fmt: skip
        return folder

    return press
