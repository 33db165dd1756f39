"""Classifiers of two pixels, by formula: the box of valid images is the unit square, and boundaries are curves."""

import math
from functools import cache
from typing import final

import torch
from torch import Tensor, nn

from brittle.models.network import Network
from brittle.types import Images, Logits


def image(right: float, up: float) -> Tensor:
    """The image ``[1, 1, 2]`` at a point: its first pixel is how far to the right, its second how far up."""
    return torch.tensor([right, up]).view(1, 1, 2)


@final
class Planes(nn.Module):
    """Logits that are affine in a point, or in a point that has been bent: ``w_k . bend(p) + b_k``.

    The bend is ``p + much * sin`` of the other coordinate; with 0 boundaries are straight.
    """

    def __init__(self, sites: list[tuple[float, float]], much: float = 0.0, sharp: float = 12.0) -> None:
        super().__init__()
        at = torch.tensor(sites)
        # -sharp * |p - site|^2 without what all classes share: each class has what is nearest to its site.
        self.weight, self.bias = 2 * sharp * at, -sharp * at.square().sum(1)
        self.much = much

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, K]``."""
        p = images.flatten(1)
        p = p + self.much * torch.sin(2 * math.pi * p.flip(1) + torch.tensor([0.0, 1.5]))
        return p @ self.weight.T + self.bias


@final
class Rounds(nn.Module):
    """Each class has ``height - steep * |(p - centre) / radii|^2``: boundaries are curves of the second degree.

    A class that falls less steeply than all others is what lies around them.
    """

    def __init__(self, classes: list[tuple[tuple[float, float], tuple[float, float], float, float]]) -> None:
        super().__init__()
        centres, radii, steep, height = zip(*classes, strict=True)
        self.centres, self.radii = torch.tensor(centres), torch.tensor(radii)
        self.steep, self.height = torch.tensor(steep), torch.tensor(height)

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, K]``."""
        away = ((images.flatten(1).unsqueeze(1) - self.centres) / self.radii).square().sum(2)
        return self.height - self.steep * away


def network(net: nn.Module) -> Network:
    """It as a classifier, whose logits are not doubted: what is drawn asks it thousands of times."""
    return Network(net, fast=False, steady=False, batch_size=1 << 16)


TWO = [(0.2, 0.3), (0.9, 0.75)]
FOUR = [(0.15, 0.62), (0.62, 0.95), (0.92, 0.42), (0.5, 0.42)]
"""Sites of four classes; the fourth lies between the others, as in the figures of the DeepFool paper."""


def two() -> Network:
    """Two classes and a straight boundary."""
    return network(Planes(TWO))


def bent_two() -> Network:
    """Two classes and a wavy boundary."""
    return network(Planes(TWO, much=0.09))


def four() -> Network:
    """Four classes: the fourth one's region is a convex polygon."""
    return network(Planes(FOUR))


def bent_four() -> Network:
    """The same, bent."""
    return network(Planes(FOUR, much=0.09))


def ellipse() -> Network:
    """Two classes: the second one's region is an ellipse, and the lead of the first is convex."""
    return network(Rounds([((0.5, 0.5), (1.0, 1.0), 0.0, 0.0), ((0.66, 0.62), (0.3, 0.17), 4.0, 4.0)]))


def disc() -> Network:
    """Two classes: the second one's region is a large disc in a corner."""
    return network(Rounds([((0.5, 0.5), (1.0, 1.0), 0.0, 0.0), ((0.9, 0.9), (0.5, 0.5), 4.0, 4.0)]))


def discs() -> Network:
    """Four classes: the regions of three are round, and the fourth is around them."""
    around = [((0.05, 0.95), (0.5, 0.4), 4.0, 4.0), ((0.9, 0.98), (0.42, 0.34), 4.0, 4.0),
              ((0.98, 0.2), (0.32, 0.42), 4.0, 4.0)]  # fmt: skip
    return network(Rounds([*around, ((0.5, 0.5), (1.0, 1.0), 0.0, 0.0)]))


@cache
def learnt() -> Network:
    """A small ReLU network that has learnt the classes of ``discs`` from some points; its boundaries have edges."""
    teacher = discs()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 4))
        points = torch.rand(512, 1, 1, 2)
        labels = teacher.logits(points).argmax(1)
        optimiser = torch.optim.Adam(net.parameters(), lr=0.05, weight_decay=1e-3)
        for _ in range(200):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(points), labels).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return network(net.requires_grad_(False))
