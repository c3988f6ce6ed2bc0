"""The loss against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from babelpress.distillation.loss import (
    CosineDistance,
    Distance,
    DistillationLoss,
    HiddenMatching,
    ScoreDistribution,
    SimilarityMatching,
    SquaredError,
)
from babelpress.errors import TrainingError
from babelpress.recipe import LossSection, Reduction

NAMES = ("mse", "l2", "cosine", "similarity", "distribution")
TERMS = {
    "mse": SquaredError(), "mse mean": SquaredError(Reduction.MEAN), "l2": Distance(), "cosine": CosineDistance(),
    "similarity": SimilarityMatching(), "distribution": ScoreDistribution(), "hidden": HiddenMatching(),
}  # fmt: skip
EVERYTHING = {"mse": 1.0, "l2": 0.4, "cosine": 0.5, "similarity": 2.0, "distribution": 0.7, "hidden": 0.3}

WEIGHTS = st.floats(0.0, 10.0)
SEEDS = st.integers(0, 10_000)


def only(**weights):
    """Weights of nothing but these."""
    return LossSection(**{"mse": 0.0, "cosine": 0.0, **weights})


def loss(student, teacher, *, mean=None, **weights):
    student, teacher = torch.as_tensor(student), torch.as_tensor(teacher)
    sample = around(mean) if mean is not None else None
    return DistillationLoss(only(**weights), dimensions=student.shape[1], sample=sample)(student, teacher)


def around(mean):
    """Return two unit vectors with this mean."""
    aside = torch.zeros_like(mean)
    aside[0], aside[1] = -mean[1], mean[0]
    aside = torch.nn.functional.normalize(aside, dim=0) * (1 - mean.square().sum()).sqrt()
    return torch.stack([mean + aside, mean - aside])


def at(*degrees):
    """Unit vectors of the plane at these angles."""
    return torch.tensor([[math.cos(math.radians(angle)), math.sin(math.radians(angle))] for angle in degrees])


def random_pair(seed, *shape):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=draw), torch.randn(*shape, generator=draw)


def unit(*shape, seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    return torch.tensor(values / np.linalg.norm(values, axis=-1, keepdims=True), dtype=torch.float32)


# --- squared error and cosine -------------------------------------------------------------------


def test_hand_numbers_of_sixty_degrees():
    # cosine 1/2: squared distance 2 - 2 * 1/2 = 1; 3 * 1 + 4 * 1/2 = 5
    parts = loss(at(0), at(60), mse=3.0, cosine=4.0)
    assert (parts.terms["mse"].item(), parts.terms["cosine"].item()) == pytest.approx((1.0, 0.5))
    assert parts.total.item() == pytest.approx(5.0)


def test_a_batch_is_the_mean_over_its_sentences():
    # opposite (4), equal (0), right angle (2): mean squared distance 2, mean 1 - cosine 1
    parts = loss(at(0, 90, 0), at(180, 90, 90), mse=1.0, cosine=1.0)
    assert (parts.terms["mse"].item(), parts.terms["cosine"].item()) == pytest.approx((2.0, 1.0))


@given(SEEDS, st.integers(2, 64))
@settings(max_examples=40, deadline=None)
def test_the_summed_mse_is_twice_the_cosine_loss_on_unit_vectors(seed, dimensions):
    parts = loss(*random_pair(seed, 5, dimensions), mse=1.0, cosine=1.0)
    assert parts.terms["mse"].item() == pytest.approx(2 * parts.terms["cosine"].item(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("dimensions", [2, 384])
def test_the_mean_mse_is_next_to_nothing_beside_a_cosine_term(dimensions):
    """It is 2 / dimensions of 1 - cosine, which at 384 dimensions no recipe's weights make up for (pitfalls C1)."""
    parts = loss(*random_pair(0, 4, dimensions), mse=1.0, mse_reduction="mean", cosine=1.0)
    assert parts.terms["mse"].item() == pytest.approx(2 / dimensions * parts.terms["cosine"].item(), rel=1e-5)


