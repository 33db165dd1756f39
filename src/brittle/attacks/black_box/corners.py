"""Single pixels set to corners of the colour cube, by number: what searches without gradients ask about."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks.parts.pixels import painted
from brittle.types import Images

_BITS = 6  # channels go to 0 or 1 in groups where there are more of them


@final
@dataclass(frozen=True, slots=True)
class Corners:
    """A candidate is a number, ``position * count + corner``, with positions ``y * W + x``; -1 is none.

    colours: ``[2 ** bits, C]``: bit k of the index is channel k, or the k-th group.
    """

    height: int
    width: int
    colours: Tensor

    @staticmethod
    def of(images: Images) -> "Corners":
        channels, height, width = images.shape[1:]
        bits = min(channels, _BITS)
        index = torch.arange(2**bits, device=images.device).unsqueeze(1)
        colours = ((index >> torch.arange(channels, device=images.device) * bits // channels) & 1).to(images.dtype)
        return Corners(height, width, colours)

    @property
    def count(self) -> int:
        return len(self.colours)

    def painted(self, images: Images, candidates: Tensor) -> Images:
        """Each image with its candidate ``[n]`` set."""
        return painted(
            images, (candidates // self.count).unsqueeze(1), self.colours[candidates % self.count].unsqueeze(1)
        )

    def grid(self, count: int) -> tuple[Tensor, int]:
        """At most so many positions, evenly spaced, from the centre outwards, and how far apart they are."""
        rows = min(max(round((count * self.height / self.width) ** 0.5), 1), self.height, count)
        columns = min(count // rows, self.width)
        y = (torch.arange(rows) * 2 + 1) * self.height // (2 * rows)
        x = (torch.arange(columns) * 2 + 1) * self.width // (2 * columns)
        away = ((y + 0.5) / self.height - 0.5).square().unsqueeze(1) + ((x + 0.5) / self.width - 0.5).square()
        places = (y.unsqueeze(1) * self.width + x).flatten()[away.flatten().argsort(stable=True)]
        return places.to(self.colours.device), max(self.height // rows, self.width // columns)

    def farthest(self, images: Images, places: Tensor) -> Tensor:
        """At each of these positions the corner that is farthest from the colour there, ``[n, m]``."""
        there = colours_at(images, places.expand(len(images), -1))
        return places * self.count + (there.unsqueeze(2) - self.colours).square().sum(3).argmax(2)

    def idle(self, images: Images) -> Tensor:
        """bool ``[n, H * W, count]``: the pixel has that colour already."""
        return (images.flatten(2).transpose(1, 2).unsqueeze(2) == self.colours).all(3)

    def around(self, candidate: Tensor, reach: Tensor) -> Tensor:
        """The neighbours of candidates ``[n, 1]``: the same colour ``reach`` pixels beside, other colours in place."""
        place, corner = candidate // self.count, candidate % self.count
        turn = torch.tensor([[-1, 1, 0, 0], [0, 0, -1, 1]], device=candidate.device)
        y, x = place // self.width + turn[0] * reach, place % self.width + turn[1] * reach
        inside = (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
        beside = torch.where(inside, (y * self.width + x) * self.count + corner, -1)
        bits = 2 ** torch.arange(self.count.bit_length() - 1, device=candidate.device)
        return torch.cat([beside, place * self.count + (corner ^ bits)], dim=1)


def colours_at(images: Images, places: Tensor) -> Tensor:
    """``[n, m, C]`` at positions ``[n, m]``."""
    return images.flatten(2).gather(2, places.unsqueeze(1).expand(-1, images.shape[1], -1)).transpose(1, 2)
