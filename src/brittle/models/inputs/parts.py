"""What several inputs are made with."""

import torch
from torch import Tensor
from torch.nn import functional

AROUND = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""The neighbours of a place, (down, right), by turns of 45 degrees; the one behind the first is the fifth."""


def shifts() -> Tensor:
    """Filters ``[8, 1, 3, 3]`` each of which gives a place the value of one neighbour, exactly."""
    filters = torch.zeros(len(AROUND), 1, 3, 3, dtype=torch.float64)
    for number, (down, right) in enumerate(AROUND):
        filters[number, 0, 1 + down, 1 + right] = 1
    return filters


def filtered(grey: Tensor, filters: Tensor, reach: int) -> Tensor:
    """What filters ``[K, 1, S, S]``, S = 2 reach + 1, answer to ``[B, 1, H, W]``, whose edges go on: ``[B, K, H, W]``.

    Without a look at sizes, so that torch.fx can trace it.
    """
    return functional.conv2d(functional.pad(grey, (reach,) * 4, mode="replicate"), filters)


def backwards_by(smooth: Tensor, exact: Tensor) -> Tensor:
    """The exact values with the slope of the smooth ones (Athalye et al. 2018, section 4.1)."""
    return smooth + (exact - smooth).detach()