def test_hand_numbers_of_the_distance_of_a_batch():
    # right angles and equal vectors: the mean of sqrt(2) and 0
    parts = loss([[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]], l2=1.0)
    assert parts.total.item() == pytest.approx(math.sqrt(2) / 2)
    assert parts.terms["l2"].item() == pytest.approx(math.sqrt(2) / 2)


def test_the_mean_mse_is_torchs_own_mse_loss():
    student, teacher = unit(4, 384), unit(4, 384, seed=1)
    parts = loss(student, teacher, mse=1.0, mse_reduction="mean")
    assert parts.total.item() == pytest.approx(torch.nn.functional.mse_loss(student, teacher).item(), rel=1e-4)


# --- similarities of a batch --------------------------------------------------------------------


def test_hand_numbers_of_the_similarities_of_a_batch():
    # cosines of the pairs: student 0, -1, 0; teacher 1/2, -1, -1/2; squared differences 1/4, 0, 1/4, each twice
    assert loss(at(0, 90, 180), at(0, 60, 180), similarity=1.0).total.item() == pytest.approx(1 / 6)


def test_a_sentence_is_not_compared_with_itself():
    """A diagonal of ones on both sides would water the mean down, the more so the smaller the batch."""
    # the only pair: cosine 0 against 1/2, squared 1/4; with the diagonal it would be 1/8
    assert loss(at(0, 90), at(0, 60), similarity=1.0).total.item() == pytest.approx(1 / 4)
    # and embeddings that are not of unit length are not seen on the diagonal
    assert SimilarityMatching()(3 * at(0, 90), at(10, 100)).item() == pytest.approx(0.0, abs=1e-6)


def test_a_turned_student_has_the_teachers_similarities_though_not_its_embeddings():
    parts = loss(at(0, 50, 200, 300), at(90, 140, 290, 30), similarity=1.0, distribution=1.0, cosine=1.0)
    assert parts.terms["similarity"].item() == pytest.approx(0.0, abs=1e-6)
    assert parts.terms["distribution"].item() == pytest.approx(0.0, abs=1e-6)
    assert parts.terms["cosine"].item() == pytest.approx(1.0)


def divergence(wanted, own, temperature):
    """KL divergence of one sentence's candidates, of two lists of cosines."""
    shares = []
    for cosines in (wanted, own):
        exponentials = [math.exp(cosine / temperature) for cosine in cosines]
        shares.append([value / sum(exponentials) for value in exponentials])
    return sum(p * math.log(p / q) for p, q in zip(*shares, strict=True))


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0.1])
def test_hand_numbers_of_the_divergence_of_a_batch(temperature):
    # each of three sentences has the other two as candidates; cosines as in the test of similarities
    wanted, own = [[0.5, -1.0], [0.5, -0.5], [-1.0, -0.5]], [[0.0, -1.0], [0.0, 0.0], [-1.0, 0.0]]
    expected = sum(divergence(*pair, temperature) for pair in zip(wanted, own, strict=True)) / 3
    found = loss(at(0, 90, 180), at(0, 60, 180), distribution=1.0, temperature=temperature)
    assert found.total.item() == pytest.approx(expected, rel=1e-5)


def test_the_divergence_is_of_the_student_from_the_teacher_not_the_other_way():
    pair = at(0, 90, 180), at(0, 60, 180)
    there, back = (ScoreDistribution(0.1)(*each).item() for each in (pair, pair[::-1]))
    assert there != pytest.approx(back, rel=0.05)


def test_a_low_temperature_sharpens_the_comparison():
    pair = unit(6, 8), unit(6, 8, seed=1)
    values = [ScoreDistribution(temperature)(*pair).item() for temperature in (2.0, 0.5, 0.05)]
    assert values == sorted(values)
    assert values[2] > 10 * values[1] > 100 * values[0]


@pytest.mark.parametrize(("rows", "silent"), [(1, NAMES[3:]), (2, NAMES[4:]), (3, ())])
def test_a_batch_too_small_to_have_others_in_it_counts_as_0(rows, silent):
    parts = loss(unit(rows, 5), unit(rows, 5, seed=1), **EVERYTHING)
    assert {name for name, value in parts.terms.items() if value.item() == 0.0} == set(silent)


