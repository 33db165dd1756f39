"""Goals against the formulas that define them."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from brittle.goals import Goal, Rounding, Targeted, Untargeted

LOGITS = torch.tensor(
    [
        [3.0, 1.0, 2.0],
        [1.0, 3.0, 2.0],
        [2.0, 2.0, 0.0],  # a tie: argmax takes the first
        [-1.0, -5.0, 4.0],
    ]
)
LABELS = torch.tensor([0, 0, 1, 2])


def gradient_of(values: Tensor, logits: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(values.sum(), logits)
    return gradient


def test_untargeted() -> None:
    goal = Untargeted(LABELS)
    assert goal.margin(LOGITS).tolist() == [1, -2, 0, 5]
    assert goal.is_met(LOGITS).tolist() == [False, True, True, False]
    assert goal.is_surely_met(LOGITS).tolist() == [False, True, False, False]
    # log((1 - p) / p) = log(sum of the other exponentials) - own logit
    expected = [math.log(math.e + math.e**2) - 3, math.log(math.e**3 + math.e**2) - 1, math.log(math.e**2 + 1) - 2]
    assert goal.loss(LOGITS)[:3].tolist() == pytest.approx(expected, rel=1e-6)


def test_targeted() -> None:
    goal = Targeted(LABELS)
    assert goal.margin(LOGITS).tolist() == [-1, 2, 0, -5]
    assert goal.is_met(LOGITS).tolist() == [True, False, False, True]
    assert goal.is_surely_met(LOGITS).tolist() == [True, False, False, True]
    torch.testing.assert_close(goal.loss(LOGITS), -Untargeted(LABELS).loss(LOGITS))


@pytest.mark.parametrize("make", [Untargeted, Targeted])
def test_margin_is_positive_exactly_until_met(make: type[Untargeted] | type[Targeted]) -> None:
    logits = torch.randn(500, 7, generator=torch.Generator().manual_seed(0))
    goal = make(torch.arange(500) % 7)
    assert torch.equal(goal.margin(logits) < 0, goal.is_met(logits))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_sure_means_beyond_rounding(scale: float) -> None:
    size = max(scale, 1.0)
    goal = Untargeted(torch.tensor([0, 0]))
    logits = torch.tensor([[scale, scale + 2e-6 * size, -scale], [scale, scale + 1e-4 * size, -scale]])
    assert goal.is_met(logits).tolist() == [True, True]
    assert goal.is_surely_met(logits).tolist() == [False, True]


def test_an_offset_of_all_logits_costs_its_own_rounding_and_no_more() -> None:
    goal = Untargeted(torch.zeros(1, dtype=torch.int64))
    near = torch.tensor([[5.0, 5.0 + 1e-3, -5.0]])
    tolerances = [float(goal.tolerance(near + offset)) for offset in (0.0, 10.0, 1e3, 1e6)]
    ulps = [0.0, 0.0, *(2 * float(torch.finfo(torch.float32).eps) * size for size in (1e3, 1e6))]
    assert tolerances == pytest.approx([max(6.7e-5, ulp) for ulp in ulps], rel=0.02)
    assert goal.is_surely_met(near + 1e3)


def test_what_a_network_computes_in_counts_and_the_spread_of_the_original_image() -> None:
    least = torch.tensor([8.0, 0.5])
    rounding = Rounding(share=2**-5, eps=2**-7, least=least)
    goal = Targeted(torch.tensor([0, 0]), rounding)
    logits = torch.tensor([[0.2, 0.0], [0.2, 0.0]])  # two classes near their boundary: the spread there is nothing
    torch.testing.assert_close(goal.tolerance(logits), least * 2**-5)
    assert goal.is_surely_met(logits).tolist() == [False, True]
    assert goal[1:].is_surely_met(logits[1:]).tolist() == [True]
    torch.testing.assert_close(goal.tolerance(logits + 100), torch.full((2,), 2 * 2**-7 * 100.2))


# ---- a class that means: no answer


def test_reject_class_is_neither_left_for_nor_left_behind() -> None:
    goal = Untargeted(LABELS, reject=1)
    assert goal.own(LOGITS).tolist() == [0, 1, 1, 2]  # the last but one's label is the reject class
    assert goal.others(LOGITS).isinf().sum(1).tolist() == [2, 2, 1, 2]
    assert goal.margin(LOGITS).tolist() == [1, 1, 0, 5]
    assert goal.is_met(LOGITS).tolist() == [False, False, True, False]
    p = LOGITS.softmax(1)
    kept = torch.stack([p[0, 0] + p[0, 1], p[1, 0] + p[1, 1], p[2, 1], p[3, 2] + p[3, 1]])
    torch.testing.assert_close(goal.loss(LOGITS), torch.log((1 - kept) / kept))
    assert goal[torch.tensor([1])].reject == 1
    assert torch.equal(Untargeted(LABELS).own(LOGITS), LABELS)


def test_goal_with_a_reject_class_has_a_gradient_everywhere() -> None:
    logits = (50 * LOGITS).requires_grad_()
    for values in (Untargeted(LABELS, reject=1).loss(logits), Untargeted(LABELS, reject=1).margin(logits)):
        gradient = gradient_of(values, logits)
        assert gradient.isfinite().all() and gradient.any(1).all()


@pytest.mark.parametrize("make", [Untargeted, Targeted])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_logits_that_are_not_finite_never_meet_a_goal(
    make: type[Untargeted] | type[Targeted], bad: float, place: int
) -> None:
    for label in range(3):
        logits = torch.tensor([[5.0, 1.0, 3.0]])
        logits[0, place] = bad
        goal = make(torch.tensor([label]))
        assert not goal.is_met(logits).any()
        assert not goal.is_surely_met(logits).any()


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_loss_climbs_in_the_direction_of_cross_entropy(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    logits = (3 * torch.randn(20, classes, generator=generator, dtype=torch.float64)).requires_grad_()
    labels = torch.arange(20) % classes
    entropy = gradient_of(functional.cross_entropy(logits, labels, reduction="none"), logits)
    for goal, sign in ((Untargeted(labels), 1), (Targeted(labels), -1)):
        ours = gradient_of(goal.loss(logits), logits)
        cosine = functional.cosine_similarity(ours, sign * entropy)
        torch.testing.assert_close(cosine, torch.ones_like(cosine))
        # ... by the factor 1 / (1 - p), which is what cross-entropy saturates by
        other = 1 - logits.softmax(1).gather(1, labels.unsqueeze(1))
        torch.testing.assert_close(ours * other, sign * entropy)


@pytest.mark.parametrize("make", [Untargeted, Targeted])
def test_loss_does_not_saturate(make: type[Untargeted] | type[Targeted]) -> None:
    logits = torch.tensor([[100.0, 0.0], [0.0, 100.0]], requires_grad=True)
    labels = torch.tensor([0, 0])
    entropy = gradient_of(functional.cross_entropy(logits, labels, reduction="none"), logits)
    assert float(entropy[0].abs().max()) < 1e-40  # an attack by plain cross-entropy stands still
    sign = 1.0 if make is Untargeted else -1.0
    assert gradient_of(make(labels).loss(logits), logits).tolist() == [[-sign, sign], [-sign, sign]]


@pytest.mark.parametrize("make", [Untargeted, Targeted])
def test_goal_of_some_rows(make: type[Untargeted] | type[Targeted]) -> None:
    goal: Goal = make(LABELS)
    assert len(goal) == 4
    for rows in (torch.tensor([3, 0]), torch.tensor([True, False, False, True]), slice(1, 3), torch.tensor([]).long()):
        part = goal[rows]
        assert type(part) is make
        assert torch.equal(part.labels, LABELS[rows])
        assert torch.equal(part.margin(LOGITS[rows]), goal.margin(LOGITS)[rows])
