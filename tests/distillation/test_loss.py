"""The loss against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from babelpress.distillation.loss import distillation_loss
from babelpress.recipe import LossSection


def loss(student, teacher, **weights):
    return distillation_loss(torch.tensor(student), torch.tensor(teacher), LossSection(**weights))


def test_hand_numbers_of_a_right_angle():
    # (1,0) to (0,1): squared distance 2, cosine 0; 2 * 1 + 0.5 * 1 = 2.5
    parts = loss([[1.0, 0.0]], [[0.0, 1.0]], mse=1.0, cosine=0.5)
    assert (parts.mse.item(), parts.cosine.item(), parts.total.item()) == pytest.approx((2.0, 1.0, 2.5))


def test_hand_numbers_of_sixty_degrees():
    # cosine 1/2: squared distance 2 - 2 * 1/2 = 1; 3 * 1 + 4 * 1/2 = 5
    parts = loss([[1.0, 0.0]], [[0.5, math.sqrt(0.75)]], mse=3.0, cosine=4.0)
    assert (parts.mse.item(), parts.cosine.item(), parts.total.item()) == pytest.approx((1.0, 0.5, 5.0))


def test_a_batch_is_the_mean_over_its_sentences():
    # opposite (4), equal (0): mean squared distance 2, mean 1 - cosine 1
    parts = loss([[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, 1.0]], mse=1.0, cosine=1.0)
    assert (parts.mse.item(), parts.cosine.item()) == pytest.approx((2.0, 1.0))


@given(seed=st.integers(0, 10_000), dimensions=st.integers(2, 64))
@settings(max_examples=40, deadline=None)
def test_the_summed_mse_is_twice_the_cosine_loss_on_unit_vectors(seed, dimensions):
    draw = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(5, dimensions, generator=draw), torch.randn(5, dimensions, generator=draw)
    parts = distillation_loss(student, teacher, LossSection(mse=1.0, cosine=1.0))
    assert parts.mse.item() == pytest.approx(2 * parts.cosine.item(), rel=1e-4, abs=1e-6)


def test_the_mean_mse_is_the_sum_over_the_dimensions():
    student, teacher = torch.randn(4, 384), torch.randn(4, 384)
    summed = distillation_loss(student, teacher, LossSection(mse=1.0, mse_reduction="sum", cosine=0.0))
    mean = distillation_loss(student, teacher, LossSection(mse=1.0, mse_reduction="mean", cosine=0.0))
    assert mean.total.item() == pytest.approx(summed.total.item() / 384, rel=1e-5)


def test_the_mean_mse_is_torchs_own_mse_loss():
    student = torch.nn.functional.normalize(torch.randn(4, 384), dim=1)
    teacher = torch.nn.functional.normalize(torch.randn(4, 384), dim=1)
    parts = distillation_loss(student, teacher, LossSection(mse=1.0, mse_reduction="mean", cosine=0.0))
    assert parts.total.item() == pytest.approx(torch.nn.functional.mse_loss(student, teacher).item(), rel=1e-4)


def test_a_student_that_is_not_normalised_is_not_compared_with_one_that_is():
    parts = loss([[300.0, 400.0]], [[0.6, 0.8]], mse=1.0, cosine=1.0)
    assert parts.total.item() == pytest.approx(0.0, abs=1e-6)


def test_a_teacher_that_is_not_normalised_is_normalised_too():
    parts = loss([[0.6, 0.8]], [[0.03, 0.04]], mse=1.0, cosine=1.0)
    assert parts.total.item() == pytest.approx(0.0, abs=1e-6)


def test_half_precision_targets_are_compared_in_fp32():
    student = torch.tensor([[0.6, 0.8]])
    parts = distillation_loss(student, torch.tensor([[0.6, 0.8]], dtype=torch.float16), LossSection())
    assert parts.total.dtype == torch.float32
    assert parts.total.item() == pytest.approx(0.0, abs=1e-6)


def test_a_zero_embedding_does_not_become_nan():
    parts = loss([[0.0, 0.0]], [[0.6, 0.8]], mse=1.0, cosine=1.0)
    assert parts.total.item() == pytest.approx(2.0)  # squared distance 1, cosine 0


def test_the_gradient_pulls_towards_the_teacher():
    student = torch.tensor([[1.0, 0.0]], requires_grad=True)
    distillation_loss(student, torch.tensor([[0.0, 1.0]]), LossSection(mse=0.0, cosine=1.0)).total.backward()
    # d(1 - cos)/d student = -(t - (t.s)s) = (0, -1)
    assert student.grad.tolist() == [pytest.approx([0.0, -1.0])]


def test_reported_parts_hold_no_graph():
    parts = distillation_loss(torch.randn(2, 4, requires_grad=True), torch.randn(2, 4), LossSection())
    assert parts.total.requires_grad
    assert not parts.mse.requires_grad
    assert not parts.cosine.requires_grad


@pytest.mark.parametrize("weights", [{"mse": -1.0}, {"cosine": -0.1}, {"mse": 0.0, "cosine": 0.0}])
def test_a_weight_that_would_teach_nothing_or_the_opposite_is_refused(weights):
    with pytest.raises(ValidationError):
        LossSection(**weights)
