"""APGD against algorithm 1 written out for one number at a time, and where the strongest perturbation is known."""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, get_args

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import Outcome
from brittle.attacks.budget.aim import Loss
from brittle.attacks.budget.apgd import APGD
from brittle.attacks.budget.apgd_walk import checkpoints
from brittle.errors import BrittleError
from brittle.geometry.norms import L1, L2, LINF, Norm
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.network import Network
from brittle.rng import Rng
from known.affine import Affine, affine_problem

pytestmark = pytest.mark.usefixtures("one_thread")


def run(attack: APGD, net: nn.Module, images: Tensor, goal: Goal, *, seed: int = 0, **options: Any) -> Outcome:
    rng = Rng(seed, tuple(f"image {row}" for row in range(len(images))))
    return attack(Network(net, fast=False, **options), images, goal, rng=rng)


class Recorder(nn.Module):
    """A network of any function of the flattened images, which keeps what it is asked."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.asked: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.asked.append(images.detach().flatten(1).clone())
        return self.function(images.flatten(1))


# ---- algorithm 1


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (100, (0, 22, 41, 57, 70, 80, 87, 93, 99)),  # section 3.2: lengths 22, 19, 16, 13, 10, 7, 6, 6
        (1000, (0, 220, 410, 570, 700, 800, 870, 930, 990)),
        (10, (0, 3, 5, 6, 7, 8, 9)),
        (1, (0,)),
    ],
)
def test_checkpoints_are_the_papers(steps: int, expected: tuple[int, ...]) -> None:
    assert checkpoints(steps) == expected


EPS, MIDDLE, APART = 0.04, 0.5, 0.15
PEAKS = (0.4852, 0.50684, 0.536, 0.4788, 0.508, 0.46124)
SHARPNESS = (1.0, 3.0, 1.0, 2.0, 7.0, 1.0)


def hill(x: float, row: int) -> float:
    """The logit of class 1, never above class 0's; to the right of its peak it may fall faster than to the left."""
    away = (x - PEAKS[row]) * (SHARPNESS[row] if x > PEAKS[row] else 1.0)
    return -1e-3 - away * away


def hills(flat: Tensor) -> Tensor:
    """Two classes; the second pixel says which hill, and has no gradient."""
    row = ((flat[:, 1] - 0.1) / APART).round().long()
    away = flat[:, 0] - torch.tensor(PEAKS)[row]
    away = away * torch.where(away > 0, torch.tensor(SHARPNESS)[row], 1.0)
    second = -1e-3 - away.square()
    return torch.stack([torch.zeros_like(second), second], 1)


def algorithm_1(start: float, steps: int, ask: Callable[[int, float], tuple[float, float]]) -> "Walk":
    """For one number: ``ask`` gives the loss of point x at step k, and the sign of its slope."""

    def inside(x: float) -> float:
        return min(max(x, MIDDLE - EPS), MIDDLE + EPS)

    x, previous, size, rises, f_max_then, halved = start, start, 2 * EPS, 0, -math.inf, True
    best, best_sign, f_max, f = start, 0.0, -math.inf, math.inf
    points, halvings, last = [], [], 0
    for k in range(steps + 1):
        points.append(x)
        loss, sign = ask(k, x)
        rises, f = rises + (loss > f), loss
        if f > f_max:
            best, best_sign, f_max = x, sign, f
        if k in checkpoints(steps):
            halved = rises < 0.75 * (k - last) or (not halved and f_max == f_max_then)
            f_max_then, rises, last = f_max, 0, k
            if halved:
                x, sign, f, size = best, best_sign, f_max, size / 2
                halvings.append(k)
        momentum = 0.25 if k else 0.0
        z = inside(x + size * sign)
        x, previous = inside(x + (1 - momentum) * (z - x) + momentum * (x - previous)), x
    return Walk(points, best, tuple(halvings))


class Walk(NamedTuple):
    points: list[float]
    best: float
    halvings: tuple[int, ...]


