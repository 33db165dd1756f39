"""L-BFGS beside SciPy's L-BFGS-B on the same problems, and where the smallest perturbation is known."""

import dataclasses
import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize  # type: ignore[import-untyped]
from torch import Tensor, nn

from brittle.attacks import LBFGS, Outcome
from brittle.geometry.box import contains, room
from brittle.geometry.norms import L2
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.network import Network
from brittle.rng import Rng
from known.affine import Affine, affine_problem
from known.optimum import smallest_by_scipy

pytestmark = pytest.mark.usefixtures("one_thread")


def run(net: nn.Module, images: Tensor, goal: Goal, attack: LBFGS) -> Outcome:
    return attack(Network(net), images, goal, rng=Rng(0, tuple(str(row) for row in range(len(images)))))


def predicted(net: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        classes: Tensor = net(images).argmax(1)
    return classes


def sizes(outcome: Outcome, images: Tensor) -> Tensor:
    return L2.measure(outcome.images.double() - images.double())


class Smooth(nn.Module):
    """A random tanh network of 8 x 8 pixels and four classes, whose last logit is ``ahead`` of the others."""

    def __init__(self, ahead: float = 0.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Parameter(torch.randn(64, 24, generator=generator) / 3)
        self.second = nn.Parameter(torch.randn(24, 4, generator=generator))
        self.bias = nn.Parameter(torch.tensor([0.0, 0.0, 0.0, ahead]))

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh((images - 0.5).flatten(1) @ self.first) @ self.second + self.bias


def half_at_the_walls(count: int) -> Tensor:
    """Half of the pixels are black or white."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 1, 8, 8, generator=generator).mul(2).sub(0.5).clamp(0, 1)


def objective(net: nn.Module, image: Tensor, target: int, c: float, point: Any) -> tuple[float, Any]:
    """``c * ||r||_2 + cross-entropy of the target`` and its gradient, in double precision as net is."""
    pixels = torch.from_numpy(point).view(1, *image.shape).requires_grad_()
    loss = nn.functional.cross_entropy(net(pixels), torch.tensor([target]))
    value = loss + c * torch.linalg.vector_norm(pixels.detach() - image.double())
    (gradient,) = torch.autograd.grad(loss, pixels)
    change = point - image.double().flatten().numpy()
    size = float(np.linalg.norm(change))
    return value.item(), gradient.flatten().numpy() + (c / size * change if size else 0)


# ---- SciPy on the very same problem


@pytest.mark.parametrize("c", [0.02, 0.1, 0.3])
def test_it_finds_the_minimum_that_scipy_finds(c: float) -> None:
    """No image reaches the target, so that what comes back is the minimiser at c; many of its pixels are at a wall."""
    net, images = Smooth(ahead=30.0), half_at_the_walls(4)
    attack = LBFGS(c=c, search=0, max_steps=300, tolerance=1e-4)
    outcome = run(net, images, Targeted(torch.ones(4, dtype=torch.int64)), attack)
    assert not outcome.claimed.any()
    assert contains(outcome.images).all()
    double = Smooth(ahead=30.0).double()
    for image, found in zip(images, outcome.images, strict=True):
        start, bounds = image.double().flatten().numpy(), [(0.0, 1.0)] * 64
        best = minimize(
            lambda point, image=image: objective(double, image, 1, c, point),
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"ftol": 1e-10, "gtol": 1e-7},
        )
        value, _ = objective(double, image, 1, c, found.double().flatten().numpy())
        assert value <= best.fun * (1 + 1e-3)
        assert value >= best.fun * (1 - 1e-3)
        walls = int(((found == 0) | (found == 1)).sum())
        assert walls > 10


def test_its_perturbations_are_as_small_as_by_scipy_with_the_same_search() -> None:
    net, images = Smooth(), half_at_the_walls(24)
    labels = predicted(net, images)
    targets = (labels + 1) % 4
    outcome = run(net, images, Targeted(targets), LBFGS())
    assert outcome.claimed.all()
    ours, theirs = sizes(outcome, images), []
    double = Smooth().double()
    for row in range(4):
        theirs.append(_searched_by_scipy(double, images[row], int(targets[row])))
    ratio = ours[:4] / torch.tensor(theirs).double()
    assert float(ratio.median()) < 1.005
    assert float(ratio.max()) < 1.03


def _searched_by_scipy(net: nn.Module, image: Tensor, target: int) -> float:
    """The smallest perturbation met in ten minimisations, the weight bisected on a logarithmic scale."""
    origin, smallest = image.double().flatten().numpy(), math.inf

    def watched(point: Any, c: float) -> tuple[float, Any]:
        nonlocal smallest
        pixels = torch.from_numpy(point).view(1, *image.shape)
        if int(predicted(net, pixels)) == target:
            smallest = min(smallest, float(np.linalg.norm(point - origin)))
        return objective(net, image, target, c, point)

    low, high, start = 1e-3, 10.0, origin
    for _ in range(10):
        c = math.sqrt(low * high)
        end = minimize(watched, start, args=(c,), jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * 64).x
        if int(predicted(net, torch.from_numpy(end).view(1, *image.shape))) == target:
            low, start = c, end
        else:
            high = c
    return smallest


# ---- known optima


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("pixels", [48, 3072])
def test_affine_distance_is_the_closed_form(classes: int, pixels: int) -> None:
    problem = affine_problem(classes, pixels, 2, move=0.05)
    outcome = LBFGS()(problem.classifier, problem.images, problem.goal, rng=problem.rng)
    assert outcome.claimed.all()
    ratio = sizes(outcome, problem.images) / problem.distances
    assert float(ratio.min()) > 1 - 1e-4
    assert float(ratio.max()) < 1.005


@pytest.mark.parametrize("seed", range(6))
def test_box_that_binds_gives_the_constrained_optimum(seed: int) -> None:
    """Most pixels are at an end of the box, and the plane takes half of what the others can do."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(8, generator=generator).mul(3).sub(1).clamp(0, 1)
    w, around = 5 * torch.randn(8, generator=generator), room(image)
    gap = 0.5 * torch.where(w > 0, around.high * w, around.low * w).sum()
    net = Affine(torch.stack([torch.zeros(8), w]), torch.stack([torch.zeros(()), -(image @ w) - gap]))
    outcome = run(net, image.view(1, 1, 2, 4), Untargeted(torch.tensor([0])), LBFGS(search=12, tolerance=0.01))
    assert outcome.claimed.all()
    assert contains(outcome.images).all()
    low, high = around.low.double().numpy(), around.high.double().numpy()
    optimum = smallest_by_scipy(w.double().numpy(), float(gap), low, high, 2)
    assert 1 - 1e-4 < float(sizes(outcome, image.view(1, 1, 2, 4))) / optimum < 1.01


def test_every_image_has_its_own_search() -> None:
    net, images, labels = smooth()
    together = on_smooth()
    assert len({int(steps) for steps in together.steps}) > 5
    for row in range(4):
        alone = run(net, images[row : row + 1], Untargeted(labels[row : row + 1]), LBFGS())
        assert int(alone.steps) == int(together.steps[row])
        torch.testing.assert_close(alone.images[0], together.images[row], rtol=0, atol=1e-5)


# ---- each option does something


@cache
def smooth() -> tuple[nn.Module, Tensor, Tensor]:
    net, images = Smooth(), half_at_the_walls(24)
    return net, images, predicted(net, images)


def on_smooth(**options: Any) -> Outcome:
    net, images, labels = smooth()
    return run(net, images, Untargeted(labels), LBFGS(**options))


def test_field_c() -> None:
    """The paper's trade: the more the distance weighs, the smaller the perturbation, until it no longer fools."""
    _, images, _ = smooth()
    found = [on_smooth(c=c, search=0, pull=0, tolerance=1e-3) for c in (0.01, 0.1, 50.0)]
    norms = [float(sizes(outcome, images).mean()) for outcome in found]
    assert norms[0] > norms[1] > norms[2]
    assert found[0].claimed.all()
    assert not found[2].claimed.all()


def test_field_search() -> None:
    _, images, _ = smooth()
    norms = [float(sizes(on_smooth(search=search, pull=0), images).mean()) for search in (0, 2, 8)]
    assert norms[0] > norms[1] > norms[2]


class Bowl(nn.Module):
    """A logit that falls from mid-grey with curvatures of 1 to 300, against one that is out of reach."""

    def forward(self, images: Tensor) -> Tensor:
        bend = torch.logspace(0, 2.5, 16)
        depth = (bend * (images - 0.5).flatten(1).square()).sum(1)
        return torch.stack([-depth, torch.full_like(depth, 9.0)], dim=1)


def test_field_memory() -> None:
    """A longer memory knows more of the curvatures, and needs fewer steps."""
    images = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    goal = Targeted(torch.zeros(6, dtype=torch.int64))
    settings: dict[str, Any] = {"c": 0.1, "search": 0, "max_steps": 500, "tolerance": 1e-3}
    steps = [int(run(Bowl(), images, goal, LBFGS(memory=memory, **settings)).steps.sum()) for memory in (1, 8)]
    assert steps[0] > 1.2 * steps[1]


def test_field_max_steps() -> None:
    assert int(on_smooth(search=0, max_steps=3, tolerance=0.0).steps.max()) == 3
    assert int(on_smooth(search=2, max_steps=3, tolerance=0.0).steps.max()) == 9


def test_field_tolerance() -> None:
    steps = [float(on_smooth(tolerance=tolerance).steps.float().mean()) for tolerance in (0.3, 0.1, 0.01)]
    assert steps[0] < steps[1] < steps[2]


def test_field_pull() -> None:
    _, images, _ = smooth()
    never, often = on_smooth(search=1, pull=0), on_smooth(search=1, pull=6)
    assert torch.equal(never.claimed, often.claimed)
    assert (sizes(often, images) <= sizes(never, images) * (1 + 1e-6)).all()
    assert float(sizes(often, images).mean()) < 0.99 * float(sizes(never, images).mean())
    assert (often.forwards - never.forwards == 6 * often.claimed).all()


def test_every_field_has_its_test() -> None:
    tested = {name.removeprefix("test_field_") for name in globals() if name.startswith("test_field_")}
    assert tested == {field.name for field in dataclasses.fields(LBFGS)}