# --- hidden states ------------------------------------------------------------------------------


def test_hand_numbers_of_hidden_states():
    """Lengths do not count; the mean is over sentences and layers."""
    # angles 0, 60, 90, 180 between the two: squared distances 0, 1, 2, 4
    student = (3 * at(0, 0, 0, 0)).view(2, 2, 2)
    teacher = (0.2 * at(0, 60, 90, 180)).view(2, 2, 2)
    assert HiddenMatching()(student, teacher).item() == pytest.approx(7 / 4)


def test_hidden_states_enter_the_sum_with_their_weight():
    states = at(0, 0).view(2, 1, 2), at(60, 90).view(2, 1, 2)  # 1 and 2
    section = only(cosine=2.0, hidden=3.0)
    parts = DistillationLoss(section, dimensions=2)(at(0, 0), at(60, 60), states)
    assert parts.terms["hidden"].item() == pytest.approx(1.5)
    assert parts.total.item() == pytest.approx(2.0 * 0.5 + 3.0 * 1.5)
    assert set(DistillationLoss(section, dimensions=2)(at(0, 0), at(60, 60)).terms) == {"cosine"}
    unasked = DistillationLoss(only(cosine=2.0), dimensions=2)(at(0, 0), at(60, 60), states)
    assert set(unasked.terms) == {"cosine"}
    assert unasked.total.item() == pytest.approx(1.0)


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TERMS)
def test_a_student_that_is_the_teacher_costs_nothing(name):
    teacher = unit(6, 4, 8) if name == "hidden" else unit(6, 8)
    assert TERMS[name](teacher, teacher).item() == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", TERMS)
@given(SEEDS, st.integers(1, 7), st.floats(0.0, 1.0))
@settings(max_examples=30, deadline=None)
def test_no_term_rewards_anything(name, seed, rows, blend):
    """From far away to next to the teacher."""
    own, wanted = unit(rows, 3, seed=seed), unit(rows, 3, seed=seed + 1)
    own = torch.nn.functional.normalize(blend * wanted + (1 - blend) * own, dim=1)
    assert TERMS[name](own, wanted).item() >= -1e-6


