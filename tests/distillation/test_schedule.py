"""The learning rate of each step, and what weight decay may touch."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from babelpress.distillation.schedule import learning_rate, make_optimizer, parameter_groups, set_rate
from tests.distillation import section

MATRICES = {
    "encoder.layer.0.attention.self.query.weight": (4, 4), "encoder.layer.11.output.dense.weight": (4, 8),
    "projection.weight": (6, 4), "hidden_projections.0.weight": (6, 4),
}  # fmt: skip
OTHERS = {
    "embeddings.word_embeddings.weight": (9, 4), "embeddings.position_embeddings.weight": (5, 4),
    "embeddings.token_type_embeddings.weight": (2, 4), "embeddings.LayerNorm.weight": (4,),
    "embeddings.LayerNorm.bias": (4,), "encoder.layer.0.attention.self.query.bias": (4,),
    "encoder.layer.0.output.LayerNorm.weight": (4,), "encoder.layer.0.output.LayerNorm.bias": (4,),
}  # fmt: skip


def rates(steps, *, total, peak=1.0, warmup=0.0):
    return [learning_rate(step, total=total, peak=peak, warmup=warmup) for step in steps]


def parameters():
    """Parameters of all kinds, every value 2."""
    return {name: torch.nn.Parameter(torch.full(shape, 2.0)) for name, shape in (MATRICES | OTHERS).items()}


# --- learning rate ------------------------------------------------------------------------------


def test_the_rate_falls_in_half_a_cosine():
    # peak * (1 + cos(pi * step / 4)) / 2 of 4 steps
    found = rates(range(5), total=4, peak=2.0)
    assert found == pytest.approx([2.0, 1 + math.sqrt(0.5), 1.0, 1 - math.sqrt(0.5), 0.0])


def test_the_rate_rises_in_a_line_first():
    # 4 of 12 steps rise; the other 8 are half a cosine, of which 45 and 90 degrees are after 2 and 4 steps
    found = rates(range(12), total=12, peak=2.0, warmup=1 / 3)
    assert found[:5] == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0])
    assert (found[6], found[8]) == pytest.approx((1 + math.sqrt(0.5), 1.0))


def test_a_warm_up_of_less_than_a_step_is_none():
    assert rates(range(9), total=9, warmup=0.1) == rates(range(9), total=9)


def test_a_training_of_one_step_is_at_the_peak():
    assert rates([0], total=1, peak=3e-4) == [3e-4]
    assert rates([0], total=1, peak=3e-4, warmup=0.9) == [3e-4]


@given(st.integers(1, 100_000), st.floats(0.0, 1.0, exclude_max=True), st.data())
@settings(max_examples=200, deadline=None)
def test_the_rate_is_never_zero_or_negative_inside_a_training(total, warmup, data):
    """The last step counts as well; a rate of 0 would waste it."""
    steps = [0, total - 1, data.draw(st.integers(0, total - 1))]
    assert all(0 < rate <= 1 for rate in rates(steps, total=total, warmup=warmup))


@given(st.integers(1, 300), st.floats(0.0, 1.0, exclude_max=True))
@settings(max_examples=60, deadline=None)
def test_the_rate_rises_to_the_peak_once_and_only_falls_afterwards(total, warmup):
    found = rates(range(total), total=total, peak=0.5, warmup=warmup)
    top = found.index(max(found))
    assert max(found) == 0.5
    assert found == [*sorted(found[:top]), *sorted(found[top:], reverse=True)]


def test_cycles_start_again_at_the_peak_and_end_at_the_final_rate():
    # two halves of a cosine of 4 steps each, from 2 to a quarter of it: 0.5 + 1.5 * (1 + cos(pi * step / 4)) / 2
    high, low = 0.5 + 0.75 * (1 + math.sqrt(0.5)), 0.5 + 0.75 * (1 - math.sqrt(0.5))
    found = [learning_rate(step, total=8, peak=2.0, warmup=0.0, cycles=2, final=0.25) for step in range(9)]
    assert found == pytest.approx([2.0, high, 1.25, low, 2.0, high, 1.25, low, 0.5])


def test_a_warm_up_comes_once_before_the_first_cycle():
    found = [learning_rate(step, total=10, peak=1.0, warmup=0.2, cycles=2) for step in range(10)]
    assert found[:3] == pytest.approx([0.5, 1.0, 1.0])
    assert found[6] == 1.0
    assert found.count(1.0) == 3


# --- weight decay -------------------------------------------------------------------------------


def test_matrices_are_decayed_norms_biases_and_embeddings_are_not():
    every = parameters()
    names = {id(value): name for name, value in every.items()}
    decayed, *others = parameter_groups(every, embeddings=("embeddings.",), weight_decay=0.3)
    assert [group["weight_decay"] for group in (decayed, *others)] == [0.3, 0.0, 0.0]
    assert {names[id(value)] for value in decayed["params"]} == set(MATRICES)
    assert {names[id(value)] for group in others for value in group["params"]} == set(OTHERS)
    assert sum(len(group["params"]) for group in (decayed, *others)) == len(every)


def test_embeddings_have_a_rate_of_their_own():
    every = parameters()
    optimizer = make_optimizer(every, section(weight_decay=0.0, embedding_rate=3.0), embeddings=("embeddings.",))
    set_rate(optimizer, 0.125)
    for value in every.values():
        value.grad = torch.ones_like(value)
    optimizer.step()
    # Adam's first step is as long as the rate
    for name, value in every.items():
        moved = 0.375 if name.startswith("embeddings.") else 0.125
        assert torch.allclose(value, torch.full_like(value, 2.0 - moved), atol=1e-5), name


def test_an_embedding_rate_of_0_leaves_the_embeddings_as_they_are():
    every = parameters()
    optimizer = make_optimizer(every, section(embedding_rate=0.0), embeddings=("embeddings.",))
    set_rate(optimizer, 0.5)
    for value in every.values():
        value.grad = torch.ones_like(value)
    optimizer.step()
    assert all(torch.equal(every[name], torch.full_like(every[name], 2.0)) for name in OTHERS if "embeddings" in name)


def test_a_step_without_gradients_shrinks_the_matrices_alone():
    """Rows of pieces that no batch holds have no gradient; decay would pull them towards 0 all the same."""
    every = parameters()
    optimizer = make_optimizer(every, section(learning_rate=0.5, weight_decay=0.1), embeddings=("embeddings.",))
    for value in every.values():
        value.grad = torch.zeros_like(value)
    optimizer.step()
    # AdamW: value * (1 - rate * decay)
    for name, value in every.items():
        assert torch.allclose(value, torch.full_like(value, 1.9 if name in MATRICES else 2.0)), name


def test_the_first_step_is_as_long_as_the_rate_whatever_the_gradient():
    """Adam's first step is the gradient's sign times the rate."""
    every = parameters()
    optimizer = make_optimizer(every, section(learning_rate=0.25, weight_decay=0.0), embeddings=("embeddings.",))
    for number, value in enumerate(every.values(), start=1):
        value.grad = torch.full_like(value, (-10.0) ** (number - 4))
    optimizer.step()
    for number, value in enumerate(every.values(), start=1):
        assert torch.allclose(value, torch.full_like(value, 2.0 - (-1) ** number * 0.25), atol=1e-4)


def test_the_rate_of_every_group_can_be_set_from_outside():
    optimizer = make_optimizer(parameters(), section(learning_rate=0.5), embeddings=("embeddings.",))
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.5, 0.5]
    set_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25, 0.25, 0.25]
