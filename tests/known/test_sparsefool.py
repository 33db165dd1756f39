"""SparseFool where the linear problem has a known optimum, and what its paper and the thesis say of its parameters."""

import dataclasses
import math
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import Outcome, SparseFool
from brittle.data import load_data
from brittle.geometry.box import contains, room
from brittle.geometry.norms import L0, L1
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models import Classifier, load_model
from brittle.models.network import Network
from brittle.rng import Rng
from known.affine import Affine, affine_problem
from known.optimum import smallest_by_scipy

PLAIN: dict[str, Any] = {"lam": 1.0, "trim": 0}  # the published algorithm with the plane itself as its aim


pytestmark = pytest.mark.usefixtures("one_thread")


def run(net: nn.Module, images: Tensor, goal: Goal, attack: SparseFool) -> Outcome:
    return attack(Network(net), images, goal, rng=Rng(0, tuple(str(row) for row in range(len(images)))))


def predicted(net: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        classes: Tensor = net(images).argmax(1)
    return classes


def sizes(outcome: Outcome, images: Tensor) -> Tensor:
    return L1.measure(outcome.images.double() - images.double())


# ---- the linear problem


@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize("pixels", [48, 192])
def test_affine_distance_is_the_closed_form(classes: int, pixels: int) -> None:
    """One pixel in one channel, that with the largest gradient; with trials to take some back, whatever lam is."""
    problem = affine_problem(classes, pixels, 1)
    for attack, beyond in ((SparseFool(**PLAIN), 1.02), (SparseFool(), 1.02), (SparseFool(lam=3), 1.02)):
        outcome = attack(problem.classifier, problem.images, problem.goal, rng=problem.rng)
        assert outcome.claimed.all()
        assert (outcome.steps == 1).all()
        assert (L0.measure(outcome.images - problem.images) == 1).all()
        ratio = sizes(outcome, problem.images) / problem.distances
        assert float(ratio.min()) > 1 - 1e-5
        assert float(ratio.max()) < beyond * (1 + 1e-5)


@pytest.mark.parametrize("delta", [None, 0.3])
@pytest.mark.parametrize("seed", range(6))
def test_box_that_binds_gives_the_constrained_optimum(seed: int, delta: float | None) -> None:
    """Most pixels are at an end of the box, and the plane takes half of what the others can do within delta."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(8, generator=generator).mul(3).sub(1).clamp(0, 1)
    w, around = torch.randn(8, generator=generator), room(image)
    most = math.inf if delta is None else delta
    low, high = around.low.clamp_min(-most), around.high.clamp_max(most)
    gap = 0.5 * torch.where(w > 0, high * w, low * w).sum()
    net = Affine(torch.stack([torch.zeros(8), w]), torch.stack([torch.zeros(()), -(image @ w) - gap]))

    outcome = run(net, image.view(1, 1, 2, 4), Untargeted(torch.tensor([0])), SparseFool(delta=delta, **PLAIN))
    assert outcome.claimed.all()
    assert contains(outcome.images).all()
    step = (outcome.images.flatten() - image).double()
    reached = float(step @ w.double())
    assert 1 - 1e-5 <= reached / float(gap) <= 1.02 * (1 + 1e-5)
    optimum = smallest_by_scipy(w.double().numpy(), reached, low.double().numpy(), high.double().numpy(), 1)
    assert float(step.abs().sum()) == pytest.approx(optimum, rel=1e-4)


def test_plane_out_of_reach_is_reported_as_a_failure() -> None:
    net = Affine(torch.tensor([[0.0] * 8, [1.0] * 8]), torch.tensor([0.0, -9.0]))  # at most 8 of 9
    images = torch.rand(4, 1, 2, 4, generator=torch.Generator().manual_seed(0))
    outcome = run(net, images, Untargeted(torch.zeros(4, dtype=torch.int64)), SparseFool())
    assert not outcome.claimed.any()
    torch.testing.assert_close(outcome.images, torch.ones_like(images))  # as near as it gets
    assert (outcome.steps < 10).all()  # and it sees that it gets no further


class Bent(nn.Module):
    """Two pixels, a and b: ``z_1 - z_0 = 4 a + 3 b - 12 a^2 - 1``.

    At the origin a is the steeper one, but beyond 1/24 it is b, and a alone never gets across. The nearest point of the
    boundary in L1 is (1/24, 0.285), at a distance of 0.326; b alone crosses at 1/3.
    """

    def forward(self, images: Tensor) -> Tensor:
        a, b = images.flatten(1).unbind(1)
        return torch.stack([torch.zeros_like(a), 4 * a + 3 * b - 12 * a * a - 1], dim=1)


def on_bent(**options: Any) -> Outcome:
    return run(Bent(), torch.zeros(1, 1, 1, 2), Untargeted(torch.tensor([0])), SparseFool(**options, **PLAIN))


def test_the_plane_is_that_of_the_boundary_not_that_of_the_image() -> None:
    there, here = on_bent(walk=2), on_bent(walk=0)
    assert there.claimed.all()
    assert here.claimed.all()
    assert float(there.images.sum()) < 0.35
    assert float(here.images.sum()) > 0.45


# ---- a network with curves


class Curved(nn.Module):
    """A random tanh network of 8 x 8 pixels in three channels and five classes."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Parameter(torch.randn(192, 32, generator=generator) / 3)
        self.second = nn.Parameter(torch.randn(32, 5, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh((images - 0.5).flatten(1) @ self.first) @ self.second


@cache
def curved() -> tuple[nn.Module, Tensor, Tensor]:
    net, images = Curved(), torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return net, images, predicted(net, images)


def on_curved(**options: Any) -> Outcome:
    net, images, labels = curved()
    return run(net, images, Untargeted(labels), SparseFool(**options))


def test_targeted_reaches_its_class() -> None:
    net, images, labels = curved()
    wanted = (labels + 1) % 5
    outcome = run(net, images, Targeted(wanted), SparseFool())
    assert float((predicted(net, outcome.images) == wanted).float().mean()) > 0.95
    assert torch.equal(outcome.claimed, predicted(net, outcome.images) == wanted)


# ---- each option does something


def test_field_lam() -> None:
    _, images, _ = curved()
    near, far = on_curved(lam=1.0, trim=0), on_curved(lam=4.0, trim=0)
    assert float(sizes(far, images).median()) > 1.5 * float(sizes(near, images).median())
    assert float(far.steps.float().mean()) < float(near.steps.float().mean())


def test_field_delta() -> None:
    _, images, _ = curved()
    changes = {delta: (on_curved(delta=delta).images - images) for delta in (None, 0.1, 0.02)}
    assert float(changes[None].abs().max()) > 0.1
    for delta in (0.1, 0.02):
        assert delta * (1 - 1e-3) < float(changes[delta].abs().max()) <= delta * (1 + 1e-5)
    pixels = [float(L0.measure(changes[delta]).mean()) for delta in (None, 0.1, 0.02)]
    assert pixels[0] < pixels[1] < pixels[2]


@pytest.mark.parametrize("overshoot", [0.01, 0.5])
def test_field_overshoot(overshoot: float) -> None:
    problem = affine_problem(2, 48, 1)
    outcome = SparseFool(overshoot=overshoot, **PLAIN)(
        problem.classifier, problem.images, problem.goal, rng=problem.rng
    )
    torch.testing.assert_close(sizes(outcome, problem.images), (1 + overshoot) * problem.distances, rtol=1e-5, atol=0)


def test_field_walk() -> None:
    outcomes = [on_bent(walk=walk, max_steps=1) for walk in (0, 1, 2)]
    assert [int(outcome.forwards) for outcome in outcomes] == [2, 3, 4]
    assert len({float(outcome.images.sum()) for outcome in outcomes}) == 3


def test_field_trim() -> None:
    _, images, _ = curved()
    never, often = on_curved(lam=3.0, trim=0), on_curved(lam=3.0, trim=6)
    assert torch.equal(never.claimed, often.claimed)
    assert (sizes(often, images) <= sizes(never, images) * (1 + 1e-6)).all()
    assert float(sizes(often, images).mean()) < 0.7 * float(sizes(never, images).mean())
    assert float(L0.measure(often.images - images).mean()) < float(L0.measure(never.images - images).mean())
    assert (often.forwards - never.forwards == 7 * often.claimed).all()  # one of them for the gradient


def test_field_max_steps() -> None:
    outcomes = [on_curved(lam=1.0, max_steps=most) for most in (1, 2, 50)]
    claimed = [int(outcome.claimed.sum()) for outcome in outcomes]
    assert claimed[0] < claimed[1] < claimed[2]
    assert [int(outcome.steps.max()) for outcome in outcomes[:2]] == [1, 2]


def test_every_field_has_its_test() -> None:
    tested = {name.removeprefix("test_field_") for name in globals() if name.startswith("test_field_")}
    assert tested == {field.name for field in dataclasses.fields(SparseFool)}


# ---- what the sources publish, on ResNet-20 and CIFAR-10


@pytest.fixture(scope="module")
def cifar(real_data: Path) -> tuple[Classifier, Tensor, Tensor]:
    """The first images that ResNet-20 gets right."""
    classifier = load_model("resnet20", weights=real_data / "weights" / "cifar10_resnet20.safetensors")
    examples = load_data(str(real_data / "cifar10-jpeg" / "test.parquet"), limit=None, fit=None)
    assert examples.labels is not None
    images, labels = examples.images(0, 24), examples.labels[:24]
    right = classifier.logits(images, plain=True).argmax(1) == labels
    return classifier, images[right][:16], labels[right][:16]


def on_cifar(cifar: tuple[Classifier, Tensor, Tensor], **options: Any) -> tuple[float, float, float]:
    """(fooling rate, pixels of those fooled, steps of those fooled)."""
    classifier, images, labels = cifar
    rng = Rng(0, tuple(str(row) for row in range(len(images))))
    outcome = SparseFool(**options)(classifier, images, Untargeted(labels), rng=rng)
    fooled = classifier.logits(outcome.images, plain=True).argmax(1) != labels
    pixels = L0.measure(outcome.images - images)[fooled]
    return float(fooled.float().mean()), float(pixels.mean()), float(outcome.steps[fooled].float().mean())


def test_more_lam_fools_more_with_more_pixels_in_fewer_steps(cifar: tuple[Classifier, Tensor, Tensor]) -> None:
    """The thesis, figure 12.10: with lambda the rate and the number of pixels rise, the iterations fall."""
    rates, pixels, steps = zip(*(on_cifar(cifar, lam=lam, trim=0, max_steps=8) for lam in (1.0, 2.0, 5.0)), strict=True)
    assert rates[0] < rates[1] <= rates[2]
    assert pixels[0] < pixels[1] < pixels[2]
    assert steps[0] > steps[1] > steps[2]


def test_less_delta_takes_more_pixels(cifar: tuple[Classifier, Tensor, Tensor]) -> None:
    """The thesis, figure 12.12."""
    rates, pixels, _ = zip(*(on_cifar(cifar, delta=delta) for delta in (1.0, 0.2, 0.05)), strict=True)
    assert rates == (1.0, 1.0, 1.0)
    assert pixels[0] < pixels[1] < pixels[2]


def test_it_takes_about_the_published_share_of_pixels(cifar: tuple[Classifier, Tensor, Tensor]) -> None:
    """The thesis, table 12.6: all fooled by changing 0.55 to 0.91 % of the pixels in the median, in 5 to 10 steps."""
    rate, pixels, steps = on_cifar(cifar, lam=3.0, trim=0)
    assert rate == 1.0
    assert pixels < 0.02 * 32 * 32
    assert steps < 10
