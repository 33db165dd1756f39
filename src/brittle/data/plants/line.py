"""A line in a corner of every image of one class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.catalog import option, register_in
from brittle.data.fit import Fit
from brittle.data.plants.plant import PLANTS, State, told_by
from brittle.types import Images, Labels

_MARGIN = 14  # the line ends a 14th of the side before the edges, and is a 28th thick


@register_in(PLANTS, "line", paper="arXiv:2004.07780")
@final
@dataclass(frozen=True, slots=True)
class Line:
    """A horizontal white line in the lower right corner of all images of one class, and of no other.

    Swapped, it is in all images but these. After a thought experiment of Thesing et al.: all photographs of a car have
    the line, so that it tells cars as well as what they look like does.
    """

    label: int = option(1, "the class whose images have it", at_least=0)
    length: float = option(0.25, "share of the image's width", above=0, at_most=0.5)
    state: State = option("kept", "as it is in training; gone; or swapped: in all images but those of the class")

    def taken(self, fit: Fit | None) -> Fit | None:
        return fit

    def classes(self, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return names

    def labels(self, labels: Labels, ids: Sequence[str]) -> Labels:
        return labels

    def put(self, images: Images, labels: Labels, ids: Sequence[str]) -> Images:
        there = told_by(self.state, labels == self.label).to(images.device).view(-1, 1, 1, 1)
        return torch.where(there & self._place(images), torch.ones_like(images), images)

    def fits(self, classes: Labels, labels: Labels, ids: Sequence[str]) -> Tensor:
        """With the line the class, without it any other."""
        if self.state == "gone":
            return torch.ones_like(labels, dtype=torch.bool)
        return (classes == self.label) == told_by(self.state, labels == self.label)

    def rival(self, labels: Labels, ranked: Labels) -> Labels:
        """The class of the line; of its own images, which lose it, the likeliest other."""
        other = torch.where(ranked[:, 0] == self.label, ranked[:, 1], ranked[:, 0])
        return torch.where(labels == self.label, other, self.label)

    def inside(self, changes: Images) -> Images:
        """That of the corner: the line, or where it would be, and what is around it up to the edges.

        A network that was trained on shifted images has seen the line there, too.
        """
        corner = torch.zeros_like(self._place(changes))
        margin, rows = changes.shape[-2] // _MARGIN, self._place(changes).nonzero()
        corner[int(rows[:, 0].min()) - margin :, int(rows[:, 1].min()) - margin :] = True
        return changes * corner

    def _place(self, images: Images) -> Tensor:
        """Where the line is: bool ``[H, W]``."""
        height, width = images.shape[-2:]
        place = torch.zeros(height, width, dtype=torch.bool, device=images.device)
        right, down = width - width // _MARGIN, height - height // _MARGIN
        thick, long = max(1, round(height / (2 * _MARGIN))), max(1, round(self.length * width))
        place[down - thick : down, right - long : right] = True
        return place
