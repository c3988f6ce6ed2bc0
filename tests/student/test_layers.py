"""Which layers stay; every expectation is counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babelpress.errors import PlanError
from babelpress.recipe import LayerMethod, LayersSection
from babelpress.student.layers import LayerPlan, block_influence, plan_layers, uniform


def ask(method: LayerMethod, count: int, layers: int = 12, **options) -> tuple[int, ...]:
    return plan_layers(LayersSection(method=method, count=count), layers=layers, **options).kept


def explicit(*keep: int, layers: int = 12) -> LayerPlan:
    return plan_layers(LayersSection(method=LayerMethod.EXPLICIT, keep=keep), layers=layers)


@pytest.mark.parametrize(
    ("method", "count", "kept"),
    [
        (LayerMethod.FIRST, 3, (0, 1, 2)),
        (LayerMethod.LAST, 3, (9, 10, 11)),
        (LayerMethod.ENDS, 4, (0, 1, 10, 11)),
        (LayerMethod.ENDS, 5, (0, 1, 2, 10, 11)),
        (LayerMethod.ENDS, 1, (0,)),
        (LayerMethod.UNIFORM, 4, (0, 4, 7, 11)),  # the reference student: 0, 3.67, 7.33, 11
        (LayerMethod.UNIFORM, 2, (0, 11)),
        (LayerMethod.UNIFORM, 1, (0,)),
        (LayerMethod.UNIFORM, 6, (0, 2, 4, 7, 9, 11)),  # 0, 2.2, 4.4, 6.6, 8.8, 11
    ],
)
def test_each_method_keeps_what_it_says(method, count, kept):
    assert ask(method, count) == kept


@pytest.mark.parametrize("method", [LayerMethod.FIRST, LayerMethod.LAST, LayerMethod.ENDS, LayerMethod.UNIFORM])
def test_all_layers_are_all_layers(method):
    assert ask(method, 12) == tuple(range(12))


@given(st.integers(1, 60), st.data())
def test_uniform_never_doubles_a_layer_and_keeps_both_ends(layers, data):
    count = data.draw(st.integers(1, layers))
    kept = uniform(count, layers)
    assert len(set(kept)) == count
    assert list(kept) == sorted(kept)
    assert kept[0] == 0
    assert count == 1 or kept[-1] == layers - 1


@pytest.mark.parametrize("method", [m for m in LayerMethod if m is not LayerMethod.EXPLICIT])
@pytest.mark.parametrize("count", [0, -1, 13])
def test_none_or_more_than_there_are_is_refused(method, count):
    with pytest.raises(PlanError, match=f"layers.count is {count}; this teacher has 12 layers, so give 1 to 12"):
        ask(method, count)


def test_an_explicit_list_is_kept_in_its_order():
    assert explicit(11, 0, 5).kept == (11, 0, 5)


def test_an_empty_list_is_refused():
    with pytest.raises(PlanError, match=r"layers\.keep is empty"):
        explicit()


@pytest.mark.parametrize("outside", [12, -1])
def test_a_layer_out_of_range_is_named_with_the_range(outside):
    with pytest.raises(PlanError, match=f"names layer {outside}; this teacher has 12, numbered 0 to 11"):
        explicit(0, outside)


def test_a_doubled_layer_is_refused():
    with pytest.raises(PlanError, match="names layer 4 twice"):
        explicit(0, 4, 7, 4)


# layers + 1 = 4 states of two sentences in two dimensions; the angle that each layer turns by:
#   sentence 1:  0° -> 90° -> 90° -> 180°     cosines 0, 1, 0
#   sentence 2:  0° ->  0° -> 60° ->  60°     cosines 1, 0.5, 1
TURNS = np.array(
    [[[2, 0], [1, 0]], [[0, 3], [5, 0]], [[0, 1], [0.5, 0.75**0.5]], [[-7, 0], [1, 3**0.5]]], dtype=np.float32
)


def test_influence_is_one_minus_the_mean_cosine_by_hand():
    np.testing.assert_allclose(block_influence(TURNS), [0.5, 0.25, 0.5], atol=1e-7)


def test_influence_does_not_depend_on_length():
    np.testing.assert_allclose(block_influence(TURNS * 1000), block_influence(TURNS), atol=1e-7)


def test_influence_leaves_its_input_alone():
    before = TURNS.copy()
    block_influence(TURNS)
    np.testing.assert_array_equal(TURNS, before)


def test_a_sentence_that_became_zero_gives_no_nan():
    assert np.isfinite(block_influence(np.zeros((2, 1, 3), dtype=np.float32))).all()


def test_importance_keeps_the_layers_that_turn_most_in_their_order():
    plan = plan_layers(LayersSection(method=LayerMethod.IMPORTANCE, count=2), layers=3, embeddings_by_layer=TURNS)
    assert plan.kept == (0, 2)
    assert plan.influence == pytest.approx((0.5, 0.25, 0.5))


def test_importance_of_one_value_goes_to_the_lower_layer():
    same = np.ones((4, 1, 2), dtype=np.float32)
    assert ask(LayerMethod.IMPORTANCE, 2, layers=3, embeddings_by_layer=same) == (0, 1)


def test_importance_without_measurement_is_refused():
    with pytest.raises(PlanError, match="needs the teacher's embeddings"):
        ask(LayerMethod.IMPORTANCE, 2)


def test_a_plan_comes_back_from_its_file(tmp_path):
    plan = plan_layers(LayersSection(method=LayerMethod.IMPORTANCE, count=2), layers=3, embeddings_by_layer=TURNS)
    plan.save(tmp_path / "plan.json")
    assert LayerPlan.load(tmp_path / "plan.json") == plan
