"""DeepFool where the smallest perturbation is known: affine classifiers, with and without a box that binds."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import DeepFool, Outcome
from brittle.geometry.box import clip, contains, room
from brittle.geometry.norms import L1, L2, LINF, Lp, Norm
from brittle.goals import Untargeted
from brittle.models.network import Network
from brittle.rng import Rng
from known.affine import Affine, affine_problem, distances_of, two_rows
from known.optimum import smallest_by_scipy

NORMS = [L1, Lp(1.5), L2, Lp(3.0), LINF]
by_name = pytest.mark.parametrize("norm", NORMS, ids=str)


pytestmark = pytest.mark.usefixtures("one_thread")


def fool(net: nn.Module, images: Tensor, labels: Tensor, attack: DeepFool) -> Outcome:
    rng = Rng(0, tuple(str(row) for row in range(len(images))))
    return attack(Network(net), images, Untargeted(labels), rng=rng)


def logits_of(net: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = net(images)
    return logits


def predicted(net: nn.Module, images: Tensor) -> Tensor:
    return logits_of(net, images).argmax(1)


def sizes(norm: Norm, outcome: Outcome, images: Tensor) -> Tensor:
    return norm.measure(outcome.images.double() - images.double())


# ---- affine classifiers


@by_name
@pytest.mark.parametrize("classes", [1, 2, 3, 10])
@pytest.mark.parametrize("pixels", [48, 192, 3072])
def test_affine_distance_is_the_closed_form(norm: Norm, classes: int, pixels: int) -> None:
    """In float32, to 1e-5. L1 changes one pixel: it has to change it a lot for the gap to be more than rounding."""
    free = norm == L1 and pixels == 3072
    move = 6.0 if free else 0.3 if norm == L1 else 0.05
    problem = affine_problem(classes, pixels, norm.p, move=move)  # type: ignore[attr-defined]
    attack = DeepFool(norm=norm, overshoot=0.02, candidates=max(classes, 2), box=not free)
    outcome = attack(problem.classifier, problem.images, problem.goal, rng=problem.rng)
    assert contains(problem.images).all()
    assert outcome.claimed.all()
    assert (outcome.steps == 1).all()
    torch.testing.assert_close(sizes(norm, outcome, problem.images), 1.02 * problem.distances, rtol=1e-5, atol=0)


@by_name
def test_without_overshoot_it_ends_just_beyond_the_boundary(norm: Norm) -> None:
    problem = affine_problem(3, 48, norm.p, move=0.2 if norm == L1 else 0.05)  # type: ignore[attr-defined]
    outcome = DeepFool(norm=norm, overshoot=0.0)(problem.classifier, problem.images, problem.goal, rng=problem.rng)
    assert outcome.claimed.all()
    torch.testing.assert_close(sizes(norm, outcome, problem.images), problem.distances, rtol=1e-3, atol=0)


@by_name
@pytest.mark.parametrize("seed", range(12))
def test_box_that_binds_gives_the_constrained_optimum(norm: Norm, seed: int) -> None:
    """Most pixels are at an end of the box, and the plane takes half of what the others can do."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(8, generator=generator).mul(3).sub(1).clamp(0, 1)
    w, around = torch.randn(8, generator=generator), room(image)
    gap = 0.5 * torch.where(w > 0, around.high * w, around.low * w).sum()
    net = Affine(torch.stack([torch.zeros(8), w]), torch.stack([torch.zeros(()), -(image @ w) - gap]))

    outcome = fool(net, image.view(1, 1, 2, 4), torch.tensor([0]), DeepFool(norm=norm))
    assert outcome.claimed.all()
    assert contains(outcome.images).all()
    step = (outcome.images.flatten() - image).double()
    reached = float(step @ w.double())
    assert 1 - 1e-5 <= reached / float(gap) <= 1.02 * (1 + 1e-5)
    low, high = around.low.double().numpy(), around.high.double().numpy()
    optimum = smallest_by_scipy(w.double().numpy(), reached, low, high, norm.p)  # type: ignore[attr-defined]
    assert float(norm.measure(step.unsqueeze(0))[0]) == pytest.approx(optimum, rel=1e-4)


def test_plane_out_of_reach_is_reported_as_a_failure() -> None:
    net = Affine(torch.tensor([[0.0] * 8, [1.0] * 8]), torch.tensor([0.0, -9.0]))  # at most 8 of 9
    images = torch.rand(4, 1, 2, 4, generator=torch.Generator().manual_seed(0))
    for norm in NORMS:
        outcome = fool(net, images, torch.zeros(4, dtype=torch.int64), DeepFool(norm=norm))
        assert not outcome.claimed.any()
        torch.testing.assert_close(outcome.images, torch.ones_like(images))  # as near as it gets
        assert (outcome.steps < 10).all()  # and it sees that it gets no further


# ---- a network with curves


