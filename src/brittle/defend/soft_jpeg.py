"""JPEG by formulas that can be differentiated (ITU-T T.81; JFIF 1.02), for attackers: rounding is soft.

Colours are halved in both directions, as encoders do by default.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle.models.stairs import Rounder
from brittle.types import Images

_SIDE = 8  # of a block
# Annex K.1: how coarsely each frequency of brightness and of colour is rounded at quality 50, row by row.
_BRIGHTNESS = (
    *(16, 11, 10, 16, 24, 40, 51, 61),
    *(12, 12, 14, 19, 26, 58, 60, 55),
    *(14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62),
    *(18, 22, 37, 56, 68, 109, 103, 77),
    *(24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101),
    *(72, 92, 95, 98, 112, 100, 103, 99),
)
_COLOUR = (
    *(17, 18, 24, 47, 99, 99, 99, 99),
    *(18, 21, 26, 66, 99, 99, 99, 99),
    *(24, 26, 56, 99, 99, 99, 99, 99),
    *(47, 66, 99, 99, 99, 99, 99, 99),
    *[99] * 32,
)
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def soft_jpeg(images: Images, rounded: Rounder, quality: int) -> Images:
    """What a JPEG file of this quality makes of grey or RGB images, but for ``rounded`` in place of rounding."""
    height, width = images.shape[2:]
    steps, colour_steps = (_steps(table, quality, images) for table in (_BRIGHTNESS, _COLOUR))
    if images.shape[1] == 1:
        made = _coded(_whole(255 * images, _SIDE) - 128, steps, rounded) + 128
    else:
        matrix = images.new_tensor(_TO_YCC)
        planes = torch.einsum("ij,bjhw->bihw", matrix, 255 * images)
        bright = _coded(_whole(planes[:, :1], _SIDE) - 128, steps, rounded) + 128
        halved = F.avg_pool2d(_whole(planes[:, 1:], 2 * _SIDE), 2)
        colour = F.interpolate(
            _coded(halved, colour_steps, rounded), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        both = torch.cat([bright[:, :, :height, :width], colour[:, :, :height, :width]], 1)
        made = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(matrix), both)
    return made[:, :, :height, :width].clamp(0, 255) / 255


def _whole(planes: Tensor, side: int) -> Tensor:
    """Up to whole blocks, and no further: what an encoder does not code would be rounded all the same."""
    height, width = planes.shape[2:]
    return F.pad(planes, (0, -width % side, 0, -height % side), mode="replicate")


def _coded(planes: Tensor, steps: Tensor, rounded: Rounder) -> Tensor:
    """Block by block: the cosine transform, rounded to multiples of the steps, and back."""
    transform = _cosines(planes)
    blocks = planes.unflatten(3, (-1, _SIDE)).unflatten(2, (-1, _SIDE)).transpose(3, 4)  # type: ignore[no-untyped-call]
    kept = rounded(transform @ blocks @ transform.T, steps)
    back: Tensor = (transform.T @ kept @ transform).transpose(3, 4).flatten(4, 5).flatten(2, 3)
    return back


def _cosines(like: Tensor) -> Tensor:
    k = torch.arange(_SIDE, dtype=like.dtype, device=like.device)
    waves = torch.cos(math.pi * (2 * k + 1) * k.unsqueeze(1) / (2 * _SIDE)) / 2
    waves[0] /= math.sqrt(2)
    return waves


def _steps(table: tuple[int, ...], quality: int, like: Tensor) -> Tensor:
    """As libjpeg scales them."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    at_50 = torch.tensor(table, dtype=like.dtype, device=like.device).view(_SIDE, _SIDE)
    return ((at_50 * scale + 50) / 100).floor().clamp(1, 255)
