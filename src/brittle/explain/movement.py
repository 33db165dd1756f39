"""Images moved a little: what is to be seen in them must not hang on single pixels."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from brittle.types import Images


@final
@dataclass(frozen=True, slots=True)
class Movement:
    """How far at most. shift: as a share of the sides. scale: as a share of the size. turn: in degrees."""

    shift: float
    scale: float
    turn: float

    def __call__(self, images: Images, draws: Tensor) -> Images:
        """Images ``[B, C, H, W]``, each turned, scaled and shifted by its own draws ``[B, 4]`` in [0, 1).

        Differentiable. Pixels are bilinear, and what comes in from outside is a mirror image.
        """
        turn, scale, down, right = (2 * draws - 1).unbind(1)
        angle = turn * math.radians(self.turn)
        zoom = 1 / (1 + scale * self.scale)
        height, width = images.shape[2:]
        cos, sin = angle.cos() * zoom, angle.sin() * zoom
        shift = torch.stack([right, down]) * 2 * self.shift
        maps = torch.stack([cos, -sin * height / width, shift[0], sin * width / height, cos, shift[1]], 1).view(
            -1, 2, 3
        )
        grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
        return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
