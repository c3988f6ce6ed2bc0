"""Sizes are known before a student exists, and hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from babelpress.architectures.bert import FAMILY
from babelpress.errors import PlanError
from babelpress.recipe import Pooler
from babelpress.student.sizing import Size, estimate_size, rows_within
from babelpress.teacher import Teacher, read_teacher
from tests.student import load, press
from tests.tiny import make_teacher, words


def counted(path: Path) -> tuple[int, int]:
    """Values of all tensors, and without the pooler's."""
    with safe_open(str(path), framework="numpy") as file:
        sizes = {name: file.get_tensor(name).size for name in file.keys()}  # noqa: SIM118 (not a dict)
    return sum(sizes.values()), sum(size for name, size in sizes.items() if not name.startswith("pooler."))


def e5_small(folder: Path) -> Teacher:
    """A teacher's facts with the figures of multilingual-e5-small."""
    return replace(
        read_teacher(str(folder)), layers=12, hidden=384, feed_forward=1536, rows=250_037,
        parameters=117_653_760, parameters_without_pooler=117_505_920,
    )  # fmt: skip


def test_one_layer_by_hand():
    # hidden 2, feed-forward 3: 4 x (2x2 + 2) = 24; 2x3 + 3 = 9; 3x2 + 2 = 8; two LayerNorms of 2 + 2 = 8
    assert FAMILY.layer_parameters(SimpleNamespace(hidden=2, feed_forward=3)) == 24 + 9 + 8 + 8


@pytest.mark.parametrize("kept", [(0,), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("pooler", list(Pooler))
@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta"])
def test_estimated_sizes_are_the_tensors_counted(tmp_path, kept, pooler, model_type):
    teacher = make_teacher(
        tmp_path / "teacher", model_type=model_type, pad_in_config=1, hidden=8, feed_forward=20, positions=40,
        pieces=list(words(1500)),
    )  # fmt: skip
    plan = press(teacher, tmp_path / "student", layers=kept, size=900, pooler=pooler)
    size = estimate_size(read_teacher(str(teacher)), layers=len(kept), rows=plan.rows, pooler=pooler is Pooler.KEEP)
    assert (size.parameters, size.parameters_without_pooler) == counted(tmp_path / "student" / "model.safetensors")


@pytest.mark.parametrize("pooler", list(Pooler))
def test_the_loaded_model_has_as_many_parameters(tmp_path, tiny_teacher, pooler):
    press(tiny_teacher, tmp_path / "student", layers=(0, 2), size=800, pooler=pooler)
    size = estimate_size(read_teacher(str(tiny_teacher)), layers=2, rows=800, pooler=pooler is Pooler.KEEP)
    assert sum(parameter.numel() for parameter in load(tmp_path / "student").parameters()) == size.parameters


def test_a_teacher_without_pooler_gives_a_student_without_one(tmp_path):
    facts = read_teacher(str(make_teacher(tmp_path / "teacher", pooler=False)))
    size = estimate_size(facts, layers=1, rows=300, pooler=True)
    assert size.parameters == size.parameters_without_pooler


def test_the_reference_student_has_its_cards_13_2_million(tiny_teacher):
    facts = e5_small(tiny_teacher)
    size = estimate_size(facts, layers=4, rows=15_424, pooler=True)
    assert (size.parameters, size.parameters_without_pooler) == (13_366_656, 13_218_816)
    assert round(size.mib, 1) == 51.0
    assert round(Size(13_218_816, 13_218_816).mib, 1) == 50.4


def test_the_file_is_the_bytes_and_a_small_header(tmp_path, tiny_teacher):
    press(tiny_teacher, tmp_path / "student", layers=(0, 1, 2), size=800)
    size = estimate_size(read_teacher(str(tiny_teacher)), layers=3, rows=800, pooler=True)
    assert 0 < (tmp_path / "student" / "model.safetensors").stat().st_size - size.weight_bytes < 16_384


# --- a budget in MiB ----------------------------------------------------------------------------


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mib=st.floats(0.05, 500.0), layers=st.integers(1, 3), pooler=st.booleans())
def test_a_budget_in_mib_gives_the_most_rows_that_fit(tiny_teacher, mib, layers, pooler):
    facts = read_teacher(str(tiny_teacher))
    rows = rows_within(facts, mib=mib, layers=layers, pooler=pooler)
    fits = [estimate_size(facts, layers=layers, rows=count, pooler=pooler).weight_bytes for count in (rows, rows + 1)]
    assert fits[0] <= mib * 2**20 < fits[1]


def test_the_reference_students_mib_are_worth_its_rows(tiny_teacher):
    facts = e5_small(tiny_teacher)
    exact = 4 * 13_366_656 / 2**20
    assert rows_within(facts, mib=exact, layers=4, pooler=True) == 15_424
    assert rows_within(facts, mib=exact - 1e-6, layers=4, pooler=True) == 15_423
    assert rows_within(facts, mib=exact, layers=4, pooler=False) == 15_424 + 147_840 // 384


def test_mib_that_the_layers_alone_fill_are_refused_with_what_they_take(tiny_teacher):
    # 4 layers, positions and the pooler: 13,366,656 - 15,424 x 384 = 7,443,840 values, 28.4 MiB
    fault = (
        r"vocabulary\.mib is 28, but 4 layers without any vocabulary take 28\.4 MiB; give more, or keep fewer layers"
    )
    with pytest.raises(PlanError, match=fault):
        rows_within(e5_small(tiny_teacher), mib=28, layers=4, pooler=True)
