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
        self.images = images.clone()
        self.claimed = torch.zeros(len(images), dtype=torch.bool, device=images.device)

    def offer(self, rows: Tensor, images: Images, claimed: Tensor) -> Tensor:
        """Keeps what meets the goal, of rows where nothing did; bool, one for each of ``rows``: where that is so."""
        if bool(claimed.any()):
            self.leave(rows[claimed], images[claimed], claimed[claimed])
        return claimed

    def leave(self, rows: Tensor, images: Images, claimed: Tensor | bool = False) -> None:
        """What comes back of some rows, whatever was there."""
        self.images[rows] = images
        self.claimed[rows] = claimed


@final
class Nearest:
    """The smallest claimed perturbation of each row of a batch; where none is claimed, the last attempt."""

    def __init__(self, images: Images, norm: Norm) -> None:
        self.origin, self.norm = images, norm
        self.images = images.clone()
        self.size = torch.full((len(images),), torch.inf, device=images.device)

    @property
    def claimed(self) -> Tensor:
        """bool ``[B]``: something has been claimed for the row."""
        return self.size.isfinite()

    def offer(self, rows: Tensor, images: Images, claimed: Tensor) -> Tensor:
        """Keeps what is smaller than before; bool, one for each of ``rows``: where it was."""
        size = torch.where(claimed, self.norm.measure(images - self.origin[rows]), torch.inf)
        smaller = size < self.size[rows]
        taken = smaller | ~self.claimed[rows]  # a later attempt replaces an earlier one
        self.images[rows[taken]] = images[taken]
        self.size[rows[smaller]] = size[smaller]
        return smaller
