"""Mean and std: what a network or an estimator was trained to see, of pixels in [0, 1]."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import torch
from torch import Tensor

from brittle.errors import BrittleError
from brittle.text import counted
from brittle.types import Images


@final
@dataclass(frozen=True, slots=True)
class Normalisation:
    """``(images - mean) / std`` by channel, or the images as they are."""

    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None

    @staticmethod
    def of(mean: Sequence[float] | None, std: Sequence[float] | None) -> "Normalisation":
        """Of what users give; BrittleError for one without the other, and for what is no number per channel."""
        means, stds = _per_channel("mean", mean), _per_channel("std", std)
        if (means is None) != (stds is None) or len(means or ()) != len(stds or ()):
            raise BrittleError("expected mean and std together, one number per channel")
        if stds is not None and min(stds) <= 0:
            raise BrittleError(f"expected a positive std, got {stds}")
        return Normalisation(means, stds)

    def applied(self, images: Images) -> Images:
        """New images, in any case: a network may write into what it is given, and these are the caller's."""
        if self.mean is None or self.std is None:
            return images.clone()
        mean, std = (_by_channel(values, images.dtype, images.device) for values in (self.mean, self.std))
        if images.shape[1] != len(self.mean):
            raise BrittleError(
                f"expected images with {counted(len(self.mean), 'channel')} (mean and std have as many), got"
                f" {images.shape[1]}"
            )
        return (images - mean) / std


@lru_cache(maxsize=64)
def _by_channel(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """``[1, C, 1, 1]``, made once: each pass would copy them to the device again, and wait for what it does."""
    with torch.inference_mode(False):  # a tensor made in inference mode could not be differentiated by later
        return torch.tensor(values, dtype=dtype, device=device).view(1, -1, 1, 1)


def _per_channel(name: str, values: Sequence[float] | None) -> tuple[float, ...] | None:
    if values is None:
        return None
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise BrittleError(f"expected {name} as one number per channel, got {values!r}") from None
    if not numbers or not all(torch.isfinite(torch.tensor(numbers))):
        raise BrittleError(f"expected {name} as one finite number per channel, got {values!r}")
    return numbers
