"""BoundaryWalk where the nearest point of the boundary is known, and against DeepFool where it is not."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize  # type: ignore[import-untyped]
from torch import Tensor, nn

from brittle.attacks import BoundaryWalk, DeepFool
from brittle.errors import BrittleError
from brittle.geometry.box import contains, room
from brittle.geometry.norms import L1, L2, LINF, Lp, Norm
from brittle.goals import Targeted, Untargeted
from known.affine import Affine, affine_problem
from known.kinked import kinked_problem
from known.optimum import smallest_by_scipy
from known.quadric import (
    each_norm_is_smallest_when_asked_for,
    on_cifar,
    quadric_problem,
    reaches_its_class,
    run,
    sizes,
)

NORMS = [L1, Lp(1.5), L2, Lp(3.0), LINF]
by_name = pytest.mark.parametrize("norm", NORMS, ids=str)


pytestmark = pytest.mark.usefixtures("one_thread")


# ---- affine classifiers


@by_name
@pytest.mark.parametrize("classes", [1, 2, 10])
@pytest.mark.parametrize("pixels", [48, 3072])
def test_affine_distance_is_the_closed_form(norm: Norm, classes: int, pixels: int) -> None:
    """In L1 its steps spread over more pixels than one, and leave some of the change on those nearly as good."""
    if norm == L1 and pixels == 3072:
        pixels = 192
    problem = affine_problem(classes, pixels, norm.p, move=0.3 if norm == L1 else 0.05)  # type: ignore[attr-defined]
    outcome = run(problem.net, problem.images, problem.goal, BoundaryWalk(norm=norm))
    assert outcome.claimed.all()
    ratio = sizes(norm, outcome, problem.images) / problem.distances
    assert float(ratio.min()) > 1
    assert float(ratio.max()) < (1.08 if norm == L1 else 1.001)


@by_name
@pytest.mark.parametrize("seed", range(6))
def test_box_that_binds_gives_nearly_the_constrained_optimum(norm: Norm, seed: int) -> None:
    """Most pixels are at an end of the box, and the plane takes half of what the others can do."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(8, generator=generator).mul(3).sub(1).clamp(0, 1)
    w, around = torch.randn(8, generator=generator), room(image)
    gap = 0.5 * torch.where(w > 0, around.high * w, around.low * w).sum()
    net = Affine(torch.stack([torch.zeros(8), w]), torch.stack([torch.zeros(()), -(image @ w) - gap]))
    images = image.view(1, 1, 2, 4)
    outcome = run(net, images, Untargeted(torch.tensor([0])), BoundaryWalk(norm=norm))
    assert outcome.claimed.all()
    assert contains(outcome.images).all()
    low, high = around.low.double().numpy(), around.high.double().numpy()
    optimum = smallest_by_scipy(w.double().numpy(), float(gap), low, high, norm.p)  # type: ignore[attr-defined]
    ratio = float(sizes(norm, outcome, images)[0]) / optimum
    assert 1 - 1e-5 < ratio < (1.04 if norm == L1 else 1.02)


def test_plane_out_of_reach_is_reported_as_a_failure() -> None:
    net = Affine(torch.tensor([[0.0] * 8, [1.0] * 8]), torch.tensor([0.0, -9.0]))  # at most 8 of 9
    images = torch.rand(4, 1, 2, 4, generator=torch.Generator().manual_seed(0))
    for norm in NORMS:
        outcome = run(net, images, Untargeted(torch.zeros(4, dtype=torch.int64)), BoundaryWalk(norm=norm))
        assert not outcome.claimed.any()
        assert contains(outcome.images).all()
        assert float(outcome.images.mean()) > 0.95  # it did try


