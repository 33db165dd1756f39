"""A classifier with a curved boundary and networks to walk on, for attacks that go along the boundary."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from brittle.attacks import Outcome
from brittle.data import load_data
from brittle.geometry.norms import L1, L2, LINF, Norm
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models import Classifier, load_model
from brittle.models.network import Network
from brittle.rng import Rng


def run(net: nn.Module, images: Tensor, goal: Goal, attack: Any) -> Outcome:
    """The outcome; its passes are those that the classifier counted."""
    classifier = Network(net)
    rng = Rng(0, tuple(str(row) for row in range(len(images))))
    outcome: Outcome = attack(classifier, images, goal, rng=rng)
    assert classifier.forwards == int(outcome.forwards.sum())
    assert classifier.backwards == int(outcome.backwards.sum())
    return outcome


def sizes(norm: Norm, outcome: Outcome, images: Tensor) -> Tensor:
    return norm.measure(outcome.images.double() - images.double())


class Quadric(nn.Module):
    """Class 1 outside the ellipsoid ``sum a_i d_i^2 + <b, d> = 1`` with ``d = images - 0.5``, class 0 inside."""

    def __init__(self, a: Tensor, b: Tensor) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(a.float()), nn.Parameter(b.float())

    def forward(self, images: Tensor) -> Tensor:
        d = (images - 0.5).flatten(1)
        score = d.square() @ self.a + d @ self.b - 1
        return torch.stack([-score, score], dim=1)


class Problem(NamedTuple):
    """Images inside an ellipsoid, and the L2 distance of each to its nearest point; the box does not bind."""

    net: Quadric
    images: Tensor
    distances: Tensor

    @property
    def goal(self) -> Untargeted:
        return Untargeted(torch.zeros(len(self.images), dtype=torch.int64))


@cache
def quadric_problem(pixels: int = 16) -> Problem:
    """Axes up to twice as long as one another, and images so far from the middle that DeepFool goes the wrong way."""
    generator = torch.Generator().manual_seed(pixels)
    net = Quadric(4 + 12 * torch.rand(pixels, generator=generator), 0.5 * torch.randn(pixels, generator=generator))
    start = (torch.rand(16, pixels, generator=generator) - 0.5) * 0.24 * (8 / pixels) ** 0.5
    images = (0.5 + start).view(16, 1, 2, pixels // 2)

    # By Lagrange, d = (start + mu b / 2) / (1 - mu a), and the score grows with mu in [0, 1 / max a): bisection.
    a, b = net.a.detach().double(), net.b.detach().double()
    d0 = (images - 0.5).double().flatten(1)
    low, high = torch.zeros(16, 1).double(), (1 / a.max()).expand(16, 1)
    for _ in range(100):
        mu = (low + high) / 2
        d = (d0 + mu * b / 2) / (1 - mu * a)
        outside = (d.square() @ a + d @ b - 1 > 0).unsqueeze(1)
        low, high = torch.where(outside, low, mu), torch.where(outside, mu, high)
    assert float(d.abs().max()) < 0.5
    return Problem(net, images, (d - d0).norm(dim=1))


class Curved(nn.Module):
    """A random tanh network of 64 pixels and five classes."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Parameter(torch.randn(64, 32, generator=generator) / 3)
        self.second = nn.Parameter(torch.randn(32, 5, generator=generator))

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh((images - 0.5).flatten(1) @ self.first) @ self.second


@cache
def curved() -> tuple[nn.Module, Tensor, Tensor]:
    """The network, images of it and their classes."""
    net, images = Curved(), torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return net, images, net(images).argmax(1)


def on_curved(attack: Any) -> Outcome:
    net, images, labels = curved()
    return run(net, images, Untargeted(labels), attack)


def reaches_its_class(attack: Any) -> None:
    """Towards the class after each image's own: what is claimed is what is reached, and that is nearly all."""
    net, images, labels = curved()
    wanted = (labels + 1) % 5
    outcome = run(net, images, Targeted(wanted), attack)
    with torch.no_grad():
        reached = net(outcome.images).argmax(1) == wanted
    assert torch.equal(outcome.claimed, reached)
    assert float(reached.float().mean()) > 0.95


def each_norm_is_smallest_when_asked_for(attack_in: Callable[[Norm], Any]) -> None:
    """Of the results in three norms, the one asked for in a norm has the smallest median in it."""
    _, images, _ = curved()
    results = {norm: on_curved(attack_in(norm)) for norm in (L1, L2, LINF)}
    for norm in results:
        medians = {other: float(sizes(norm, outcome, images).median()) for other, outcome in results.items()}
        assert min(medians, key=lambda other: medians[other]) == norm


@cache
def cifar(data: Path) -> tuple[Classifier, Tensor, Tensor]:
    """ResNet-20 and the first 16 images that it gets right."""
    classifier = load_model("resnet20", weights=data / "weights" / "cifar10_resnet20.safetensors")
    examples = load_data(str(data / "cifar10-jpeg" / "test.parquet"), limit=None, fit=None)
    assert examples.labels is not None
    images, labels = examples.images(0, 24), examples.labels[:24]
    right = classifier.logits(images, plain=True).argmax(1) == labels
    return classifier, images[right][:16], labels[right][:16]


def on_cifar(data: Path, attack: Any, norm: Norm) -> Tensor:
    """The size of each perturbation; infinite where the plain network is not fooled."""
    classifier, images, labels = cifar(data)
    rng = Rng(0, tuple(str(row) for row in range(len(images))))
    found = attack(classifier, images, Untargeted(labels), rng=rng).images
    fooled = classifier.logits(found, plain=True).argmax(1) != labels
    return torch.where(fooled, norm.measure(found - images), torch.inf)