@pytest.mark.parametrize("steps", [30, 100])
@pytest.mark.parametrize("loss", get_args(Loss))
def test_every_example_walks_as_algorithm_1_says(steps: int, loss: Loss) -> None:
    """With two classes all losses are one, up to a positive factor."""
    rows = torch.arange(len(PEAKS))
    images = torch.stack([torch.full((len(PEAKS),), MIDDLE), 0.1 + APART * rows], 1).view(-1, 1, 1, 2)
    net = Recorder(hills)
    outcome = run(APGD(eps=EPS, steps=steps, loss=loss), net, images, Untargeted(0 * rows))
    assert not outcome.claimed.any()
    assert (outcome.steps == steps).all()
    assert (outcome.forwards == steps + 2).all()
    assert (outcome.backwards == steps).all()

    walked = torch.stack(net.asked[1:])[:, :, 0]  # the first question was the images themselves
    for row in rows.tolist():
        walk = algorithm_1(float(walked[0, row]), steps, partial(_on_the_hill, row))
        torch.testing.assert_close(walked[:, row], torch.tensor(walk.points), rtol=0, atol=2e-6)
        assert float(outcome.images[row, 0, 0, 0]) == pytest.approx(walk.best, abs=2e-6)


def _on_the_hill(row: int, k: int, x: float) -> tuple[float, float]:
    return hill(x, row), math.copysign(1, PEAKS[row] - x)


def test_each_condition_halves_the_steps_of_the_example_it_holds_for() -> None:
    """Losses that are told, not computed: what the conditions of section 3.2 see is then known to the step."""
    up = torch.arange(101) / 1e3 - 1
    enough, too_few, no_better = up.clone(), up.clone(), up.clone()
    enough[1:6] = up[0] - torch.arange(1, 6) / 1e4  # of 22 steps 17 raise the loss, of which 16.5 have to
    too_few[1:7] = up[0] - torch.arange(1, 7) / 1e4  # 16
    no_better[1:] -= 0.5  # all but one step raise it, yet the first point stays the best for all times
    told = torch.stack([up, enough, too_few, no_better], 1)
    signs = 1 - 2 * (torch.arange(101) % 2)
    net = Recorder(lambda flat: torch.stack([0 * flat[:, 0], _told(flat[:, 0], told, signs, net)], 1))
    images = torch.full((4, 1, 1, 1), MIDDLE)
    outcome = run(APGD(eps=EPS, loss="margin"), net, images, Untargeted(torch.zeros(4, dtype=torch.int64)))
    assert (outcome.steps == 100).all()

    walked, halvings = torch.stack(net.asked[1:])[:, :, 0], []
    for row in range(4):
        asked = list(zip(told[:, row].tolist(), signs.tolist(), strict=True))
        walk = algorithm_1(float(walked[0, row]), 100, lambda k, x, asked=asked: asked[k])  # type: ignore[misc]
        torch.testing.assert_close(walked[:, row], torch.tensor(walk.points), rtol=0, atol=2e-6)
        halvings.append(walk.halvings)
    assert halvings == [(), (), (22,), (22, 57, 80, 93)]


def _told(x: Tensor, told: Tensor, signs: Tensor, net: Recorder) -> Tensor:
    k = max(len(net.asked) - 2, 0)
    return told[k] + signs[k] * (x - x.detach())


def test_it_leaves_where_no_step_would_lead_on() -> None:
    """Every pixel at the end of its range: the strongest perturbation of an affine classifier."""
    w = torch.tensor([1.0, -2.0, 0.5, -1.0, 3.0, 0.1, -0.2, 4.0])
    net = Affine(torch.stack([0 * w, w]), torch.tensor([100.0, 0.0]))
    images = torch.rand(5, 1, 2, 4, generator=torch.Generator().manual_seed(0))
    outcome = run(APGD(eps=0.05), net, images, Untargeted(torch.zeros(5, dtype=torch.int64)))
    assert not outcome.claimed.any()
    torch.testing.assert_close(outcome.images, (images + 0.05 * w.sign().view(1, 1, 2, 4)).clamp(0, 1))
    assert int(outcome.forwards.max()) <= 10


