"""What lenses and movements do. Sizes are shares of the image's longer side, so that they mean the same at any size."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from brittle.corruption.registry import corruption
from brittle.rng import Rng
from brittle.types import Images

_ZOOMS = 8
_LEAST = 0.4  # pixels


@corruption("gaussian-blur", "blur", "standard deviation, as a share of the side", 0.006, 0.012, 0.018, 0.025, 0.035)
def gaussian(images: Images, amount: float, rng: Rng) -> Images:
    """Out of focus, softly; by 0.4 pixels at the least, below which nothing is blurred at all."""
    return blurred(images, math.hypot(amount * side(images), _LEAST))


@corruption("defocus-blur", "blur", "radius of the disc, as a share of the side", 0.012, 0.02, 0.03, 0.04, 0.055)
def defocus(images: Images, amount: float, rng: Rng) -> Images:
    """A lens's disc of confusion, its edge cut by area."""
    radius = amount * side(images)
    reach = math.ceil(radius)
    fine = 8  # samples across a pixel
    axis = (torch.arange((2 * reach + 1) * fine) + 0.5) / fine - reach - 0.5
    inside = (axis[:, None] ** 2 + axis[None, :] ** 2 <= (radius + 0.5) ** 2).float()
    return _convolved(images, functional.avg_pool2d(inside[None, None], fine)[0, 0].expand(len(images), -1, -1))


@corruption("motion-blur", "blur", "length of the way, as a share of the side", 0.05, 0.08, 0.12, 0.17, 0.24)
def motion(images: Images, amount: float, rng: Rng) -> Images:
    """A straight movement while the shutter is open, in a direction of each image's own."""
    length = amount * side(images)
    reach = max(1, math.ceil(length / 2))
    angle = math.pi * rng.uniform("direction", images[:, 0, 0, 0]).view(-1, 1, 1)
    axis = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    down, right = axis.view(1, -1, 1), axis.view(1, 1, -1)
    along, across = right * angle.cos() + down * angle.sin(), down * angle.cos() - right * angle.sin()
    kernel = (length / 2 + 0.5 - along.abs()).clamp(0, 1) * (1 - across.abs()).clamp_min(0)
    return _convolved(images, kernel)


@corruption("zoom-blur", "blur", "how much nearer at the end, as a share", 0.06, 0.11, 0.16, 0.21, 0.3)
def zoom(images: Images, amount: float, rng: Rng) -> Images:
    """A movement towards what is seen."""
    seen = [images]
    for step in range(1, _ZOOMS + 1):
        theta = torch.eye(2, 3, device=images.device) / (1 + amount * step / _ZOOMS)
        grid = functional.affine_grid(theta.expand(len(images), 2, 3), list(images.shape), align_corners=False)
        seen.append(functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False))
    return torch.stack(seen).mean(0)


def side(images: Images) -> int:
    """The longer side, in pixels."""
    return max(images.shape[2:])


def blurred(images: Images, sigma: float) -> Images:
    """By a Gaussian of that many pixels."""
    axis = torch.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1, device=images.device, dtype=images.dtype)
    line = torch.exp(-(axis**2) / (2 * sigma**2))
    return _convolved(images, (line[:, None] * line[None, :]).expand(len(images), -1, -1))


def _convolved(images: Images, kernels: Tensor) -> Images:
    """Each image by its own kernel ``[B, K, K]``, K odd, whose sum becomes 1; edges mirrored."""
    kernels = (kernels / kernels.sum((1, 2), keepdim=True)).to(images)
    batch, channels, height, width = images.shape
    reach = kernels.shape[1] // 2
    rows, columns = (_mirrored(side, reach, images.device) for side in (height, width))
    padded = images[:, :, rows][..., columns]
    flat = padded.reshape(1, batch * channels, *padded.shape[2:])
    weights = kernels.repeat_interleave(channels, 0).unsqueeze(1)
    return functional.conv2d(flat, weights, groups=batch * channels).view(batch, channels, height, width)


def _mirrored(side: int, reach: int, device: torch.device) -> Tensor:
    """Which pixel of a side, however short, stands at each place of one that goes on by ``reach`` at either end."""
    places = torch.arange(-reach, side + reach, device=device).remainder(max(2 * side - 2, 1))
    return torch.minimum(places, 2 * side - 2 - places)
