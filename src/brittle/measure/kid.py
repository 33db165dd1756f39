"""The kernel inception distance: how far apart two sets of images are, by what a network sees in them."""

import numpy as np
import numpy.typing as npt

from brittle.measure.attack import mean
from brittle.measure.models import Measured

Features = npt.NDArray[np.float64]

BLOCK = 100
"""Images of a block: distances of disjoint blocks are independent, and have a mean with an interval."""


def kid(one: Features, other: Features, block: int = BLOCK) -> Measured:
    """The squared maximum mean discrepancy of features ``[N, D]`` and ``[M, D]``, without bias, on average over blocks.

    By the kernel ``(x . y / D + 1)^3``; about 0, and on either side of it, where both sets are of one kind. Source:
    Binkowski et al. 2018, arXiv:1801.01401.
    """
    blocks = min(len(one), len(other)) // block
    pairs = zip(_cut(one, blocks, block), _cut(other, blocks, block), strict=True)
    return mean([discrepancy(*pair) for pair in pairs])


def discrepancy(one: Features, other: Features) -> float:
    """Of two sets of at least two."""
    return _within(one) + _within(other) - 2 * float(_kernel(one, other).mean())


def _within(features: Features) -> float:
    """The mean over pairs of different images."""
    kernel, n = _kernel(features, features), len(features)
    return float(kernel.sum() - np.trace(kernel)) / (n * (n - 1))


def _kernel(one: Features, other: Features) -> Features:
    values: Features = (one @ other.T / one.shape[1] + 1) ** 3
    return values


def _cut(features: Features, blocks: int, block: int) -> list[Features]:
    return [features[block * number : block * (number + 1)] for number in range(blocks)]