# ---- affine classifiers


@pytest.mark.parametrize("norm", [L1, L2, LINF], ids=str)
@pytest.mark.parametrize(
    ("classes", "loss", "targets"),
    [(2, "ce", 0), (2, "dlr", 0), (2, "margin", 9), (3, "dlr", 9), (3, "margin", 2), (10, "dlr", 9), (10, "margin", 9)],
)
def test_affine_classifiers_are_fooled_just_beyond_the_distance(
    norm: Norm, classes: int, loss: Loss, targets: int
) -> None:
    problem = affine_problem(classes, 48, norm.p, move=0.05, count=2)  # type: ignore[attr-defined]
    for row, distance in enumerate(problem.distances.tolist()):
        one, goal = problem.images[row : row + 1], Untargeted(problem.labels[row : row + 1])
        for share in (0.999, 1.001):
            attack = APGD(norm=norm, eps=share * distance, steps=40, loss=loss, targets=targets)
            assert bool(run(attack, problem.net, one, goal).claimed) == (share > 1)


# ---- losses and targets


RANKED = torch.tensor([0.8, 0.6, 0.5, 0.3])


@pytest.mark.parametrize(
    ("loss", "targets", "signs"),
    [
        ("ce", 0, (-1, 1, 1, 1)),
        ("margin", 0, (-1, 1, 0, 0)),
        ("dlr", 0, (-1, 1, -1, 0)),  # equation 5: the third largest logit is in the denominator
        ("ce", 1, (-1, 1, -1, -1)),
        ("margin", 1, (-1, 1, 0, 0)),
        ("dlr", 1, (-1, 1, -1, -1)),  # equation 6: so are the third and the fourth
    ],
)
def test_field_loss(loss: Loss, targets: int, signs: tuple[int, ...]) -> None:
    """Four pixels that are the four logits: the first step shows the sign of each derivative."""
    net = Recorder(lambda flat: 10 * flat)
    images = RANKED.expand(2, 4).reshape(2, 1, 2, 2)
    run(APGD(eps=0.01, steps=2, loss=loss, targets=targets), net, images, Untargeted(torch.tensor([0, 0])))
    start, after = net.asked[1], net.asked[2]
    sign = torch.tensor(signs)
    torch.testing.assert_close(after, torch.where(sign == 0, start, RANKED + 0.01 * sign))


def test_dlr_towards_a_class_is_equation_6() -> None:
    """With the weights of its terms: in L2 the first step is along the gradient, all of it."""
    net = Recorder(lambda flat: 10 * flat)
    images = RANKED.expand(2, 4).reshape(2, 1, 2, 2)
    attack = APGD(norm=L2, eps=1e-3, steps=2, loss="dlr", targets=1)
    run(attack, net, images, Untargeted(torch.tensor([0, 0])))
    start, after = net.asked[1].double(), net.asked[2].double()
    z = start.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((-(z[:, 0] - z[:, 1]) / (z[:, 0] - (z[:, 2] + z[:, 3]) / 2)).sum(), z)
    there = start - RANKED + 2e-3 * gradient / gradient.norm(dim=1, keepdim=True)
    expected = RANKED + 1e-3 * there / there.norm(dim=1, keepdim=True)
    torch.testing.assert_close(after, expected, rtol=0, atol=1e-6)


class Reachable(nn.Module):
    """Class 0, and three more of which only the third most likely is within reach; the others keep one busy."""

    def forward(self, images: Tensor) -> Tensor:
        top, bottom = images.mean((1, 3)).T
        ripple = 0.01 * torch.sin(1000 * bottom)
        return torch.stack([0 * top + 1, 0.9 + ripple, 0.8 + ripple, 0.6 + 4.2 * (top - 0.5)], 1)


