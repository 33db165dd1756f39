"""Oriented energies: how much there is of a direction and a wavelength around each place."""

import math
from typing import final

import torch
from torch import Tensor, nn

from brittle.models.inputs.parts import filtered

_DIRECTIONS, _WAVELENGTH, _REACH = 4, 4.0, 3  # pixels
_TINY = 1e-4


@final
class Gabor(nn.Module):
    """Grey images ``[B, 1, H, W]``, float64 -> energies ``[B, 4, H, W]`` of stripes upright, and by 45 degrees turned.

    Of pairs of Gabor filters in quadrature, whose sum is 0, with a wavelength of 4 pixels under a bell of 2: the root
    of both squares (Adelson and Bergen 1985). Smooth, and differentiated as they are.
    """

    outputs = _DIRECTIONS
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        places = torch.arange(-_REACH, _REACH + 1, dtype=torch.float64)
        down, right = torch.meshgrid(places, places, indexing="ij")
        bell = (-(down.square() + right.square()) / (2 * (_WAVELENGTH / 2) ** 2)).exp()
        filters = []
        for number in range(_DIRECTIONS):
            angle = math.pi * number / _DIRECTIONS
            phase = 2 * math.pi * (right * math.cos(angle) + down * math.sin(angle)) / _WAVELENGTH
            even = bell * phase.cos()
            even = even - bell * even.sum() / bell.sum()
            odd = bell * phase.sin()
            scale = max(float(even.clamp_min(0).sum()), float(odd.clamp_min(0).sum()))
            filters += [even / scale, odd / scale]  # no answer to pixels in [0, 1] is beyond 1
        self.register_buffer("filters", torch.stack(filters)[:, None], persistent=False)

    def forward(self, grey: Tensor) -> Tensor:
        """Energies ``[B, 4, H, W]``."""
        answers = filtered(grey, self.filters, _REACH)
        return (answers[:, ::2].square() + answers[:, 1::2].square() + _TINY).sqrt()