@pytest.mark.parametrize("seed", [5, 7])
def test_of_two_classes_that_seem_as_near_it_ends_at_the_nearer(seed: int) -> None:
    """The race alone ends up to 13 % farther here than a walk to each class."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(60, 1, 8, 8, generator=generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hidden = [nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU()]
        net = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(64, 10)).eval()
    with torch.no_grad():
        labels = net(images).argmax(1)
    to_each = [run(net, images, Targeted(torch.full_like(labels, one)), BoundaryWalk()) for one in range(10)]
    distances = torch.stack([sizes(L2, one, images) for one in to_each], dim=1)
    nearest = distances.scatter(1, labels[:, None], math.inf).amin(1)
    found = sizes(L2, run(net, images, Untargeted(labels), BoundaryWalk()), images)
    assert float((found / nearest).max()) < 1.02


@by_name
def test_towards_the_other_of_two_classes_is_away_from_this_one(norm: Norm) -> None:
    problem = affine_problem(2, 48, norm.p, move=0.3 if norm == L1 else 0.05)  # type: ignore[attr-defined]
    away = run(problem.net, problem.images, problem.goal, BoundaryWalk(norm=norm))
    towards = run(problem.net, problem.images, Targeted(1 - problem.labels), BoundaryWalk(norm=norm))
    torch.testing.assert_close(towards.images, away.images, rtol=0, atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_towards_one_of_several_classes_it_finds_the_corner_that_scipy_finds(seed: int) -> None:
    """The region of a class is where its logit beats all others: the nearest point may lie on several planes."""
    problem = affine_problem(4, 48, 2, move=0.05, count=4, seed=seed)
    wanted = (problem.labels + 1 + seed) % 4
    wanted = torch.where(wanted == problem.labels, (wanted + 1) % 4, wanted)
    outcome = run(problem.net, problem.images, Targeted(wanted), BoundaryWalk())
    assert outcome.claimed.all()
    weight, bias = (part.detach().double().numpy() for part in (problem.net.weight, problem.net.bias))
    for row, target in enumerate(wanted.tolist()):
        image = problem.images[row].double().flatten().numpy()
        others = [k for k in range(4) if k != target]
        ahead, gap = weight[target] - weight[others], (weight[target] - weight[others]) @ image
        gap = -(gap + bias[target] - bias[others])
        solved = minimize(
            lambda d: d @ d,
            np.zeros(48),
            jac=lambda d: 2 * d,
            constraints=[{"type": "ineq", "fun": lambda d, a=ahead, g=gap: a @ d - g, "jac": lambda d, a=ahead: a}],
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 200},
        )
        assert solved.success
        ratio = float(sizes(L2, outcome, problem.images)[row]) / math.sqrt(solved.fun)
        assert 1 - 1e-4 < ratio < 1.02


# ---- curved boundaries


@pytest.mark.parametrize("pixels", [8, 16, 48])
def test_it_walks_to_the_nearest_point_of_an_ellipsoid(pixels: int) -> None:
    problem = quadric_problem(pixels)
    walked = run(problem.net, problem.images, problem.goal, BoundaryWalk())
    straight = run(problem.net, problem.images, problem.goal, DeepFool(overshoot=0.0))
    ratio = sizes(L2, walked, problem.images) / problem.distances
    assert walked.claimed.all()
    assert float(ratio.min()) > 1
    assert float(ratio.max()) < 1.001
    assert (sizes(L2, straight, problem.images) > 1.05 * problem.distances).all()  # which DeepFool does not


@pytest.mark.parametrize("seed", range(3))
def test_polish_arrives_where_the_linear_program_does(seed: int) -> None:
    """A walk of any length circles around the corner."""
    problem = kinked_problem(seed)
    ratios = []
    for attack in (BoundaryWalk(norm=LINF, polish=30), BoundaryWalk(norm=LINF, steps=60, polish=0)):
        outcome = run(problem.net, problem.images, problem.goal, attack)
        assert outcome.claimed.all()
        ratios.append(float(sizes(LINF, outcome, problem.images)[0]) / problem.distance)
    assert 1 <= ratios[0] < 1.003 < ratios[1]


class Receding(nn.Module):
    """Class 1 seems 0.2 away along the first pixel and is 0.33; class 2 is 0.25 away along the second."""

    def forward(self, images: Tensor) -> Tensor:
        x, y = (images - 0.5).flatten(1).unbind(1)
        return torch.stack([torch.zeros_like(x), 5 * x - 6 * x * x - 1, 4 * y - 1], dim=1)


def test_the_class_that_seems_nearest_does_not_always_win_the_race() -> None:
    images, goal = torch.full((2, 1, 1, 2), 0.5), Untargeted(torch.tensor([0, 0]))
    walked, straight = (run(Receding(), images, goal, attack) for attack in (BoundaryWalk(), DeepFool()))
    assert float(sizes(L2, walked, images).max()) < 0.2505
    assert float(sizes(L2, straight, images).min()) > 0.3


class Flattening(nn.Module):
    """The log-odds of class 1 rise ever more slowly along the first pixel: planes promise too much. 0 at ``far``."""

    def __init__(self, far: float) -> None:
        super().__init__()
        self.far = far

    def forward(self, images: Tensor) -> Tensor:
        d = (images - 0.02).flatten(1)[:, 0]
        odds = math.exp(-16 * self.far) - torch.exp(-16 * d)
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


@pytest.mark.parametrize(("far", "rescued"), [(0.25, False), (0.6, True)])
def test_a_walk_that_falls_short_goes_on(far: float, rescued: bool) -> None:
    """On the line while that helps, which takes no gradients; and from plane to plane where it does not."""
    images, goal = torch.full((2, 1, 1, 2), 0.02), Untargeted(torch.tensor([0, 0]))
    outcome = run(Flattening(far), images, goal, BoundaryWalk(steps=1, polish=0))
    assert outcome.claimed.all()
    assert rescued or float(sizes(L2, outcome, images)[0]) == pytest.approx(far, rel=0.01)
    before = 5  # gradients: to set out, three of the race, one of the walk
    assert (int(outcome.backwards[0]) > before) == rescued


def test_targeted_reaches_its_class() -> None:
    reaches_its_class(BoundaryWalk())


# ---- each option does something


def test_field_norm() -> None:
    each_norm_is_smallest_when_asked_for(lambda norm: BoundaryWalk(norm=norm))


def test_field_steps() -> None:
    """In L2 the race alone arrives at this boundary; in L1 each step counts."""
    problem = quadric_problem()
    attacks = [BoundaryWalk(norm=L1, steps=steps, polish=0) for steps in (1, 14, 30)]
    outcomes = [run(problem.net, problem.images, problem.goal, attack) for attack in attacks]
    assert all(outcome.claimed.all() for outcome in outcomes)
    means = [float(sizes(L1, outcome, problem.images).mean()) for outcome in outcomes]
    assert means[0] > 1.02 * means[1] > 1.03 * means[2]
    assert [int(outcome.steps.max()) for outcome in outcomes] == [5, 18, 34]  # four of them are the race


def test_field_polish() -> None:
    """It makes smaller; where the boundary is flat, as the first is, it has a third of its steps, but not in L1."""
    kinked, round_ = kinked_problem(5), quadric_problem()
    for norm, problem, smaller, steps in (
        (L2, kinked, 1.0, 28),
        (LINF, kinked, 1.0, 28),
        (L1, round_, 0.96, 48),
    ):
        outcomes = [
            run(problem.net, problem.images, problem.goal, BoundaryWalk(norm=norm, polish=polish)) for polish in (0, 30)
        ]
        mean = [float(sizes(norm, outcome, problem.images).mean()) for outcome in outcomes]
        assert mean[1] < smaller * mean[0]
        assert [int(outcome.steps.max()) for outcome in outcomes] == [18, steps]


def test_field_candidates() -> None:
    """Class 1 has the smallest gap and hardly any gradient; class 2 is nearest."""
    weight = torch.zeros(3, 16)
    weight[1, 0], weight[2, 1] = 0.5, 2.0
    net = Affine(weight, torch.tensor([1.0, 0.8 - 0.25, 0.7 - 1.0]))
    images = torch.full((2, 1, 4, 4), 0.5)
    found = [
        run(net, images, Untargeted(torch.tensor([0, 0])), BoundaryWalk(candidates=most, norm=L2)) for most in (1, 2)
    ]
    distances = [float(sizes(L2, outcome, images)[0]) for outcome in found]
    assert distances == pytest.approx([0.2 / 0.5, 0.3 / 2.0], rel=2e-3)
    assert [outcome.images.flatten(1)[0, :2].ne(0.5).tolist() for outcome in found] == [[True, False], [False, True]]


def test_every_field_has_its_test() -> None:
    tested = {name.removeprefix("test_field_") for name in globals() if name.startswith("test_field_")}
    assert tested == {field.name for field in dataclasses.fields(BoundaryWalk)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "expected steps >= 1, got 0"),
        ({"candidates": 0}, "expected candidates >= 1, got 0"),
        ({"polish": -1}, "expected polish >= 0, got -1"),
        ({"norm": "l0"}, "expected norm l1, l2, linf or lP, got l0; l0 is a norm of minimal, pixel-greedy, sigma-zero"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        BoundaryWalk(**options)
    assert str(refused.value) == message


# ---- ResNet-20 on CIFAR-10


@pytest.mark.parametrize(("norm", "most"), [(L1, 0.5), (L2, 0.9), (LINF, 0.9)], ids=str)
def test_real_images_are_nearer_to_the_boundary_than_deepfool_finds(norm: Norm, most: float, real_data: Path) -> None:
    walked, straight = (on_cifar(real_data, attack, norm) for attack in (BoundaryWalk(norm=norm), DeepFool(norm=norm)))
    assert walked.isfinite().all()
    assert float(walked.median()) <= most * float(straight.median())
    assert (walked <= straight * 1.02).float().mean() > 0.9