@given(
    seed=SEEDS, rows=st.integers(1, 6), mse=WEIGHTS, l2=WEIGHTS, cosine=WEIGHTS, similarity=WEIGHTS,
    distribution=st.floats(0.1, 10.0), hidden=WEIGHTS, centre=st.booleans(),
    matryoshka=st.sampled_from([(), (2,), (5, 3)]),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_the_total_is_the_weighted_sum_of_its_terms(seed, rows, centre, matryoshka, **weights):
    states = random_pair(seed, rows, 2, 4)
    section = LossSection(**weights, centre=centre, matryoshka=matryoshka)
    parts = DistillationLoss(section, dimensions=8, sample=around(unit(8) * 0.3))(*random_pair(seed, rows, 8), states)
    expected = weights["hidden"] * parts.terms["hidden"].item() if weights["hidden"] else 0.0
    for name in NAMES:
        if weights[name]:
            values = [parts.terms[name], *(parts.terms[f"{name}@{short}"] for short in matryoshka)]
            expected += weights[name] * np.mean([value.item() for value in values])
    assert parts.total.item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    compared = sum(weights[name] > 0 for name in NAMES)
    assert len(parts.terms) == compared * (1 + len(matryoshka)) + (weights["hidden"] > 0)


@pytest.mark.parametrize("name", NAMES)
def test_a_weight_of_0_leaves_a_term_out(name):
    parts = loss(unit(4, 8), unit(4, 8, seed=1), **{**EVERYTHING, name: 0.0})
    assert set(parts.terms) == set(NAMES) - {name}
    assert set(loss(unit(4, 8), unit(4, 8, seed=1), **{name: 1.0}).terms) == {name}


# --- centring and shorter embeddings ------------------------------------------------------------


def test_hand_numbers_of_centred_embeddings():
    """In a narrow cone even two that are opposite in all that tells sentences apart have a cosine above 0."""
    # less the mean (0.8, 0), (0.8, 0.6) is (0, 0.6) and (0.8, -0.6) is (0, -0.6): opposite
    student, teacher, mean = [[0.8, 0.6], [0.8, 0.6]], [[0.8, -0.6], [0.8, 0.6]], torch.tensor([0.8, 0.0])
    assert loss(student, teacher, cosine=1.0, centre=True, mean=mean).total.item() == pytest.approx((2 + 0) / 2)
    assert loss(student, teacher, cosine=1.0, mean=mean).total.item() == pytest.approx((1 - 0.28) / 2)


def test_embeddings_are_normalised_before_and_after_the_mean_is_subtracted():
    mean = torch.tensor([0.3, 0.1])
    # (3, 4) is (0.6, 0.8), less the mean (0.3, 0.7); (0, 2) is (0, 1), less the mean (-0.3, 0.9)
    cosine = (0.3 * -0.3 + 0.7 * 0.9) / math.hypot(0.3, 0.7) / math.hypot(0.3, 0.9)
    found = loss([[3.0, 4.0]], [[0.0, 2.0]], cosine=1.0, centre=True, mean=mean)
    assert found.total.item() == pytest.approx(1 - cosine, rel=1e-5)


def test_hand_numbers_of_shorter_embeddings():
    # cosines: of the whole 0.6 * 0.6; of the first two, (0.6, 0) and (0.6, 0.8), 0.6; of the first alone 1
    student, teacher = [[0.6, 0.0, 0.8]], [[0.6, 0.8, 0.0]]
    parts = loss(student, teacher, cosine=3.0, matryoshka=(2, 1))
    found = [parts.terms[name].item() for name in ("cosine", "cosine@2", "cosine@1")]
    assert found == pytest.approx([0.64, 0.4, 0.0], abs=1e-6)
    assert parts.total.item() == pytest.approx(3.0 * (0.64 + 0.4 + 0.0) / 3)


def test_a_shorter_embedding_as_long_as_the_whole_one_does_not_count_twice():
    # cosines: of the whole -1/2, of the first alone -1
    parts = loss(at(0), at(120), cosine=1.0, matryoshka=(2, 1))
    assert set(parts.terms) == {"cosine", "cosine@1"}
    assert parts.total.item() == pytest.approx((1.5 + 2.0) / 2)


def test_more_dimensions_than_there_are_are_refused_with_both_numbers():
    with pytest.raises(TrainingError, match=r"loss\.matryoshka asks for 17 dimensions, the embeddings have 16"):
        DistillationLoss(LossSection(matryoshka=(8, 17)), dimensions=16)


# --- what would spoil a training ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("student", "teacher"),
    [
        pytest.param(unit(4, 6), unit(4, 6), id="the teacher"),
        pytest.param(torch.zeros(4, 6), unit(4, 6), id="zero"),
        pytest.param(unit(4, 6), torch.zeros(4, 6), id="a teacher of zero"),
        pytest.param(unit(1, 6), unit(1, 6, seed=1), id="a batch of one"),
        pytest.param(torch.zeros(1, 6), torch.zeros(1, 6), id="one zero"),
        pytest.param(unit(2, 6), unit(2, 6, seed=1), id="a batch of two"),
        pytest.param(unit(1, 6).repeat(4, 1), unit(1, 6).repeat(4, 1), id="four equal ones"),
    ],
)
@pytest.mark.parametrize("centre", [False, True])
def test_no_gradient_is_nan_where_a_root_or_a_batch_vanishes(student, teacher, centre):
    own = student.clone().requires_grad_()
    states = student.view(len(student), 2, 3).clone().requires_grad_()
    section = only(**EVERYTHING, centre=centre, matryoshka=(3, 1))
    parts = DistillationLoss(section, dimensions=6, sample=teacher)(own, teacher, (states, teacher.view(-1, 2, 3)))
    parts.total.backward()
    assert math.isfinite(parts.total.item())
    assert own.grad.isfinite().all()
    assert states.grad.isfinite().all()


