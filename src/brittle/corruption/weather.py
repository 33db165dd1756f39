"""What lies in the air, and the light."""

import torch
from torch import Tensor

from brittle.corruption.blur import motion, side
from brittle.corruption.registry import corruption
from brittle.rng import Rng
from brittle.types import Images

_ROUGHNESS = 1.5  # of fog: amplitudes fall with the frequency to this power
_FLAKE = 48  # flakes' size is a pixel of an image of this side


@corruption("fog", "weather", "share of the light that is fog", 0.2, 0.3, 0.4, 0.5, 0.62)
def fog(images: Images, amount: float, rng: Rng) -> Images:
    """Clouds without a scale of their own, in front of what is seen; they are light grey."""
    cloud = 0.6 + 0.4 * clouds(images, rng)
    return (1 - amount) * images + amount * cloud


@corruption("snow", "weather", "share of places with a flake", 0.01, 0.02, 0.035, 0.055, 0.08)
def snow(images: Images, amount: float, rng: Rng) -> Images:
    """Flakes that fall in one direction, and the haze of those that are far away."""
    coarse = max(1, side(images) // _FLAKE)
    height, width = (-(-size // coarse) for size in images.shape[2:])
    places = rng.uniform("flakes", images.new_zeros(len(images), 1, height, width)) < amount
    flakes = places.to(images).repeat_interleave(coarse, 2).repeat_interleave(coarse, 3)
    fallen = motion(flakes[:, :, : images.shape[2], : images.shape[3]], 0.08, rng.another("fall"))
    fallen = (fallen / fallen.amax((1, 2, 3), keepdim=True).clamp_min(1e-6)).clamp(0, 1)
    hazy = images + 2 * amount * (1 - images)
    return hazy + fallen * (1 - hazy)


@corruption("brightness", "weather", "added to every value", 0.1, 0.2, 0.3, 0.4, 0.5)
def brightness(images: Images, amount: float, rng: Rng) -> Images:
    """Too much light."""
    return images + amount


@corruption("darkness", "weather", "share of the light that is missing", 0.3, 0.45, 0.6, 0.72, 0.82)
def darkness(images: Images, amount: float, rng: Rng) -> Images:
    """Too little light."""
    return images * (1 - amount)


def clouds(images: Images, rng: Rng) -> Tensor:
    """Noise whose amplitudes fall with the frequency, from 0 to 1 in each image, ``[B, 1, H, W]``."""
    height, width = images.shape[2:]
    spectrum = torch.fft.rfft2(rng.normal("clouds", images[:, :1]))
    down = torch.fft.fftfreq(height, device=images.device).view(-1, 1) * height
    right = torch.fft.rfftfreq(width, device=images.device).view(1, -1) * width
    fall = (down**2 + right**2).clamp_min(1).pow(-_ROUGHNESS / 2)
    made = torch.fft.irfft2(spectrum * fall, s=(height, width))
    low, high = made.amin((1, 2, 3), keepdim=True), made.amax((1, 2, 3), keepdim=True)
    even: Tensor = (made - low) / (high - low).clamp_min(1e-12)
    return even
