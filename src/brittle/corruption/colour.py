"""Colours that are shifted. Grey images have none."""

import math

import torch

from brittle.corruption.registry import corruption
from brittle.rng import Rng
from brittle.types import Images


@corruption("hue", "colour", "turn of the colour circle, in degrees, either way", 20, 45, 80, 120, 180, colour=True)
def hue(images: Images, amount: float, rng: Rng) -> Images:
    """Turned about the grey axis, which keeps the sum of red, green and blue; each image one way or the other."""
    way = torch.where(rng.uniform("way", images[:, 0, 0, 0]) < 0.5, -1.0, 1.0)
    angle = math.radians(amount) * way
    cos, third = angle.cos(), (1 - angle.cos()) / 3
    root = angle.sin() / math.sqrt(3)
    turn = torch.stack(
        [
            torch.stack([cos + third, third - root, third + root], -1),
            torch.stack([third + root, cos + third, third - root], -1),
            torch.stack([third - root, third + root, cos + third], -1),
        ],
        1,
    )
    return torch.einsum("bij,bjhw->bihw", turn, images)


@corruption("saturation", "colour", "share of the colour that is lost", 0.4, 0.6, 0.8, 0.9, 1.0, colour=True)
def saturation(images: Images, amount: float, rng: Rng) -> Images:
    """Towards grey of the same sum."""
    grey = images.mean(1, keepdim=True)
    return grey + (1 - amount) * (images - grey)


@corruption("colour-cast", "colour", "size of a colour that is added", 0.08, 0.14, 0.2, 0.28, 0.36, colour=True)
def cast(images: Images, amount: float, rng: Rng) -> Images:
    """The light has a colour, one for each image, of no brightness."""
    colour = rng.normal("colour", images[:, :, :1, :1])
    colour = colour - colour.mean(1, keepdim=True)
    return images + amount * colour / colour.square().sum(1, keepdim=True).sqrt().clamp_min(1e-12)
