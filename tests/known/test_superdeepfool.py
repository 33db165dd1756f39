"""SuperDeepFool where the nearest point of the boundary is known, and against DeepFool where it is not."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from brittle.attacks import DeepFool, Outcome, SuperDeepFool
from brittle.errors import Unsupported
from brittle.geometry.box import contains, room
from brittle.geometry.norms import L2, inner
from brittle.goals import Targeted, Untargeted
from brittle.models.network import Network
from known.affine import Affine, affine_problem
from known.optimum import smallest_by_scipy
from known.quadric import Problem, curved, on_cifar, on_curved, quadric_problem, run, sizes

pytestmark = pytest.mark.usefixtures("one_thread")


# ---- affine classifiers


@pytest.mark.parametrize("classes", [1, 2, 10])
@pytest.mark.parametrize("pixels", [48, 3072])
def test_affine_distance_is_the_closed_form(classes: int, pixels: int) -> None:
    problem = affine_problem(classes, pixels, 2, move=0.05)
    outcome = run(problem.net, problem.images, problem.goal, SuperDeepFool())
    assert outcome.claimed.all()
    ratio = sizes(L2, outcome, problem.images) / problem.distances
    assert float(ratio.min()) > 1
    assert float(ratio.max()) < 1.001


@pytest.mark.parametrize("seed", range(6))
def test_box_that_binds_gives_nearly_the_constrained_optimum(seed: int) -> None:
    """Most pixels are at an end of the box, and the plane takes half of what the others can do."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(8, generator=generator).mul(3).sub(1).clamp(0, 1)
    w, around = torch.randn(8, generator=generator), room(image)
    gap = 0.5 * torch.where(w > 0, around.high * w, around.low * w).sum()
    net = Affine(torch.stack([torch.zeros(8), w]), torch.stack([torch.zeros(()), -(image @ w) - gap]))
    images = image.view(1, 1, 2, 4)
    outcome = run(net, images, Untargeted(torch.tensor([0])), SuperDeepFool())
    assert outcome.claimed.all()
    assert contains(outcome.images).all()
    low, high = around.low.double().numpy(), around.high.double().numpy()
    optimum = smallest_by_scipy(w.double().numpy(), float(gap), low, high, 2)
    assert 1 - 1e-5 < float(sizes(L2, outcome, images)[0]) / optimum < 1.01


def test_plane_out_of_reach_is_reported_as_a_failure() -> None:
    net = Affine(torch.tensor([[0.0] * 8, [1.0] * 8]), torch.tensor([0.0, -9.0]))  # at most 8 of 9
    images = torch.rand(4, 1, 2, 4, generator=torch.Generator().manual_seed(0))
    outcome = run(net, images, Untargeted(torch.zeros(4, dtype=torch.int64)), SuperDeepFool())
    assert not outcome.claimed.any()
    torch.testing.assert_close(outcome.images, torch.ones_like(images))  # as near as it gets


def test_targeted_goals_are_refused_before_any_work() -> None:
    net, images, labels = curved()
    classifier = Network(net)
    with pytest.raises(Unsupported, match=r"^superdeepfool supports untargeted goals, got targeted$"):
        SuperDeepFool()(classifier, images, Targeted(labels), rng=affine_problem(2, 48, 2).rng)
    assert classifier.forwards == 0


# ---- curved boundaries


def cosine(problem: Problem, outcome: Outcome) -> Tensor:
    """Between the perturbation and the boundary's normal where it ends."""
    x = outcome.images.clone().requires_grad_()
    (normal,) = torch.autograd.grad(problem.net(x)[:, 1].sum(), x)
    moved = outcome.images - problem.images
    return inner(moved, normal) / (L2.measure(moved) * L2.measure(normal))


