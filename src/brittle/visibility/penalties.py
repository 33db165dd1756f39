"""What a change costs for being visible: the terms that an optimiser weighs against the network's answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from brittle.errors import BrittleError, did_you_mean
from brittle.types import Images
from brittle.visibility.colour import colour_metric, small_difference
from brittle.visibility.jnd import just_noticeable
from brittle.visibility.lpips import load_lpips
from brittle.visibility.spaces import one_if_equal, rows_of
from brittle.visibility.ssim import ssim


class Penalty(Protocol):
    """A cost of leaving a batch of originals. ``penalty[rows]`` is the same cost for some of them."""

    def __call__(self, perturbed: Images) -> Tensor:
        """The cost ``[N]``, differentiable; 0 where nothing has changed, and never negative but for rounding."""

    def __getitem__(self, rows: Tensor) -> "Penalty": ...


def penalty_of(name: str, original: Images) -> Penalty:
    """The penalty called ``name`` around originals ``[N, C, H, W]`` in [0, 1], each a mean over the pixels.

    - ``l2``: the squared change of a channel.
    - ``colour``: the squared CIEDE2000, by its metric around the original (``visibility.colour.small_difference``).
    - ``ssim``: what is missing to an SSIM of 1.
    - ``lpips``: LPIPS over AlexNet, with the extra of that name.
    - ``jnd``: the squared change of a channel in units of the just noticeable difference there, so that textures and
      what is very dark or bright may carry more.

    What depends on the originals alone is made here, once. BrittleError for what is no penalty, and for images without
    the colours that a penalty needs.
    """
    require_penalty(name)
    if name != "l2" and original.shape[1] not in (1, 3):
        raise BrittleError(f"expected grey or RGB images for the penalty {name}, got {original.shape[1]} channels")
    return _KINDS[name](original)


def require_penalty(name: str) -> None:
    """Refuses what is no penalty."""
    if name not in _KINDS:
        raise BrittleError(f"unknown penalty {name!r}{did_you_mean(name, _KINDS)}")


@final
@dataclass(frozen=True, slots=True)
class Squares:
    """The mean square of the change, over a unit ``[N or 1, 1, H, W]`` that each pixel has."""

    original: Images
    unit: Tensor

    def __call__(self, perturbed: Images) -> Tensor:
        return ((perturbed - self.original) / self.unit).square().mean((1, 2, 3))

    def __getitem__(self, rows: Tensor) -> "Squares":
        return Squares(self.original[rows], rows_of(self.unit, rows))


@final
@dataclass(frozen=True, slots=True)
class Colours:
    """The mean square of small colour differences, by a metric ``[N or 1, 3, 3, H, W]``."""

    original: Images
    metric: Tensor

    def __call__(self, perturbed: Images) -> Tensor:
        step = (perturbed - self.original).expand(-1, 3, -1, -1)
        return small_difference(self.metric, step).mean((1, 2))

    def __getitem__(self, rows: Tensor) -> "Colours":
        return Colours(self.original[rows], rows_of(self.metric, rows))


@final
@dataclass(frozen=True, slots=True)
class Distance:
    """What a distance ``(one, other) -> [N]`` gives."""

    original: Images
    between: Callable[[Images, Images], Tensor]

    def __call__(self, perturbed: Images) -> Tensor:
        return self.between(self.original, perturbed)

    def __getitem__(self, rows: Tensor) -> "Distance":
        return Distance(self.original[rows], self.between)


def _l2(original: Images) -> Penalty:
    return Squares(original, torch.ones_like(original[:1, :1, :1, :1]))


def _colour(original: Images) -> Penalty:
    return Colours(original, colour_metric(one_if_equal(original).expand(-1, 3, -1, -1)))


def _ssim(original: Images) -> Penalty:
    return Distance(original, lambda one, other: 1 - ssim(one, other))


def _lpips(original: Images) -> Penalty:
    between = load_lpips()
    return Distance(original, lambda one, other: between(*(image.expand(-1, 3, -1, -1) for image in (one, other))))


def _jnd(original: Images) -> Penalty:
    return Squares(original, just_noticeable(one_if_equal(original)))


_KINDS: dict[str, Callable[[Images], Penalty]] = {
    "l2": _l2,
    "colour": _colour,
    "ssim": _ssim,
    "lpips": _lpips,
    "jnd": _jnd,
}

PENALTIES = tuple(_KINDS)
