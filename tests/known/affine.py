"""Affine classifiers, for which the distance to the nearest other class is known in closed form."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.rng import Rng

SHAPES = {48: (3, 4, 4), 192: (3, 8, 8), 3072: (3, 32, 32)}


class Affine(nn.Module):
    """Logits ``W x + b``; one row of W: a single logit."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight.float()), nn.Parameter(bias.float())

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) @ self.weight.T + self.bias


def conjugate(p: float) -> float:
    return 1.0 if math.isinf(p) else math.inf if p == 1 else p / (p - 1)


@dataclass(frozen=True)
class Problem:
    """Images of an affine classifier, their labels and, per image, the distance ``min_k gap_k / ||w_k||_q``."""

    net: Affine
    images: Tensor
    labels: Tensor
    distances: Tensor

    @property
    def classifier(self) -> Classifier:
        return Network(self.net)

    @property
    def goal(self) -> Untargeted:
        return Untargeted(self.labels)

    @property
    def rng(self) -> Rng:
        return Rng(0, tuple(str(row) for row in range(len(self.images))))


def two_rows(net: Affine) -> tuple[Tensor, Tensor]:
    """Weights and biases of all classes in double precision, the single logit's class 0 included."""
    weight, bias = net.weight.detach().double(), net.bias.detach().double()
    if len(weight) == 1:
        weight, bias = torch.cat([0 * weight, weight]), torch.cat([0 * bias, bias])
    return weight, bias


def distances_of(net: Affine, images: Tensor, labels: Tensor, p: float) -> Tensor:
    """Closed form, in double precision."""
    weight, bias = two_rows(net)
    logits = images.double().flatten(1) @ weight.T + bias
    gaps = logits.gather(1, labels.unsqueeze(1)) - logits
    sizes = torch.linalg.vector_norm(weight[labels].unsqueeze(1) - weight, ord=conjugate(p), dim=2)
    own = torch.nn.functional.one_hot(labels, len(weight)).bool()
    return torch.where(own, math.inf, gaps / sizes).amin(1)


def affine_problem(classes: int, pixels: int, p: float, *, seed: int = 0, count: int = 8, move: float = 0.2) -> Problem:
    """Near mid-grey, and so far from the boundary that the way to it moves a pixel by about ``move`` at most.

    classes: 1 makes a single-logit network of two classes.
    """
    generator = torch.Generator().manual_seed(seed)
    net = Affine(torch.randn(classes, pixels, generator=generator), torch.zeros(classes))
    with torch.no_grad():
        net.bias.copy_(-0.5 * net.weight.double().sum(1))
    weight, _ = two_rows(net)
    labels = torch.arange(count) % len(weight)
    away = weight[labels] - weight.mean(0)
    away = away / away.norm(dim=1, keepdim=True) + 0.2 * torch.randn(count, pixels, generator=generator) / pixels**0.5

    # Everything is linear in how far the images are from mid-grey: one try tells how far they should be.
    tried = distances_of(net, 0.5 + away, labels, p)
    relative = (weight[labels] - weight[(labels + 1) % len(weight)]).abs()
    relative = relative / relative.amax(1, keepdim=True)
    shape = (relative == 1).double() if p == 1 else relative ** (conjugate(p) - 1)
    largest = tried / torch.linalg.vector_norm(shape, ord=p, dim=1)
    images = (0.5 + away * (move / largest).unsqueeze(1)).float().view(count, *SHAPES[pixels])
    return Problem(net, images, labels, distances_of(net, images, labels, p))