@pytest.mark.parametrize("pixels", [8, 16, 48])
def test_it_finds_the_nearest_point_of_an_ellipsoid_along_its_normal(pixels: int) -> None:
    """Section 3 of the paper: at the nearest point the perturbation is parallel to the normal."""
    problem = quadric_problem(pixels)
    projected = run(problem.net, problem.images, problem.goal, SuperDeepFool())
    straight = run(problem.net, problem.images, problem.goal, DeepFool())
    ratio = sizes(L2, projected, problem.images) / problem.distances
    assert projected.claimed.all()
    assert float(ratio.min()) > 1
    assert float(ratio.max()) < 1.015
    assert float(ratio.median()) < 1.01
    assert float((1 - cosine(problem, projected)).median()) < 0.2 * float((1 - cosine(problem, straight)).median())
    assert (sizes(L2, straight, problem.images) > 1.05 * problem.distances).all()


# ---- each option does something


def test_field_rounds() -> None:
    _, images, _ = curved()
    outcomes = [on_curved(SuperDeepFool(rounds=rounds, search=0)) for rounds in (1, 2, 8)]
    means = [float(sizes(L2, outcome, images).mean()) for outcome in outcomes]
    assert means[0] > 1.005 * means[1] > 1.005 * means[2]
    assert (outcomes[0].steps < outcomes[2].steps).all()


@pytest.mark.parametrize("overshoot", [0.01, 0.3])
def test_field_overshoot(overshoot: float) -> None:
    """On a plane the first run ends so far beyond, and its projection stays there."""
    problem = affine_problem(2, 48, 2, move=0.05)
    outcome = run(problem.net, problem.images, problem.goal, SuperDeepFool(overshoot=overshoot, search=0))
    torch.testing.assert_close(
        sizes(L2, outcome, problem.images), (1 + overshoot) * problem.distances, rtol=1e-5, atol=0
    )


def test_field_candidates() -> None:
    """Class 1 has the smallest gap and hardly any gradient; class 2 is nearest."""
    weight = torch.zeros(3, 16)
    weight[1, 0], weight[2, 1] = 0.5, 2.0
    net = Affine(weight, torch.tensor([1.0, 0.8 - 0.25, 0.7 - 1.0]))
    images = torch.full((2, 1, 4, 4), 0.5)
    found = [run(net, images, Untargeted(torch.tensor([0, 0])), SuperDeepFool(candidates=most)) for most in (1, 2)]
    assert [float(sizes(L2, outcome, images)[0]) for outcome in found] == pytest.approx([0.4, 0.15], rel=2e-3)


def test_field_search() -> None:
    """n halvings leave 2^-n of the overshoot at least, of which the distance is known: all within (1, 1.5]."""
    problem = affine_problem(2, 48, 2, move=0.05)
    outcomes = [
        run(problem.net, problem.images, problem.goal, SuperDeepFool(overshoot=0.5, search=search))
        for search in (0, 3, 10)
    ]
    ratios = [sizes(L2, outcome, problem.images) / problem.distances for outcome in outcomes]
    for halvings, ratio in zip((0, 3, 10), ratios, strict=True):
        assert float(ratio.min()) > 1
        assert float(ratio.max()) <= min(1.5, 1 + 1.5 * 2.0**-halvings) + 1e-4
    assert float(ratios[0].min()) > 1.49
    assert [int((outcome.forwards - outcomes[0].forwards).min()) for outcome in outcomes] == [0, 3, 10]


def test_every_field_has_its_test() -> None:
    tested = {name.removeprefix("test_field_") for name in globals() if name.startswith("test_field_")}
    assert tested == {field.name for field in dataclasses.fields(SuperDeepFool)}


# ---- ResNet-20 on CIFAR-10


def test_real_images_are_nearer_to_the_boundary_than_deepfool_finds(real_data: Path) -> None:
    projected, straight = (on_cifar(real_data, attack, L2) for attack in (SuperDeepFool(), DeepFool()))
    assert projected.isfinite().all()
    assert (projected <= straight * (1 + 1e-5)).all()  # its first round is DeepFool
    assert float(projected.median()) < 0.92 * float(straight.median())