@pytest.mark.parametrize("rows", [1, 2])
def test_a_batch_too_small_for_a_distribution_can_still_be_trained_on(rows):
    """Where it is the only term, the sum must reach the student, or the backward pass fails."""
    own = unit(rows, 4).requires_grad_()
    DistillationLoss(only(distribution=1.0), dimensions=4)(own, unit(rows, 4, seed=1)).total.backward()
    assert own.grad.tolist() == torch.zeros(rows, 4).tolist()


@pytest.mark.parametrize("scales", [(500.0, 1.0), (1.0, 0.05)])
def test_embeddings_that_are_not_normalised_are_compared_as_if_they_were(scales):
    student, teacher = (scale * unit(5, 4) for scale in scales)
    assert loss(student, teacher, **EVERYTHING).total.item() == pytest.approx(0.0, abs=1e-5)


def test_half_precision_is_compared_in_fp32():
    student, teacher = unit(4, 384), unit(4, 384, seed=1)
    whole = loss(student.bfloat16().float(), teacher.half().float(), **EVERYTHING).total
    half = loss(student.bfloat16(), teacher.half(), **EVERYTHING).total
    assert half.dtype is torch.float32
    assert torch.equal(half, whole)


def test_a_zero_embedding_does_not_become_nan():
    # squared distance 1, cosine 0
    assert loss([[0.0, 0.0]], [[0.6, 0.8]], mse=1.0, cosine=1.0).total.item() == pytest.approx(2.0)


def test_the_gradient_pulls_towards_the_teacher():
    student = torch.tensor([[1.0, 0.0]], requires_grad=True)
    loss(student, torch.tensor([[0.0, 1.0]]), cosine=1.0).total.backward()
    # d(1 - cos)/d student = -(t - (t.s)s) = (0, -1)
    assert student.grad.tolist() == [pytest.approx([0.0, -1.0])]


@pytest.mark.parametrize("name", NAMES)
def test_following_the_gradient_of_a_term_makes_it_smaller(name):
    own, teacher = unit(6, 8).requires_grad_(), unit(6, 8, seed=1)
    before = loss(own, teacher, **{name: 1.0})
    before.total.backward()
    after = loss(own.detach() - 1e-3 * own.grad, teacher, **{name: 1.0})
    assert after.total < before.total


def test_reported_terms_hold_no_graph():
    states = unit(3, 2, 4).requires_grad_(), unit(3, 2, 4, seed=1)
    section = only(**EVERYTHING, matryoshka=(2,))
    parts = DistillationLoss(section, dimensions=4)(unit(3, 4).requires_grad_(), unit(3, 4, seed=1), states)
    assert parts.total.requires_grad
    assert len(parts.terms) == 11
    assert not any(value.requires_grad for value in parts.terms.values())


@pytest.mark.parametrize("weights", [{"mse": -1.0}, {"temperature": 0.0}, {"mse": 0.0, "cosine": 0.0, "hidden": 1.0}])
def test_a_weight_that_would_teach_nothing_or_the_opposite_is_refused(weights):
    with pytest.raises(ValidationError):
        LossSection(**weights)


def test_shorter_embeddings_are_centred_by_their_own_mean():
    """A prefix of the mean is not the mean of the prefixes, which are normalised again."""
    sample = torch.tensor([[0.6, 0.0, 0.8], [0.6, 0.0, -0.8]])  # of the first two dimensions: (1, 0) twice
    section = only(cosine=1.0, centre=True, matryoshka=(2,))
    student, teacher = torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[2.0, 1.0, 0.0]])
    found = DistillationLoss(section, dimensions=3, sample=sample)(student, teacher).terms
    # (0, 1) less (1, 0) is (-1, 1); (2, 1) / sqrt(5) less (1, 0) is (-0.1056, 0.4472)
    one, two = np.array([-1.0, 1.0]), np.array([2 / 5**0.5 - 1, 1 / 5**0.5])
    cosine = one @ two / np.linalg.norm(one) / np.linalg.norm(two)
    assert found["cosine@2"].item() == pytest.approx(1 - cosine, abs=1e-5)


def test_a_length_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match=r"matryoshka: 2, 2 has a length twice"):
        only(cosine=1.0, matryoshka=(2, 2))