def test_field_targets() -> None:
    """The last two go together: when the third succeeds, after a step, nobody looks at the second any more."""
    images, goal = torch.full((2, 1, 2, 2), 0.5), Untargeted(torch.tensor([0, 0]))
    outcomes = {n: run(APGD(eps=0.1, loss="margin", targets=n), Reachable(), images, goal) for n in (0, 1, 2, 3)}
    assert [bool(outcome.claimed.all()) for outcome in outcomes.values()] == [False, False, False, True]
    passes = {n: set(outcome.forwards.tolist()) for n, outcome in outcomes.items()}
    assert passes == {0: {102}, 1: {102}, 2: {203}, 3: {102 + 2 * 2}}
    assert set(outcomes[3].backwards.tolist()) == {100 + 2 * 2}
    assert set(outcomes[3].steps.tolist()) == {100 + 2 * 1}


def test_a_targeted_goal_has_its_own_target() -> None:
    problem = affine_problem(10, 48, math.inf, move=0.05)
    wanted = (problem.labels + 3) % 10
    for targets in (0, 9):
        outcome = run(APGD(eps=0.5, targets=targets, loss="dlr"), problem.net, problem.images, Targeted(wanted))
        assert outcome.claimed.all()
        with torch.no_grad():
            assert torch.equal(problem.net(outcome.images).argmax(1), wanted)


def test_what_targets_share_a_batch_does_not_matter() -> None:
    problem = affine_problem(10, 48, math.inf, move=0.05)
    attack = APGD(eps=0.8 * float(problem.distances.median()), loss="dlr", targets=9, steps=20)
    whole, parts = (
        run(attack, problem.net, problem.images, problem.goal, batch_size=batch_size) for batch_size in (64, 3)
    )
    assert not whole.claimed.all()
    torch.testing.assert_close(whole.images, parts.images, rtol=0, atol=1e-5)
    for one, other in zip(whole[1:], parts[1:], strict=True):
        assert torch.equal(one, other)


# ---- the other options


def test_field_norm() -> None:
    problem = affine_problem(2, 48, 2, move=0.05)
    for norm, other in ((L2, LINF), (LINF, L2)):
        outcome = run(APGD(norm=norm, eps=0.01, steps=5), problem.net, problem.images, problem.goal)
        moved = outcome.images - problem.images
        torch.testing.assert_close(norm.measure(moved), torch.full((8,), 0.01), rtol=1e-4, atol=0)
        assert (other.measure(moved) != 0.01).all()


def test_field_eps() -> None:
    problem = affine_problem(3, 48, math.inf, move=0.05)
    distance = float(problem.distances.median())
    for share in (0.9, 1.1, 2.0):
        outcome = run(APGD(eps=share * distance, loss="margin", targets=2), problem.net, problem.images, problem.goal)
        assert (outcome.claimed == (share > 1)).all()
        largest = LINF.measure(outcome.images - problem.images)
        torch.testing.assert_close(largest, torch.full((8,), share * distance), rtol=1e-5, atol=0)


def test_a_budget_may_be_a_whole_number() -> None:
    problem = affine_problem(3, 48, 2, move=0.05)
    whole, real = (run(APGD(norm="l2", eps=eps), problem.net, problem.images, problem.goal) for eps in (1, 1.0))
    assert torch.equal(whole.images, real.images)


def test_field_steps() -> None:
    rows = torch.zeros(2, dtype=torch.int64)
    images = torch.tensor([[MIDDLE, 0.1]] * 2).view(2, 1, 1, 2)
    for steps in (1, 7):
        outcome = run(APGD(eps=EPS, steps=steps), Recorder(hills), images, Untargeted(rows))
        assert outcome.steps.tolist() == [steps] * 2
        assert outcome.forwards.tolist() == [steps + 2] * 2
        assert outcome.backwards.tolist() == [steps] * 2


