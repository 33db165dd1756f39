"""Where a classifier's decision changes: maps of planes, and how flat the boundary is."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.models.classifier import Classifier
from brittle.types import Images, Labels, Logits

_HALVINGS = 24
_LANDINGS = 8  # Newton steps back to the boundary
_CLOSE = 1e-3  # of the gap at the image: a point with less is on the boundary


def basis(first: Tensor, second: Tensor) -> Tensor:
    """Two directions ``[C, H, W]`` -> orthonormal ``[2, C, H, W]``: the first, and what the second adds to it."""
    along = first / first.norm()
    across = second - (second * along).sum() * along
    return torch.stack([along, across / across.norm()])


def map_of(classifier: Classifier, image: Tensor, axes: Tensor, reach: float, size: int) -> Logits:
    """Logits ``[size, size, K]`` on a square of the plane through an image ``[C, H, W]``; rows from top to bottom.

    axes: as of ``basis``, the first to the right, the second upwards. reach: from the image to each edge, in L2. The
    plane is left as it is where it leaves the valid pixels: a network has an answer there, too.
    """
    steps = torch.linspace(-reach, reach, size, device=image.device)
    up, right = torch.meshgrid(steps.flip(0), steps, indexing="ij")
    offsets = torch.stack([right.flatten(), up.flatten()], 1)
    parts = [
        classifier.logits(image + torch.einsum("nk,kchw->nchw", offsets[rows], axes), plain=True)
        for rows in classifier.chunks(size * size)
    ]
    return torch.cat(parts).view(size, size, -1)


class Crossing(NamedTuple):
    """Where ways cross a boundary. points: ``[B, C, H, W]``. others: int64 ``[B]``, the class beyond it."""

    points: Images
    others: Labels


def crossing(classifier: Classifier, images: Images, beyond: Images, labels: Labels) -> Crossing:
    """Where the straight way to an image that is taken for another class leaves the label, found by halving.

    Of rows whose ``beyond`` is not of another class, nothing is to be made.
    """
    others = classifier.logits(beyond, plain=True).argmax(1)
    low, high = images.new_zeros(len(images)), images.new_ones(len(images))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        logits = classifier.logits(images + middle.view(-1, 1, 1, 1) * (beyond - images), plain=True)
        inside = _gap(logits, labels, others) > 0
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return Crossing(images + high.view(-1, 1, 1, 1) * (beyond - images), others)


class Turning(NamedTuple):
    """How a boundary turns. distances, angles: ``[T, D]``, straight between two of its points, in L2, and in radians
    between its normals there; NaN where no boundary was found."""

    distances: Tensor
    angles: Tensor


def turning(
    classifier: Classifier,
    point: Tensor,
    label: int,
    other: int,
    tangents: Tensor,
    reaches: Sequence[float],
    gap: float,
) -> Turning:
    """How the boundary between two classes turns about one of its points ``[C, H, W]``.

    From there, along each tangent ``[T, C, H, W]`` (made orthogonal to the normal) as far as each of ``reaches``, and
    back to the boundary along the normal. Of a sphere, angles over arcs are one over its radius; of a plane, 0. gap:
    what the logits of the two classes differ by where nothing is near, to tell what is on the boundary.
    """

    def score(logits: Logits) -> Tensor:
        return logits[:, label] - logits[:, other]

    _, slope = classifier.gradient(point.unsqueeze(0), score)
    normal = slope / slope.norm()
    flat = tangents - _along(tangents, normal) * normal
    flat = flat / flat.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    far = torch.tensor(reaches, device=point.device).view(1, -1, 1, 1, 1)
    start = (point + far * flat.unsqueeze(1)).flatten(0, 1)
    most = far.expand(len(tangents), -1, 1, 1, 1).reshape(-1, 1, 1, 1)
    depth = torch.zeros_like(most)
    for _ in range(_LANDINGS):
        gaps, slopes = classifier.gradient(start + depth * normal, score)
        height = score(gaps).view(-1, 1, 1, 1)
        steep = _along(slopes, normal)
        depth = (depth - height / torch.where(steep.abs() > 0, steep, torch.inf)).clamp(-most, most)
    landed = start + depth * normal
    gaps, slopes = classifier.gradient(landed, score)
    found = score(gaps).abs() < _CLOSE * gap
    size = slopes.flatten(1).norm(dim=1)
    cosine = _along(slopes, normal).flatten() / size.where(size > 0, size.new_ones(()))
    angles = cosine.clamp(-1, 1).acos().where(found & (size > 0), torch.nan)
    distances = (landed - point).flatten(1).norm(dim=1).where(found, torch.nan)
    shape = len(tangents), len(reaches)
    return Turning(distances.view(shape), angles.view(shape))


def linear_distance(classifier: Classifier, images: Images, labels: Labels, others: Labels) -> Tensor:
    """``[B]``: how far the boundary to a class would be, in L2, if it were as flat as it seems from each image."""
    score: Callable[[Logits], Tensor] = lambda logits: _gap(logits, labels, others)  # noqa: E731
    logits, slopes = classifier.gradient(images, score)
    distances: Tensor = score(logits) / slopes.flatten(1).norm(dim=1)
    return distances


def _gap(logits: Logits, labels: Labels, others: Labels) -> Tensor:
    rows = torch.arange(len(logits), device=logits.device)
    return logits[rows, labels] - logits[rows, others]


def _along(tensors: Tensor, direction: Tensor) -> Tensor:
    along: Tensor = (tensors * direction).flatten(1).sum(1)
    return along.view(-1, 1, 1, 1)