class Curved(nn.Module):
    """A random tanh network of 64 pixels and five classes."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.first = nn.Parameter(torch.randn(64, 32, generator=generator) / 3)
        self.second = nn.Parameter(torch.randn(32, 5, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh((images - 0.5).flatten(1) @ self.first) @ self.second


def black_and_white(count: int = 64) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1)).round()


@by_name
def test_clipping_afterwards_would_undo_what_the_box_inside_the_loop_keeps(norm: Norm) -> None:
    net, images = Curved(), black_and_white()
    labels = predicted(net, images)
    free = fool(net, images, labels, DeepFool(norm=norm, box=False))
    assert free.claimed.all()
    reverted = (predicted(net, clip(free.images)) == labels).float().mean()
    assert float(reverted) > 0.5

    ours = fool(net, images, labels, DeepFool(norm=norm))
    assert contains(ours.images).all()
    assert float((predicted(net, ours.images) != labels).float().mean()) >= 0.98
    assert torch.equal(ours.claimed, predicted(net, ours.images) != labels)


# ---- each option does something


def test_field_norm() -> None:
    net, images = Curved(), black_and_white()
    labels = predicted(net, images)
    results = {norm: fool(net, images, labels, DeepFool(norm=norm)) for norm in (L1, L2, LINF)}
    for norm in results:
        medians = {other: float(sizes(norm, outcome, images).median()) for other, outcome in results.items()}
        assert min(medians, key=lambda other: medians[other]) == norm


@pytest.mark.parametrize("overshoot", [0.01, 0.5])
def test_field_overshoot(overshoot: float) -> None:
    problem = affine_problem(2, 48, 2, move=0.05)
    outcome = DeepFool(overshoot=overshoot)(problem.classifier, problem.images, problem.goal, rng=problem.rng)
    torch.testing.assert_close(
        sizes(L2, outcome, problem.images), (1 + overshoot) * problem.distances, rtol=1e-5, atol=0
    )


def test_field_max_steps() -> None:
    net, images = Curved(), black_and_white()
    labels = predicted(net, images)
    claimed = []
    for most in (1, 2, 50):
        outcome = fool(net, images, labels, DeepFool(max_steps=most))
        assert int(outcome.steps.max()) <= most
        margin = Untargeted(labels).margin(logits_of(net, outcome.images))
        assert (margin[outcome.claimed] < 0).all()
        assert (margin[~outcome.claimed] > -1e-4).all()
        claimed.append(int(outcome.claimed.sum()))
    assert claimed[0] < claimed[1] <= claimed[2] == len(images)


def test_field_candidates() -> None:
    """Class 1 has the smallest gap and hardly any gradient; class 2 is nearest."""
    weight = torch.zeros(3, 16)
    weight[1, 0], weight[2, 1] = 0.5, 4.0
    net = Affine(weight, torch.tensor([1.0, 0.8 - 0.25, 0.4 - 2.0]))
    images = torch.full((4, 1, 4, 4), 0.5)
    labels = torch.zeros(4, dtype=torch.int64)
    found = {most: fool(net, images, labels, DeepFool(candidates=most)) for most in (1, 2)}
    assert (predicted(net, found[1].images) == 1).all()
    assert (predicted(net, found[2].images) == 2).all()
    torch.testing.assert_close(sizes(L2, found[1], images), torch.full((4,), 1.02 * 0.4).double(), rtol=1e-5, atol=0)
    torch.testing.assert_close(sizes(L2, found[2], images), torch.full((4,), 1.02 * 0.15).double(), rtol=1e-5, atol=0)


def test_field_box() -> None:
    net, images = Curved(), black_and_white(16)
    labels = predicted(net, images)
    free, ours = (fool(net, images, labels, DeepFool(box=box)) for box in (False, True))
    assert not contains(free.images).any()
    assert contains(ours.images).all()
    assert float(sizes(L2, free, images).median()) < float(sizes(L2, ours, images).median())


def test_field_clip() -> None:
    net, images = Curved(), black_and_white(16)
    labels = predicted(net, images)
    free, clipped = (fool(net, images, labels, DeepFool(box=False, clip=after)) for after in (False, True))
    assert torch.equal(clipped.images, clip(free.images))
    assert free.claimed.all()
    crossed = predicted(net, clipped.images) != labels
    assert torch.equal(clipped.claimed, crossed), "what clipping takes back is not claimed"
    assert not crossed.all()
    assert torch.equal(clipped.forwards, free.forwards + 1), "each has left the box, and is looked at once more"
    inside = fool(net, images, labels, DeepFool(clip=True))
    assert torch.equal(inside.images, fool(net, images, labels, DeepFool()).images)


def test_every_field_has_its_test() -> None:
    tested = {name.removeprefix("test_field_") for name in globals() if name.startswith("test_field_")}
    assert tested == {field.name for field in dataclasses.fields(DeepFool)}


# ---- the rest


def test_the_nearest_of_several_planes_is_found_among_any_gradients() -> None:
    """Gradients of very different sizes, all candidates looked at where the bet on their sizes allows it."""
    generator = torch.Generator().manual_seed(3)
    scales = torch.tensor([1.0, 1.0, 1.2, 0.8, 1.1]).unsqueeze(1)
    net = Affine(torch.randn(5, 48, generator=generator) * scales, torch.zeros(5))
    images = 0.5 + 0.1 * (torch.rand(64, 3, 4, 4, generator=generator) - 0.5)
    labels = predicted(net, images)
    distances = distances_of(net, images, labels, 2)
    clear = distances > 0.01
    outcome = fool(net, images, labels, DeepFool())
    ratio = sizes(L2, outcome, images)[clear] / distances[clear]
    assert int(clear.sum()) > 40
    assert float(ratio.min()) > 1.02 * (1 - 1e-4)
    assert float(ratio.max()) < 1.02 * (1 + 1e-3)


def test_single_logit_affine_classes_are_both_attacked() -> None:
    problem = affine_problem(1, 48, 2, move=0.05)
    assert set(problem.labels.tolist()) == {0, 1}
    assert len(two_rows(problem.net)[0]) == 2
    outcome = DeepFool()(problem.classifier, problem.images, problem.goal, rng=problem.rng)
    assert torch.equal((logits_of(problem.net, outcome.images)[:, 0] > 0).long(), 1 - problem.labels)
