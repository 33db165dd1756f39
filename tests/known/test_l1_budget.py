"""Budgets in L1 within the box: against bisection in double precision, SciPy, and a knapsack of two items."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize  # type: ignore[import-untyped]
from torch import Tensor

from brittle import devices
from brittle.geometry import l1_budget
from brittle.geometry.box import Room, room
from brittle.geometry.norms import L1, inner

SHAPE = (8, 3, 4, 4)
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(SHAPE, generator=GENERATOR)
IMAGES[4:] = IMAGES[4:].round()  # pixels that stand at a wall
ROOM = room(IMAGES)
DELTA = 2 * torch.randn(SHAPE, generator=GENERATOR)
DELTA[0, 0, 0, 0] = 0.0


def bisected(delta: Tensor, eps: float, within: Room) -> Tensor:
    """The projection by its KKT conditions: one level for all coordinates, found in 200 halvings."""
    size, low, high = delta.double(), within.low.double(), within.high.double()
    levels = [torch.zeros(len(delta), 1, 1, 1).double(), size.abs().amax((1, 2, 3), keepdim=True)]

    def at(level: Tensor) -> Tensor:
        return (size.sign() * (size.abs() - level).clamp_min(0)).clamp(low, high)

    for _ in range(200):
        middle = (levels[0] + levels[1]) / 2
        large = at(middle).abs().sum((1, 2, 3), keepdim=True) > eps
        levels = [torch.where(large, middle, levels[0]), torch.where(large, levels[1], middle)]
    inside = at(0 * middle).abs().sum((1, 2, 3), keepdim=True) <= eps
    return torch.where(inside, at(0 * middle), at(levels[1]))


@pytest.mark.parametrize("eps", [0.0, 1e-3, 0.4, 3.0, 12.0, 30.0])
@pytest.mark.parametrize("at_once", [frozenset({"cpu"}), frozenset()], ids=["by steps", "by sorting"])
def test_projection_on_ball_and_box_is_what_bisection_finds(
    eps: float, at_once: frozenset[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "AT_ONCE", at_once)
    found = l1_budget.project(DELTA, eps, ROOM)
    torch.testing.assert_close(found.double(), bisected(DELTA, eps, ROOM), rtol=0, atol=1e-6)
    assert (L1.measure(found.double()) <= eps * (1 + 1e-6) + 1e-6).all()
    assert ((IMAGES + found).clamp(0, 1) - IMAGES - found).abs().max() < 1e-6


def test_newtons_steps_do_not_go_round_in_circles() -> None:
    """From 8.4 one leads to 8.87, and from there one back: two coordinates are at their walls between."""
    size, wall = torch.tensor([[8.9, 8.75, 8.64, 8.05]]).double(), torch.tensor([[1.0, 0.24, 0.23, 0.85]]).double()
    within = Room(torch.zeros(1, 1, 1, 4), wall.view(1, 1, 1, 4).float())
    found = l1_budget.project(size.view(1, 1, 1, 4).float(), 0.5, within)
    torch.testing.assert_close(found.double(), bisected(size.view(1, 1, 1, 4), 0.5, within), rtol=0, atol=1e-6)


def test_projection_is_nearest_by_scipy() -> None:
    """In parts that grow and parts that shrink, ``d = u - v`` with ``sum u + v <= eps``, it is a smooth problem."""
    delta, low, high = (part[0, 0].flatten().double().numpy() for part in (DELTA, *ROOM))
    eps, n = 1.3, len(delta)
    found = minimize(
        lambda both: np.square(both[:n] - both[n:] - delta).sum(),
        np.full(2 * n, 1e-3),
        jac=lambda both: np.concatenate([2 * (both[:n] - both[n:] - delta), -2 * (both[:n] - both[n:] - delta)]),
        bounds=[(0, top) for top in high] + [(0, -bottom) for bottom in low],
        constraints={"type": "ineq", "fun": lambda both: eps - both.sum(), "jac": lambda both: -np.ones(2 * n)},
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    part = l1_budget.project(DELTA[:1, :1], eps, Room(ROOM.low[:1, :1], ROOM.high[:1, :1])).flatten().double().numpy()
    assert np.square(part - delta).sum() <= found.fun + 1e-5
    np.testing.assert_allclose(part, found.x[:n] - found.x[n:], atol=1e-4)


def test_projection_leaves_what_is_inside_alone_and_has_a_radius_for_each_row() -> None:
    small = DELTA.clamp(ROOM.low, ROOM.high) / 100
    assert torch.equal(l1_budget.project(small, 2.0, ROOM), small)
    radii = torch.linspace(0, 14, len(DELTA))
    whole = l1_budget.project(DELTA, radii, ROOM)
    for row, radius in enumerate(radii.tolist()):
        one = slice(row, row + 1)
        torch.testing.assert_close(
            whole[one], l1_budget.project(DELTA[one], radius, Room(ROOM.low[one], ROOM.high[one]))
        )


@pytest.mark.parametrize("eps", [0.0, 0.3, 2.0, 9.0, 60.0])
def test_what_is_spent_is_the_most_that_a_linear_program_finds(eps: float) -> None:
    step = l1_budget.spend(DELTA, eps, ROOM)
    n = DELTA[0].numel()
    for row in range(len(DELTA)):
        w, low, high = (part[row].flatten().double().numpy() for part in (DELTA, *ROOM))
        best = linprog(
            np.concatenate([-w, w]),
            A_ub=np.ones((1, 2 * n)),
            b_ub=[eps],
            bounds=[(0, top) for top in high] + [(0, -bottom) for bottom in low],
        )
        assert float(inner(DELTA[row : row + 1], step[row : row + 1])) == pytest.approx(-best.fun, rel=1e-5, abs=1e-6)
    assert (L1.measure(step) <= eps * (1 + 1e-6)).all()
    assert ((step >= ROOM.low) & (step <= ROOM.high)).all()


def test_sparse_steps_are_shared_by_the_largest_and_have_size_one() -> None:
    gradient = torch.tensor([[3.0, -2.0, 1.0, 0.0], [0.0, 0.0, 0.0, -1e-20], [0.0, 0.0, 0.0, 0.0]]).view(3, 1, 2, 2)
    step = l1_budget.sparse_step(gradient, torch.tensor([2, 2, 2]))
    assert step.flatten(1).tolist() == [[0.5, -0.5, 0, 0], [0, 0, 0, -1], [0, 0, 0, 0]]
