"""Norms and the box: each operation against a closed form, an optimality certificate or SciPy."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize  # type: ignore[import-untyped]
from torch import Tensor

from brittle.errors import BrittleError, Unsupported
from brittle.geometry.box import Room, clip, contains, room
from brittle.geometry.norms import L0, L1, L2, LINF, Lp, Norm, norm_named, norm_of, per_row
from known.optimum import smallest_by_scipy

L1_5, L3 = Lp(1.5), Lp(3.0)
NORMS = [L1, L1_5, L2, L3, LINF]
EVERY_P = [L1, Lp(1.05), Lp(1.2), L1_5, Lp(1.9), L2, Lp(2.5), L3, Lp(10.0), Lp(60.0), LINF]
SHAPE = (6, 3, 4, 4)
by_name = pytest.mark.parametrize("norm", NORMS, ids=str)
every_p = pytest.mark.parametrize("norm", EVERY_P, ids=str)
few = settings(derandomize=True, max_examples=40, deadline=None)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def size_of(rows: Tensor, p: float) -> Any:
    """The p-norm of each row by NumPy, in double precision and in units that high powers do not leave."""
    values = rows.double().flatten(1).numpy()
    unit = np.abs(values).max(initial=1e-300)
    return unit * np.linalg.norm(values / unit, ord=p, axis=1)


def p_of(norm: Norm) -> float:
    return float(norm.p)  # type: ignore[attr-defined]


def dual_p(p: float) -> float:
    return 1.0 if math.isinf(p) else math.inf if p == 1 else p / (p - 1)


# ---- names


@pytest.mark.parametrize(
    ("name", "norm"),
    [("l0", L0), ("l1", L1), ("l2", L2), ("linf", LINF), (" L2 ", L2), ("l1.5", L1_5), ("l2.0", L2), ("l3", L3)],
)
def test_norm_named(name: str, norm: Norm) -> None:
    assert norm_named(name) == norm
    assert norm_of(name) == norm


@pytest.mark.parametrize("norm", [L0, *NORMS], ids=str)
def test_name_of_a_norm_names_it(norm: Norm) -> None:
    assert norm_named(norm.name) == norm
    assert norm_of(norm) is norm
    assert str(norm) == norm.name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lnf", "unknown norm 'lnf'; did you mean 'linf'?"),
        ("l1_5", "unknown norm 'l1_5'; did you mean 'l1.5'?"),
        ("euclid", "unknown norm 'euclid'; known: l0, l1, l1.5, l2, linf"),
        ("l", "unknown norm 'l'; did you mean 'l2'?"),
        ("l0.5", "expected a norm lP with P >= 1, got P = 0.5"),
        ("l-1", "expected a norm lP with P >= 1, got P = -1"),
        ("lnan", "expected a norm lP with P >= 1, got P = nan"),
    ],
)
def test_unknown_norm_is_refused(name: str, message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        norm_named(name)
    assert str(refused.value) == message


# ---- measure and dual


@every_p
@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1.0, 1e12])
def test_measure_is_the_norm(norm: Norm, scale: float) -> None:
    delta = normal(0, *SHAPE) * scale
    np.testing.assert_allclose(norm.measure(delta).numpy(), size_of(delta, p_of(norm)), rtol=1e-5)


@every_p
def test_measure_of_nothing_is_zero(norm: Norm) -> None:
    assert norm.measure(torch.zeros(2, 3, 4, 4)).tolist() == [0, 0]
    assert norm.measure(torch.zeros(0, 3, 4, 4)).shape == (0,)


@every_p
def test_dual_has_the_conjugate_exponent(norm: Norm) -> None:
    assert p_of(norm.dual) == pytest.approx(dual_p(p_of(norm)))
    assert p_of(norm.dual.dual) == pytest.approx(p_of(norm))


@by_name
def test_dual_bounds_every_inner_product(norm: Norm) -> None:
    w, random = normal(1, 1, 7), normal(2, 5000, 7)
    tries = torch.cat([random, random.sign(), torch.eye(7), -torch.eye(7)])
    products = (tries / norm.measure(tries).unsqueeze(1)) @ w[0]
    largest, bound = float(products.max()), float(norm.dual.measure(w)[0])
    assert largest <= bound * (1 + 1e-6)
    assert largest >= 0.8 * bound  # so many tries come near


# ---- steepest


@every_p
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e12, 1e30])
def test_steepest_is_a_unit_step_that_attains_the_dual_norm(norm: Norm, scale: float) -> None:
    gradient = normal(3, *SHAPE)
    step = norm.steepest(gradient * scale)
    np.testing.assert_allclose(size_of(step, p_of(norm)), 1, rtol=1e-5)
    attained = (step.double() * gradient.double()).flatten(1).sum(1).numpy()
    np.testing.assert_allclose(attained, size_of(gradient, dual_p(p_of(norm))), rtol=1e-5)


@every_p
def test_steepest_of_zero_is_zero(norm: Norm) -> None:
    gradient = normal(4, 3, 5)
    gradient[1] = 0
    step = norm.steepest(gradient)
    assert not step[1].any()
    assert step[0].any()
    assert step[2].any()


# ---- project


@every_p
def test_projection_leaves_what_is_inside_alone(norm: Norm) -> None:
    delta = normal(5, *SHAPE)
    assert torch.equal(norm.project(delta, norm.measure(delta) * 1.0001), delta)
    assert torch.equal(norm.project(torch.zeros(2, 5), 0.5), torch.zeros(2, 5))


@every_p
@pytest.mark.parametrize("radius", [1e-3, 0.3, 0.999])
def test_projection_lands_on_the_sphere(norm: Norm, radius: float) -> None:
    delta = normal(6, *SHAPE)
    radii = norm.measure(delta) * radius * torch.tensor([1, 0.9, 0.8, 0.7, 0.6, 0.5])
    there = norm.project(delta, radii)
    np.testing.assert_allclose(size_of(there, p_of(norm)), radii.numpy(), rtol=2e-6)
    torch.testing.assert_close(norm.project(there, radii), there, rtol=1e-5, atol=1e-7)
    assert torch.equal(norm.project(delta[2:3], float(radii[2])), there[2:3])  # a number, or one for each row


@every_p
def test_projection_to_radius_zero_is_zero(norm: Norm) -> None:
    assert not norm.project(normal(7, 3, 5), 0.0).any()


def distance_from_optimum(delta: Tensor, there: Tensor, radius: float, p: float) -> float:
    """How far beyond the radius, or how large ``<delta - there, y - there>`` gets for y in the ball, whichever is more.

    Both relative; both are 0 for the Euclidean projection, and for nothing else. By the dual norm the largest
    ``<v, y>`` is ``radius * ||v||_q``.
    """
    v = (delta - there).double().flatten(1)
    most = radius * size_of(v, dual_p(p)) - (v * there.double().flatten(1)).sum(1).numpy()
    beyond = size_of(there, p) / radius - 1
    return float(np.maximum(most / size_of(delta, 2) ** 2, beyond).max())


@every_p
@pytest.mark.parametrize("radius", [0.01, 0.5, 1.0])
def test_projection_is_the_nearest_point(norm: Norm, radius: float) -> None:
    delta = normal(8, *SHAPE)
    there = norm.project(delta, radius)
    assert distance_from_optimum(delta, there, radius, p_of(norm)) < 1e-6
    assert distance_from_optimum(delta, delta, radius, p_of(norm)) > 0.01  # what a projection that does nothing gets


@by_name
def test_projection_agrees_with_scipy(norm: Norm) -> None:
    delta, p = normal(9, 3, 5), p_of(norm)
    ours = norm.project(delta, 0.7)
    for row in range(3):
        target = delta[row].double().numpy()
        theirs = nearest_by_scipy(target, 0.7, p)
        own = float(np.sum((ours[row].double().numpy() - target) ** 2))
        assert own <= float(np.sum((theirs - target) ** 2)) * (1 + 1e-5)


def nearest_by_scipy(target: Any, radius: float, p: float) -> Any:
    """In terms of positive and negative parts, where L1 and L-infinity are smooth."""
    n = len(target)
    size = {1.0: lambda z: z.sum(), math.inf: None}.get(p, lambda z: ((z[:n] + z[n:]) ** p).sum() - radius**p + radius)
    solved = minimize(
        lambda z: np.sum((z[:n] - z[n:] - target) ** 2),
        np.full(2 * n, radius / (4 * n)),
        bounds=[(0, radius if size is None else None)] * (2 * n),
        constraints=[] if size is None else [{"type": "ineq", "fun": lambda z: radius - size(z)}],
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 1000},
    )
    assert solved.success, solved.message
    return solved.x[:n] - solved.x[n:]


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=12), st.floats(0.0078125, 4, width=32))
@few
def test_projection_of_anything_is_feasible_and_nearest(values: list[float], radius: float) -> None:
    delta = torch.tensor([values])
    for norm in NORMS:
        there = norm.project(delta, radius)
        if delta.any():
            assert distance_from_optimum(delta, there, radius, p_of(norm)) < 1e-5


# ---- to_plane without a room


@every_p
@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1.0, 1e12, 1e25])
def test_step_to_a_plane_has_the_closed_form_length(norm: Norm, scale: float) -> None:
    w, gap = normal(10, *SHAPE) * scale, torch.linspace(0.1, 2, 6) * scale
    step = norm.to_plane(gap, w)
    reached = (step.double() * w.double()).flatten(1).sum(1).numpy()
    np.testing.assert_allclose(reached, gap.double().numpy(), rtol=1e-5)
    closed_form = gap.double().numpy() / size_of(w, dual_p(p_of(norm)))
    np.testing.assert_allclose(size_of(step, p_of(norm)), closed_form, rtol=1e-5)


@every_p
def test_no_gap_needs_no_step(norm: Norm) -> None:
    w = normal(11, 2, 6)
    assert not norm.to_plane(torch.zeros(2), w).any()
    assert not norm.to_plane(torch.zeros(2), w, Room(-torch.rand(2, 6), torch.rand(2, 6))).any()


@every_p
@pytest.mark.parametrize("gap", [1e-3, 10.0, 1e6])
def test_no_gradient_gives_no_step(norm: Norm, gap: float) -> None:
    w = normal(12, 2, 6)
    w[0] = 0
    for around in (None, Room(-torch.ones(2, 6), torch.ones(2, 6))):
        step = norm.to_plane(torch.full((2,), gap), w, around)
        assert not step[0].any()
        assert step[1].any()


@every_p
@pytest.mark.parametrize("size", [0.0, 1e-45, 1e-38, 1e-30])
def test_step_for_a_vanishing_gradient_is_finite(norm: Norm, size: float) -> None:
    w, gap = torch.tensor([[size, -size, 0.0], [1.0, 0.0, 0.0]]), torch.tensor([1e6, 1e6])
    for around in (None, Room(-torch.ones(2, 3), torch.ones(2, 3))):
        assert norm.to_plane(gap, w, around).isfinite().all()


# ---- to_plane with a room


def rooms(seed: int, rows: int, n: int) -> Room:
    """Of random images in which about a third of the pixels are at either end of the box."""
    images = torch.rand(rows, n, generator=torch.Generator().manual_seed(seed)).mul(3).sub(1).clamp(0, 1)
    return room(images)


def most_reachable(w: Tensor, around: Room) -> Tensor:
    return torch.where(w > 0, around.high * w, around.low * w).double().sum(1)


@by_name
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_step_within_a_room_is_the_smallest(norm: Norm, share: float) -> None:
    w, around = normal(13, 6, 8), rooms(14, 6, 8)
    gap = (most_reachable(w, around) * share).float()
    step = norm.to_plane(gap, w, around)
    assert (step >= around.low).all()
    assert (step <= around.high).all()
    np.testing.assert_allclose((step * w).sum(1).numpy(), gap.numpy(), rtol=3e-6)
    for row in range(6):
        low, high = around.low[row].double().numpy(), around.high[row].double().numpy()
        optimum = smallest_by_scipy(w[row].double().numpy(), float(gap[row]), low, high, p_of(norm))
        assert float(size_of(step, p_of(norm))[row]) == pytest.approx(optimum, rel=1e-4)


@every_p
def test_room_that_does_not_bind_changes_nothing(norm: Norm) -> None:
    w, gap = normal(15, 4, 9), torch.full((4,), 0.1)
    wide = Room(torch.full((4, 9), -1.0), torch.full((4, 9), 1.0))
    torch.testing.assert_close(norm.to_plane(gap, w, wide), norm.to_plane(gap, w), rtol=1e-5, atol=1e-8)


@every_p
def test_plane_out_of_reach_is_approached_as_far_as_it_goes(norm: Norm) -> None:
    w, around = normal(16, 5, 8), rooms(17, 5, 8)
    gap = 1.5 * most_reachable(w, around).float() + 1
    step = norm.to_plane(gap, w, around)
    useful = w.abs() > 0.1 * w.abs().amax(1, keepdim=True)
    walls = torch.where(w > 0, around.high, around.low)
    torch.testing.assert_close(step[useful], walls[useful])


@every_p
@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_blocked_pixels_leave_the_way_to_weak_ones(norm: Norm, scale: float) -> None:
    w = torch.tensor([[1.0, 0.05, -0.05]]) * scale
    around = Room(torch.tensor([[-1.0, -1.0, -1.0]]), torch.tensor([[0.0, 1.0, 1.0]]))
    step = norm.to_plane(torch.tensor([0.05]) * scale, w, around)
    assert float((step * w).sum() / scale) == pytest.approx(0.05, rel=1e-5)
    assert float(step[0, 0]) == 0
    if norm != L1:  # L1 does not mind which of the two
        assert step[0].tolist() == pytest.approx([0, 0.5, -0.5], rel=1e-5)


@by_name
def test_clipping_that_still_reaches_the_plane_is_enough(norm: Norm) -> None:
    w, around = normal(18, 6, 8), rooms(19, 6, 8)
    gap = 0.3 * most_reachable(w, around).float()
    exact = norm.to_plane(gap, w, around)
    generous = norm.to_plane(gap, w, around, enough=torch.zeros(6))
    strict = norm.to_plane(gap, w, around, enough=gap)
    torch.testing.assert_close(strict, exact)
    assert (norm.measure(generous) <= norm.measure(exact) * (1 + 1e-6)).all()
    if norm != L1:
        torch.testing.assert_close(generous, torch.clamp(norm.to_plane(gap, w), around.low, around.high))


@given(st.integers(0, 10**6), st.floats(0.05, 0.9), st.sampled_from(NORMS))
@few
def test_step_within_any_room_is_optimal(seed: int, share: float, norm: Norm) -> None:
    """By weak duality: ||d|| >= (gap - most of <w - v, .>) for any v of dual norm 1 times a multiplier."""
    w, around = normal(seed, 1, 6), rooms(seed, 1, 6)
    reach = most_reachable(w, around)
    gap = (reach * share).float()
    if float(gap) < 1e-3:
        return
    step = norm.to_plane(gap, w, around).double()
    assert float((step * w).sum()) == pytest.approx(float(gap), rel=1e-5)
    size = norm.measure(step)
    # A feasible move that keeps <w, d> cannot shorten the step: tried along every pair of pixels.
    for i in range(6):
        for j in range(6):
            move = torch.zeros(1, 6, dtype=torch.float64)
            move[0, i], move[0, j] = 1e-4 / float(w[0, i]), -1e-4 / float(w[0, j])
            near = step + move
            inside = (near >= around.low) & (near <= around.high)
            if i != j and inside.all():
                assert float(norm.measure(near)[0]) >= float(size[0]) * (1 - 1e-6)


# ---- approach


def objective(e: Tensor, delta: Tensor, threshold: Tensor) -> Tensor:
    return threshold.double() * e.double().abs().sum(1) + (e.double() - delta.double()).square().sum(1) / 2


@pytest.mark.parametrize("pace", [0.03, 0.3, 1.0])
@pytest.mark.parametrize("share", [0.2, 0.8])
def test_in_l1_an_approach_is_the_proximal_step_that_scipy_finds(share: float, pace: float) -> None:
    """``argmin ||e||_1 + ||e - delta||^2 / (2 t)`` on the plane and in the room; e = a - b with a, b >= 0 for SciPy."""
    w, around = normal(21, 6, 8), rooms(22, 6, 8)
    gap = (most_reachable(w, around) * share).float()
    delta = torch.clamp(0.3 * normal(23, 6, 8), around.low, around.high)
    e = L1.approach(delta, gap, w, around, pace)
    assert (e >= around.low).all()
    assert (e <= around.high).all()
    np.testing.assert_allclose((e.double() * w.double()).sum(1).numpy(), gap.double().numpy(), rtol=2e-4)
    threshold = pace / 3 * gap / w.abs().amax(1)
    ours = objective(e, delta, threshold)
    for row in range(6):
        target, slope, t = delta[row].double().numpy(), w[row].double().numpy(), float(threshold[row])
        reached = float((e[row].double() * w[row].double()).sum())
        both = np.concatenate([slope, -slope])
        high, low = around.high[row].double().numpy(), -around.low[row].double().numpy()
        part = slice(row, row + 1)
        start = L1.to_plane(gap[part], w[part], Room(around.low[part], around.high[part]))[0].double().numpy()
        solved = minimize(
            lambda ab, target=target, t=t: t * ab.sum() + np.sum((ab[:8] - ab[8:] - target) ** 2) / 2,
            np.concatenate([start.clip(min=0), -start.clip(max=0)]),
            jac=lambda ab, target=target, t=t: t + np.concatenate([ab[:8] - ab[8:] - target, target - ab[:8] + ab[8:]]),
            bounds=[(0, top) for top in (*high, *low)],
            constraints=[
                {
                    "type": "eq",
                    "fun": lambda ab, both=both, reached=reached: both @ ab - reached,
                    "jac": lambda _, both=both: both,
                }
            ],
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 1000},
        )
        assert solved.success, solved.message
        assert float(ours[row]) == pytest.approx(solved.fun, rel=1e-5, abs=1e-7)


def test_in_l1_no_point_of_the_plane_nearby_is_better() -> None:
    """Moves along the plane, tried for every pair of coordinates of many: what SciPy would take too long for."""
    w, around = normal(24, 2, 60), rooms(25, 2, 60)
    gap = (most_reachable(w, around) * 0.3).float()
    delta = torch.clamp(0.3 * normal(26, 2, 60), around.low, around.high)
    e = L1.approach(delta, gap, w, around, 0.5).double()
    threshold = 0.5 / 3 * gap / w.abs().amax(1)
    for row in range(2):
        moves = torch.zeros(60, 60, 60, dtype=torch.float64)
        i, j = torch.meshgrid(torch.arange(60), torch.arange(60), indexing="ij")
        moves[i, j, i] += 1 / w[row].double()[i]
        moves[i, j, j] -= 1 / w[row].double()[j]
        near = e[row] + 1e-3 * moves.view(-1, 60)
        inside = ((near >= around.low[row]) & (near <= around.high[row])).all(1)
        same = (i == j).flatten()
        assert int((inside & ~same).sum()) > 500
        there = objective(near, delta[row], threshold[row])
        here = objective(e[row : row + 1], delta[row : row + 1], threshold[row])
        assert float((there - here)[inside].min()) > -1e-6


@by_name
def test_where_the_plane_stays_so_does_the_step_to_it(norm: Norm) -> None:
    w, around = normal(27, 6, 8), rooms(28, 6, 8)
    gap = 0.4 * most_reachable(w, around).float()
    there = norm.to_plane(gap, w, around)
    for pace in (0.1, 1.0):
        torch.testing.assert_close(norm.approach(there, gap, w, around, pace), there, rtol=0, atol=2e-4)


@by_name
def test_approaching_again_and_again_arrives(norm: Norm) -> None:
    w, around = normal(29, 6, 8), rooms(30, 6, 8)
    gap = 0.4 * most_reachable(w, around).float()
    there, delta = norm.to_plane(gap, w, around), torch.zeros(6, 8)
    first = norm.measure(norm.approach(delta, gap, w, around, 0.5) - there)
    for _ in range(60):
        delta = norm.approach(delta, gap, w, around, 0.5)
    assert float(first.min()) > 0
    torch.testing.assert_close(norm.measure(delta), norm.measure(there), rtol=1e-3, atol=0)


@every_p
def test_an_approach_is_straight_but_in_l1(norm: Norm) -> None:
    w, around, delta = normal(31, 6, 8), rooms(32, 6, 8), torch.zeros(6, 8)
    gap = 0.4 * most_reachable(w, around).float()
    if norm == L1:
        assert not torch.allclose(norm.approach(delta, gap, w, around, 0.25), 0.25 * norm.to_plane(gap, w, around))
    else:
        torch.testing.assert_close(norm.approach(delta, gap, w, around, 0.25), 0.25 * norm.to_plane(gap, w, around))


@by_name
def test_an_approach_out_of_reach_or_without_a_gradient_is_finite(norm: Norm) -> None:
    w, around = normal(33, 3, 8), rooms(34, 3, 8)
    w[2] = 0
    gap = torch.tensor([1e6, 3.0 * float(most_reachable(w, around)[1]), 1.0])
    step = norm.approach(torch.zeros(3, 8), gap, w, around, 1.0)
    assert step.isfinite().all()
    assert (step >= around.low).all() and (step <= around.high).all()
    assert not step[2].any()
    reached = (step * w).sum(1)
    assert (reached[:2] > 0.9 * most_reachable(w, around)[:2]).all()


# ---- L0


def test_l0_counts_positions_not_channels() -> None:
    delta = torch.zeros(3, 3, 4, 4)
    delta[0, :, 1, 1] = 0.1  # one pixel in three channels
    delta[1, 0, 0, 0] = delta[1, 2, 3, 3] = -0.2  # two pixels in one channel each
    assert L0.measure(delta).tolist() == [1, 2, 0]
    assert L0.measure(delta).dtype == delta.dtype


def test_l0_projection_keeps_the_largest_pixels() -> None:
    delta = torch.zeros(1, 3, 2, 2)
    delta[0, :, 0, 0] = torch.tensor([0.3, 0.3, 0.3])  # 0.52 in L2
    delta[0, 0, 0, 1] = 0.5
    delta[0, 1, 1, 0] = -0.6
    delta[0, 2, 1, 1] = 0.1
    kept = [[(L0.project(delta, k) != 0).any(1)[0].flatten().tolist()] for k in (0, 1, 2, 2.9, 3, 4, 9)]
    nothing, first = [False] * 4, [False, False, True, False]
    two, three = [True, False, True, False], [True, True, True, False]
    assert kept == [[nothing], [first], [two], [two], [three], [[True] * 4], [[True] * 4]]
    assert torch.equal(L0.project(delta, 4), delta)
    assert torch.equal(L0.project(delta, 3)[0, :, 0, 0], delta[0, :, 0, 0])


def test_l0_projection_has_a_radius_for_each_row_and_is_idempotent() -> None:
    delta = normal(20, 4, 3, 3, 3)
    radii = torch.tensor([0, 1, 5, 9])
    once = L0.project(delta, radii)
    assert L0.measure(once).tolist() == [0, 1, 5, 9]
    assert torch.equal(L0.project(once, radii), once)


@pytest.mark.parametrize(
    "use",
    [
        lambda: L0.dual,
        lambda: L0.steepest(torch.ones(1, 1, 2, 2)),
        lambda: L0.to_plane(torch.ones(1), torch.ones(1, 1, 2, 2)),
        lambda: L0.approach(
            torch.ones(1, 1, 2, 2), torch.ones(1), torch.ones(1, 1, 2, 2), Room(*torch.ones(2, 4)), 0.5
        ),
    ],
)
def test_l0_says_what_it_cannot_do(use: Any) -> None:
    with pytest.raises(Unsupported, match=r"^l0 .*; expected l1, l2, linf or lP$"):
        use()


# ---- the box


def test_box() -> None:
    images = torch.tensor([[0.0, 1.0, 0.5], [-1e-7, 0.5, 0.5], [0.5, 1 + 2e-7, 0.5], [math.nan, 0.5, 0.5]])
    assert contains(images).tolist() == [True, False, False, False]
    assert contains(clip(images[:3])).tolist() == [True] * 3
    assert clip(images)[1, 0] == 0
    assert clip(images)[2, 1] == 1
    around = room(images[:1])
    assert (images[:1] + around.low).tolist() == [[0, 0, 0]]
    assert (images[:1] + around.high).tolist() == [[1, 1, 1]]
    assert per_row(torch.arange(3), torch.zeros(3, 2, 2)).shape == (3, 1, 1)