@pytest.mark.parametrize(("lacks", "ends"), [(0.015, 5), (0.06, 3), (0.2, 1)])
def test_field_widest(lacks: float, ends: int) -> None:
    """The first budgets fall geometrically; what is found there beyond eps does not count, what is not ends the climb.

    The goal is met at a distance of ``lacks``, never within eps.
    """
    images = torch.full((2, 1, 2, 4), 0.5)
    w = torch.tensor([1.0, -2.0, 0.5, -1.0, 3.0, 0.1, -0.2, 4.0])
    net = Recorder(lambda flat: torch.stack([0 * flat[:, 0], (flat - 0.5) @ w - lacks * w.abs().sum()], 1))
    outcome = run(APGD(eps=0.01, steps=100, widest=16), net, images, Untargeted(torch.tensor([0, 0])))
    assert not outcome.claimed.any()
    torch.testing.assert_close(outcome.images, (images + 0.01 * w.sign().view(1, 1, 2, 4)))
    sizes = (torch.stack(net.asked[1:]) - 0.5).abs().amax((1, 2))
    stages = ((0, 14, 0.16), (15, 29, 0.08), (30, 44, 0.04), (45, 59, 0.02), (60, 70, 0.01))
    for first, last, budget in stages[:ends]:
        stage = sizes[first : last + 1]
        torch.testing.assert_close(stage, torch.full_like(stage, budget), rtol=1e-4, atol=0)
    assert ends == 5 or len(sizes) == stages[ends][0]


def test_field_shortlist() -> None:
    """Of three classes out of reach the least likely comes nearest, which ten steps towards each show."""

    def peaks(flat: Tensor) -> Tensor:
        tops, sharp = torch.tensor([0.4037, 0.5057, 0.6971]), torch.tensor([1.0, 1.0, 4.0])
        away = (flat[:, :1] - tops).abs() * sharp
        return torch.cat([0 * away[:, :1] + 1, torch.tensor([0.7, 0.6, 0.9]) - away.square()], 1)

    images, goal = torch.full((2, 1, 1, 2), 0.55), Untargeted(torch.tensor([0, 0]))
    for shortlist, passes in ((0, 3 * 101), (1, 3 * 11 + 101), (2, 3 * 11 + 2 * 101), (3, 3 * 101)):
        net = Recorder(peaks)
        attack = APGD(eps=0.2, steps=100, loss="margin", targets=3, shortlist=shortlist)
        outcome = run(attack, net, images, goal)
        assert not outcome.claimed.any()
        assert outcome.forwards.tolist() == [1 + passes] * 2
        if shortlist == 1:
            assert bool(((net.asked[-1][:, 0] - 0.6971).abs() < 0.02).all())
            torch.testing.assert_close(outcome.images[:, 0, 0, 0], torch.full((2,), 0.6971), rtol=0, atol=1e-3)


def test_every_field_has_its_test() -> None:
    tested = {name.removeprefix("test_field_") for name in globals() if name.startswith("test_field_")}
    assert tested == {field.name for field in dataclasses.fields(APGD)}


def test_the_start_is_random_and_as_far_as_it_may_be() -> None:
    starts = []
    for seed in (0, 1):
        for norm in (L2, LINF):
            net = Recorder(lambda flat: flat.flatten(1))
            images = torch.full((2, 1, 2, 4), 0.5)
            run(APGD(norm=norm, eps=0.1, steps=1), net, images, Untargeted(torch.tensor([0, 0])), seed=seed)
            moved = net.asked[1] - 0.5
            torch.testing.assert_close(norm.measure(moved.view(2, 1, 2, 4)), torch.full((2,), 0.1))
            starts += list(moved)
    assert all(not torch.equal(one, other) for i, one in enumerate(starts) for other in starts[:i])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"norm": "l3"}, "expected norm l1, l2 or linf, got l3"),
        ({"widest": 0.5}, "expected a finite widest >= 1, got 0.5"),
        ({"norm": "l0"}, "expected norm l1, l2 or linf, got l0"),
        ({"eps": -0.1}, "expected a finite eps >= 0, got -0.1"),
        ({"eps": 8}, "expected eps <= 1 in linf"),
        ({"steps": 0}, "expected steps >= 1, got 0"),
        ({"loss": "mse"}, "expected loss ce, dlr or margin, got 'mse'"),
        ({"targets": -1}, "expected targets >= 0, got -1"),
        ({"shortlist": -1}, "expected shortlist >= 0, got -1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        APGD(**options)
    assert str(refused.value).startswith(message)
