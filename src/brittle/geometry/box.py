"""The box of valid images: every pixel in [0, 1]."""

from typing import NamedTuple

from torch import Tensor

from brittle.types import Images

LOW, HIGH = 0.0, 1.0


class Room(NamedTuple):
    """How far each pixel may still move: ``low <= 0 <= high``, both shaped as the images."""

    low: Tensor
    high: Tensor


def clip(images: Images) -> Images:
    """The nearest valid images, in every norm at once."""
    return images.clamp(LOW, HIGH)


def contains(images: Images) -> Tensor:
    """bool ``[B]``: every pixel is in the box, exactly; a NaN is not."""
    return ((images >= LOW) & (images <= HIGH)).flatten(1).all(1)


def room(images: Images) -> Room:
    """What a perturbation of these images may add without leaving the box."""
    return Room(LOW - images, HIGH - images)


def inward(gradient: Images, images: Images) -> Images:
    """The gradient without what would push a pixel out of the box from where it stands."""
    return gradient * ((images > LOW) | (gradient > 0)) * ((images < HIGH) | (gradient < 0))
