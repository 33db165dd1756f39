"""What the laws are tried on: a small trained network with everything that can go wrong in it, and simple ones."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.data import digits_split
from brittle.geometry.levels import to_8bit
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.rng import Rng

CLASSES = 10
COUNT = 40  # images; more than the largest batch that a law asks for
MEAN, STD = (0.3,), (0.4,)


class SmallCNN(nn.Module):
    """Batch norm and dropout: both behave differently in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(8 * 4 * 4, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


class Deaf(nn.Module):
    """A network that answers the same whatever it sees; ``connected``: by way of a gradient that is zero."""

    def __init__(self, logits: Sequence[float], *, connected: bool) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))
        self.connected = connected

    def forward(self, images: Tensor) -> Tensor:
        same = self.logits.expand(images.shape[0], -1)
        return same + 0 * images.flatten(1).sum(1, keepdim=True) if self.connected else same


@dataclass(frozen=True)
class World:
    """A network in eval mode, with images ``[B, 1, 8, 8]`` and their labels."""

    net: nn.Module
    images: Tensor
    labels: Tensor
    normalised: bool = True

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(f"image {row}" for row in range(len(self.images)))

    def rng(self, seed: int = 0) -> Rng:
        return Rng(seed, self.ids)

    @cached_property
    def shared_classifier(self) -> Network:
        """Making the fast copy takes longer than most attacks here: where a law does not mind, it is made once."""
        return self.classifier()

    def classifier(self, *, fast: bool = True, net: nn.Module | None = None) -> Network:
        """A new classifier, with small chunks so that the batches of a law are more than one."""
        mean, std = (MEAN, STD) if self.normalised else (None, None)
        return Network(net or self.net, mean=mean, std=std, fast=fast, batch_size=20)

    def logits(self, images: Tensor) -> Tensor:
        """By the network itself, without the Classifier under test."""
        if self.normalised:
            images = (images - torch.tensor(MEAN).view(1, -1, 1, 1)) / torch.tensor(STD).view(1, -1, 1, 1)
        with torch.no_grad():
            logits: Tensor = self.net(images)
        return logits

    def part(self, rows: slice) -> "World":
        return World(self.net, self.images[rows], self.labels[rows], self.normalised)

    def goals(self, names: Sequence[str]) -> list[Goal]:
        """One goal of each kind; the targeted one is the class after the label."""
        made: dict[str, Goal] = {"untargeted": Untargeted(self.labels), "targeted": Targeted(self.after(self.labels))}
        return [made[name] for name in names]

    def after(self, classes: Tensor) -> Tensor:
        return (classes + 1) % self.logits(self.images[:1]).shape[1]


@cache
def trained_world() -> World:
    """``SmallCNN`` after a few steps on scikit-learn's digits: about 95 % right, on images full of exact zeros."""
    with one_thread():
        return _trained_world()


def _trained_world() -> World:
    train, test = digits_split()
    images, labels = train.images(0, len(train)), train.labels
    held_out = test.labels
    assert labels is not None
    assert held_out is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = SmallCNN()
        optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
        for step in range(40):
            rows = torch.arange(step * 64, (step + 1) * 64) % len(images)
            optimiser.zero_grad()
            loss = functional.cross_entropy(net((images[rows] - MEAN[0]) / STD[0]), labels[rows])
            torch.autograd.backward(loss)
            optimiser.step()
        optimiser.zero_grad()
    return World(net.eval(), to_8bit(test.images(0, COUNT)), held_out[:COUNT])  # 16 grey levels are not of those 256


def deaf_worlds() -> list[World]:
    """Undecided and sure; to an attack a Classifier looks the same whether its graph knows of the images or not."""
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = torch.zeros(5, dtype=torch.int64)
    return [
        World(Deaf(logits, connected=connected).eval(), images, labels, normalised=False)
        for logits, connected in (([0.0, 0.0, 0.0], True), ([50.0, 1.0, 0.0], False))
    ]


def linear_world(p: float, *, largest_move: float = 0.2) -> tuple[World, float]:
    """Two classes divided by a plane, every image equally far from it in Lp, and that distance.

    Pixels are near the middle of the box and the step to the plane moves none by more than ``largest_move``, so that
    the box never binds and the distance is ``gap / ||w||_q`` with ``1 / p + 1 / q = 1`` (all in double precision).
    """
    generator = torch.Generator().manual_seed(2)
    w = torch.randn(64, generator=generator).double()
    q = 1.0 if p == torch.inf else torch.inf if p == 1 else p / (p - 1)
    relative = w.abs() / w.abs().max()
    gap = float((w.abs() * largest_move * (relative == 1 if p == 1 else relative ** (q - 1))).sum())

    labels = torch.arange(6) % 2
    images = 0.45 + 0.1 * torch.rand(6, 64, generator=generator).double()
    wanted = gap * (2 * labels - 1).double()
    images += torch.outer((wanted - (images - 0.5) @ w) / w.square().sum(), w)

    layer = nn.Linear(64, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.stack([-w / 2, w / 2]))
        layer.bias.copy_(torch.stack([w.sum() / 4, -w.sum() / 4]))
    world = World(nn.Sequential(nn.Flatten(), layer).eval(), images.float().view(6, 1, 8, 8), labels, normalised=False)
    return world, gap / float(torch.linalg.vector_norm(w, ord=q))


def copied(net: nn.Module) -> nn.Module:
    """A copy to be put into odd states."""
    return copy.deepcopy(net)


@contextmanager
def one_thread() -> Iterator[None]:
    """Networks as small as these are slower on several threads, ten times so where other work shares the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def network_of(classifier: Classifier) -> Network:
    """The network that a classifier is known to be."""
    assert isinstance(classifier, Network)
    return classifier
