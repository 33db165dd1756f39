"""FMN where the nearest point of the boundary is known, and against DeepFool where it is not."""

import dataclasses
from pathlib import Path

import pytest
import torch

from brittle.attacks import FMN, DeepFool
from brittle.geometry.box import contains, room
from brittle.geometry.norms import L1, L2, LINF, Lp, Norm
from brittle.goals import Targeted, Untargeted
from known.affine import Affine, affine_problem
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
@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("pixels", [48, 3072])
def test_affine_distance_is_the_closed_form(norm: Norm, classes: int, pixels: int) -> None:
    if norm not in (L2, LINF) and pixels == 3072:
        pixels = 192
    problem = affine_problem(classes, pixels, norm.p, move=0.3 if norm == L1 else 0.05)  # type: ignore[attr-defined]
    outcome = run(problem.net, problem.images, problem.goal, FMN(norm=norm))
    assert outcome.claimed.all()
    ratio = sizes(norm, outcome, problem.images) / problem.distances
    assert float(ratio.min()) > 1
    assert float(ratio.max()) < (1.05 if norm == L1 else 1.001)  # in L1 its steps spread over more pixels than one


@by_name
@pytest.mark.parametrize("seed", [0, 1, 2, 9])
def test_box_that_binds_gives_the_constrained_optimum(norm: Norm, seed: int) -> None:
    """Most pixels are at an end of the box, and the plane takes half of what the others can do.

    With seeds 1 and 9 pixels that are at their wall would in L1 take the budget of those that are not.
    """
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(8, generator=generator).mul(3).sub(1).clamp(0, 1)
    w, around = torch.randn(8, generator=generator), room(image)
    gap = 0.5 * torch.where(w > 0, around.high * w, around.low * w).sum()
    net = Affine(torch.stack([torch.zeros(8), w]), torch.stack([torch.zeros(()), -(image @ w) - gap]))
    images = image.view(1, 1, 2, 4)
    outcome = run(net, images, Untargeted(torch.tensor([0])), FMN(norm=norm))
    assert outcome.claimed.all()
    assert contains(outcome.images).all()
    low, high = around.low.double().numpy(), around.high.double().numpy()
    optimum = smallest_by_scipy(w.double().numpy(), float(gap), low, high, norm.p)  # type: ignore[attr-defined]
    assert 1 - 1e-5 < float(sizes(norm, outcome, images)[0]) / optimum < 1.01


def test_plane_out_of_reach_is_reported_as_a_failure() -> None:
    net = Affine(torch.tensor([[0.0] * 8, [1.0] * 8]), torch.tensor([0.0, -9.0]))  # at most 8 of 9
    images = torch.rand(4, 1, 2, 4, generator=torch.Generator().manual_seed(0))
    for norm in NORMS:
        outcome = run(net, images, Untargeted(torch.zeros(4, dtype=torch.int64)), FMN(norm=norm))
        assert not outcome.claimed.any()
        assert contains(outcome.images).all()
        assert float(outcome.images.mean()) > 0.95  # it did try


@by_name
def test_towards_the_other_of_two_classes_is_away_from_this_one(norm: Norm) -> None:
    problem = affine_problem(2, 48, norm.p, move=0.3 if norm == L1 else 0.05)  # type: ignore[attr-defined]
    away = run(problem.net, problem.images, problem.goal, FMN(norm=norm, steps=10))
    towards = run(problem.net, problem.images, Targeted(1 - problem.labels), FMN(norm=norm, steps=10))
    torch.testing.assert_close(towards.images, away.images, rtol=0, atol=1e-6)


# ---- curved boundaries


@pytest.mark.parametrize("pixels", [8, 16, 48])
def test_it_finds_the_nearest_point_of_an_ellipsoid(pixels: int) -> None:
    problem = quadric_problem(pixels)
    outcome = run(problem.net, problem.images, problem.goal, FMN())
    ratio = sizes(L2, outcome, problem.images) / problem.distances
    assert outcome.claimed.all()
    assert float(ratio.min()) > 1
    assert float(ratio.max()) < 1.001


def test_targeted_reaches_its_class() -> None:
    reaches_its_class(FMN())


# ---- each option does something


def test_field_norm() -> None:
    each_norm_is_smallest_when_asked_for(lambda norm: FMN(norm=norm))


def test_field_steps() -> None:
    problem = quadric_problem()
    outcomes = [run(problem.net, problem.images, problem.goal, FMN(steps=steps)) for steps in (3, 10, 30)]
    means = [float(sizes(L2, outcome, problem.images).mean()) for outcome in outcomes]
    assert means[0] > 1.03 * means[1] > 1.06 * means[2]
    for steps, outcome in zip((3, 10, 30), outcomes, strict=True):
        assert outcome.claimed.all()
        assert (outcome.steps == steps).all()
        assert (outcome.backwards == steps).all()
        assert (outcome.forwards == steps + 1).all()


@pytest.mark.parametrize(("step_size", "share"), [(0.3, 0.3), (1.0, 1.0), (1.005, 1.005), (4.0, 1.01)])
def test_field_step_size(step_size: float, share: float) -> None:
    """The first step is this share of the estimated distance, and no more than a hundredth beyond it."""
    problem = affine_problem(2, 48, 2, move=0.05)
    outcome = run(problem.net, problem.images, problem.goal, FMN(steps=1, step_size=step_size))
    torch.testing.assert_close(sizes(L2, outcome, problem.images) / problem.distances, torch.full((8,), share).double(),
                               rtol=1e-4, atol=0)  # fmt: skip
    if share != 1:  # just on the boundary, rounding decides
        assert bool(outcome.claimed.any()) == bool(outcome.claimed.all()) == (share > 1)


@by_name
def test_the_first_budget_is_a_hundredth_beyond_the_estimated_distance(norm: Norm) -> None:
    problem = affine_problem(2, 48, norm.p, move=0.3 if norm == L1 else 0.05)  # type: ignore[attr-defined]
    outcome = run(problem.net, problem.images, problem.goal, FMN(norm=norm, steps=1, step_size=4.0))
    torch.testing.assert_close(sizes(norm, outcome, problem.images), 1.01 * problem.distances, rtol=1e-4, atol=0)


def test_field_gamma() -> None:
    """Without shrinking it stays where it first got across; with a little it follows the boundary."""
    problem = quadric_problem()
    still, shrinking = (run(problem.net, problem.images, problem.goal, FMN(steps=20, gamma=g)) for g in (0.0, 0.05))
    assert still.claimed.all()
    assert shrinking.claimed.all()
    a, b = (sizes(L2, outcome, problem.images) / problem.distances for outcome in (still, shrinking))
    assert float(b.max()) < 1.01
    assert float(a.median()) > 1.1


def test_every_field_has_its_test() -> None:
    tested = {name.removeprefix("test_field_") for name in globals() if name.startswith("test_field_")}
    assert tested == {field.name for field in dataclasses.fields(FMN)}


# ---- ResNet-20 on CIFAR-10


@pytest.mark.parametrize(("norm", "most"), [(L1, 0.6), (L2, 0.9), (LINF, 0.95)], ids=str)
def test_real_images_are_nearer_to_the_boundary_than_deepfool_finds(norm: Norm, most: float, real_data: Path) -> None:
    found = on_cifar(real_data, FMN(norm=norm, steps=30), norm)
    straight = on_cifar(real_data, DeepFool(norm=norm), norm)
    assert found.isfinite().all()
    assert float(found.median()) <= most * float(straight.median())
