"""What is kept of all that an attack has seen: the nearest image that meets the goal, or the first."""

from typing import final

import torch
from torch import Tensor

from brittle.geometry.norms import Norm
from brittle.types import Images


@final
class First:
    """The first image of each row that meets the goal; where none does, what the attack leaves there."""

    def __init__(self, images: Images) -> None:
        self._images = _with_bin(images)
        self._claimed = _with_bin(torch.zeros(len(images), dtype=torch.bool, device=images.device))
        self.images, self.claimed = self._images[:-1], self._claimed[:-1]

    def offer(self, rows: Tensor, images: Images, claimed: Tensor) -> Tensor:
        """Keeps what meets the goal, of rows where nothing did; bool, one for each of ``rows``: where that is so."""
        first = claimed & ~self.claimed[rows]
        _put(self._images, rows, first, images)
        self.claim(rows, first)
        return first

    def claim(self, rows: Tensor, which: Tensor) -> None:
        """The goal is met for those of ``rows``, which may repeat, where bool ``which`` holds."""
        self._claimed.index_fill_(0, torch.where(which, rows, len(self.claimed)), True)

    def leave(self, rows: Tensor, images: Images, claimed: Tensor | bool = False) -> None:
        """What comes back of some rows, whatever was there."""
        self.images[rows] = images
        self.claimed[rows] = claimed


@final
class Nearest:
    """The smallest claimed perturbation of each row of a batch; where none is claimed, the last attempt."""

    def __init__(self, images: Images, norm: Norm) -> None:
        self.origin, self.norm = images, norm
        self._images = _with_bin(images)
        self._size = _with_bin(torch.full((len(images),), torch.inf, device=images.device))
        self.images, self.size = self._images[:-1], self._size[:-1]

    @property
    def claimed(self) -> Tensor:
        """bool ``[B]``: something has been claimed for the row."""
        return self.size.isfinite()

    def offer(self, rows: Tensor, images: Images, claimed: Tensor) -> Tensor:
        """Keeps what is smaller than before; bool, one for each of ``rows``: where it was."""
        size, before = self.norm.measure(images - self.origin[rows]), self.size[rows]
        smaller = claimed & (size < before)
        _put(self._images, rows, smaller | ~before.isfinite(), images)  # a later attempt replaces an earlier one
        _put(self._size, rows, smaller, size)
        return smaller


def _with_bin(values: Tensor) -> Tensor:
    """A copy with a row more, for what is not wanted."""
    return torch.cat([values, values.new_zeros(1, *values.shape[1:])])


def _put(into: Tensor, rows: Tensor, which: Tensor, values: Tensor) -> None:
    """``into[rows[which]] = values[which]``. The rest goes into the bin: so nobody has to know how many they are."""
    into.index_copy_(0, torch.where(which, rows, len(into) - 1), values)
