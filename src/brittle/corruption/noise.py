"""What sensors and channels add."""

import torch

from brittle.corruption.registry import corruption
from brittle.rng import Rng
from brittle.types import Images

_MOST_PHOTONS = 200  # beyond which the distribution's tail is nothing


@corruption("gaussian-noise", "noise", "standard deviation of what is added to each value", 0.03, 0.06, 0.1, 0.14, 0.2)
def gaussian(images: Images, amount: float, rng: Rng) -> Images:
    """Thermal noise."""
    return images + amount * rng.normal("values", images)


@corruption("shot-noise", "noise", "photons that a white value stands for", 100, 50, 25, 12, 6)
def shot(images: Images, amount: float, rng: Rng) -> Images:
    """Poisson noise of few photons, by the inverse of its distribution, so that draws stay an image's own."""
    rate, uniform = amount * images, rng.uniform("values", images)
    term = torch.exp(-rate)
    total, count = term.clone(), torch.zeros_like(images)
    for photons in range(1, _MOST_PHOTONS):
        more = uniform >= total
        if not more.any():
            break
        count += more
        term = term * rate / photons
        total += term
    return count / amount


@corruption("impulse-noise", "noise", "share of values that turn black or white", 0.01, 0.03, 0.06, 0.1, 0.17)
def impulse(images: Images, amount: float, rng: Rng) -> Images:
    """Salt and pepper: dead and saturated sensors, bit errors."""
    uniform = rng.uniform("values", images)
    return torch.where(uniform < amount / 2, 0.0, torch.where(uniform > 1 - amount / 2, 1.0, images))


@corruption("speckle-noise", "noise", "the same, as a share of each value", 0.1, 0.2, 0.3, 0.4, 0.6)
def speckle(images: Images, amount: float, rng: Rng) -> Images:
    """Noise in proportion to the light."""
    return images * (1 + amount * rng.normal("values", images))
