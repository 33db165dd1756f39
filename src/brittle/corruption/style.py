"""What is left of an image where only its coarse shapes, only its edges or only its textures are."""

import torch

from brittle.corruption.blur import side
from brittle.corruption.registry import corruption
from brittle.rng import Rng
from brittle.types import Images


@corruption("low-pass", "style", "highest frequency that is kept, in cycles a side", 10, 8, 6, 4.5, 3)
def low_pass(images: Images, amount: float, rng: Rng) -> Images:
    """Shapes without textures: frequencies within a disc are kept."""
    return _filtered(images, _radii(images) <= amount)


@corruption("high-pass", "style", "lowest frequency that is kept, in cycles a side", 1.5, 2.5, 3.5, 5, 7)
def high_pass(images: Images, amount: float, rng: Rng) -> Images:
    """Edges and textures without shapes, around the mean."""
    radii = _radii(images)
    return _filtered(images, (radii >= amount) | (radii == 0))


@corruption("patch-shuffle", "style", "patches along a side that change their places", 2, 3, 4, 6, 8)
def patch_shuffle(images: Images, amount: float, rng: Rng) -> Images:
    """Textures without shapes: a grid of patches, in an order of each image's own; what is over stays at the edges."""
    count = min(round(amount), *images.shape[2:])
    height, width = (size // count for size in images.shape[2:])
    top, left = ((size - count * part) // 2 for size, part in zip(images.shape[2:], (height, width), strict=True))
    inner = images[:, :, top : top + count * height, left : left + count * width]
    batch, channels = images.shape[:2]
    patches = inner.reshape(batch, channels, count, height, count, width).permute(0, 2, 4, 1, 3, 5)
    patches = patches.reshape(batch, count * count, channels, height, width)
    order = rng.uniform("order", images.new_zeros(batch, count * count)).argsort(1)
    patches = patches[torch.arange(batch, device=images.device)[:, None], order]
    back = patches.view(batch, count, count, channels, height, width).permute(0, 3, 1, 4, 2, 5)
    shuffled = images.clone()
    shuffled[:, :, top : top + count * height, left : left + count * width] = back.reshape(inner.shape)
    return shuffled


def _radii(images: Images) -> torch.Tensor:
    """How far frequencies are from 0, in cycles along the longer side, ``[H, W // 2 + 1]``."""
    height, width = images.shape[2:]
    down = torch.fft.fftfreq(height, device=images.device).view(-1, 1)
    right = torch.fft.rfftfreq(width, device=images.device).view(1, -1)
    radii: torch.Tensor = (down**2 + right**2).sqrt() * side(images)
    return radii


def _filtered(images: Images, kept: torch.Tensor) -> Images:
    left: Images = torch.fft.irfft2(torch.fft.rfft2(images) * kept, s=images.shape[2:])
    return left
