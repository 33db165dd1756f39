"""Textures: local binary patterns, and local ternary ones, which small differences leave as they are."""

from typing import final

import torch
from torch import Tensor, nn

from brittle.models.inputs.parts import backwards_by, filtered, shifts

_SOFT = 0.05  # of the step that an attacker differentiates


@final
class Patterns(nn.Module):
    """Grey images ``[B, 1, H, W]``, float64 -> bits ``[B, 8 or 16, H, W]``: 1 where a neighbour is brighter, or 0.

    margin 0: at least as bright, a bit for each of 8 neighbours (Ojala et al. 2002). Above 0: brighter by more than
    that, and 8 more bits where it is darker by more (Tan and Triggs 2010). The bits are channels, and no number is made
    of them: which of two such numbers is larger means nothing to a convolution. Backwards: a soft step.
    """

    shifts: Tensor

    def __init__(self, margin: float) -> None:
        super().__init__()
        self.margin = margin
        self.outputs = 16 if margin else 8
        self.register_buffer("shifts", shifts(), persistent=False)

    def forward(self, grey: Tensor) -> Tensor:
        """Bits ``[B, outputs, H, W]``."""
        brighter = filtered(grey, self.shifts, 1) - grey
        if not self.margin:
            return backwards_by(torch.sigmoid(brighter / _SOFT), (brighter >= 0).to(grey.dtype))
        both = torch.cat([brighter, -brighter], 1)
        return backwards_by(torch.sigmoid((both - self.margin) / _SOFT), (both > self.margin).to(grey.dtype))
