"""What an attacker puts in place of rounding, whose own slope is 0 everywhere."""

import math

import torch
from torch import Tensor

_WIDTH = 0.16  # of a step: so far from a jump the slope is an e-th of what it is there


def softly_rounded(values: Tensor, unit: Tensor) -> Tensor:
    """Whole units at whole units, and between them a slope of ``exp(-d / width)``.

    d is how far a value is, in units, from where rounding jumps. So a gradient goes to what a small change makes jump,
    and holds there what has jumped; but it is 0 nowhere. Shin and Song 2017 ("JPEG-resistant adversarial images",
    Machine Learning and Computer Security Workshop) take a cube, whose slope falls off more slowly.
    """
    heights = values / unit
    nearest = heights.detach().round()
    beyond = heights - nearest
    size = torch.where(beyond < 0, -beyond, beyond)  # whose slope at 0 is 1, as that of abs is not
    rise = math.exp(-0.5 / _WIDTH) * _WIDTH * (size / _WIDTH).expm1()
    return (nearest + torch.where(beyond < 0, -rise, rise)) * unit
