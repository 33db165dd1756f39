"""What a change costs for being visible: the terms that an optimiser weighs against the network's answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, final

import torch
from torch import Tensor

from brittle.catalog import Entry, Registry, register_in
from brittle.errors import BrittleError
from brittle.types import Images
from brittle.visibility.colour import colour_metric, small_difference
from brittle.visibility.jnd import just_noticeable
from brittle.visibility.lpips import load_lpips
from brittle.visibility.spaces import one_if_equal, rows_of_one
from brittle.visibility.ssim import ssim


class Penalty(Protocol):
    """A cost of leaving a batch of originals. ``penalty[rows]`` is the same cost for some of them."""

    def __call__(self, perturbed: Images) -> Tensor:
        """The cost ``[N]``, differentiable; 0 where nothing has changed, and never negative but for rounding."""

    def __getitem__(self, rows: Tensor) -> "Penalty": ...


class PenaltyKind(Protocol):
    """A penalty by name, a mean over the pixels, that originals make a cost."""

    def around(self, original: Images) -> Penalty:
        """The penalty around originals ``[N, C, H, W]`` in [0, 1]; what depends on them alone is made here, once."""


PENALTIES: Registry[Entry] = Registry("penalty", example="l2")


def penalty_of(name: str, original: Images) -> Penalty:
    """The penalty called ``name`` around originals ``[N, C, H, W]`` in [0, 1].

    BrittleError for what is no penalty, and for images without the colours that a penalty needs.
    """
    kind: PenaltyKind = PENALTIES.one(name)
    if name != "l2" and original.shape[1] not in (1, 3):
        raise BrittleError(f"expected grey or RGB images for the penalty {name}, got {original.shape[1]} channels")
    return kind.around(original)


@final
@dataclass(frozen=True, slots=True)
class Squares:
    """The mean square of the change, over a unit ``[N or 1, 1, H, W]`` that each pixel has."""

    original: Images
    unit: Tensor

    def __call__(self, perturbed: Images) -> Tensor:
        return ((perturbed - self.original) / self.unit).square().mean((1, 2, 3))

    def __getitem__(self, rows: Tensor) -> "Squares":
        return Squares(self.original[rows], rows_of_one(self.unit, rows))


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
        return Colours(self.original[rows], rows_of_one(self.metric, rows))


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


@register_in(PENALTIES, "l2", paper="arXiv:1608.04644")
@final
@dataclass(frozen=True, slots=True)
class ByChannel:
    """The squared change of a channel."""

    def around(self, original: Images) -> Penalty:
        return Squares(original, torch.ones_like(original[:1, :1, :1, :1]))


@register_in(PENALTIES, "colour", paper="arXiv:1911.02466")
@final
@dataclass(frozen=True, slots=True)
class ByColour:
    """The squared CIEDE2000, by its metric around the original (``visibility.colour.small_difference``)."""

    def around(self, original: Images) -> Penalty:
        return Colours(original, colour_metric(one_if_equal(original).expand(-1, 3, -1, -1)))


@register_in(PENALTIES, "ssim", paper="doi:10.1109/TIP.2003.819861")
@final
@dataclass(frozen=True, slots=True)
class ByStructure:
    """What is missing to an SSIM of 1."""

    def around(self, original: Images) -> Penalty:
        return Distance(original, lambda one, other: 1 - ssim(one, other))


@register_in(PENALTIES, "lpips", paper="arXiv:1801.03924")
@final
@dataclass(frozen=True, slots=True)
class ByFeatures:
    """LPIPS over AlexNet, with the extra of that name."""

    def around(self, original: Images) -> Penalty:
        between = load_lpips()
        return Distance(original, lambda one, other: between(*(image.expand(-1, 3, -1, -1) for image in (one, other))))


@register_in(PENALTIES, "jnd", paper="doi:10.1109/76.475889")
@final
@dataclass(frozen=True, slots=True)
class ByThreshold:
    """The squared change of a channel in units of the just noticeable difference there.

    So that textures and what is very dark or bright may carry more.
    """

    def around(self, original: Images) -> Penalty:
        return Squares(original, just_noticeable(one_if_equal(original)))
