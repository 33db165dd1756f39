"""What Square proposes in each norm: squares that are written into the best images so far."""

from functools import cache
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from brittle.geometry.box import clip
from brittle.geometry.norms import L2
from brittle.rng import Rng
from brittle.types import Images


class Patch(NamedTuple):
    """New pixels of k squares in each of n images."""

    places: Tensor  # [n, k, 1, side * side]
    values: Tensor  # [n, k, C, side * side]

    def flat(self, which: Tensor | slice) -> "Patch":
        """Of all ``n * k``, some."""
        return Patch(self.places.flatten(0, 1)[which], self.values.flatten(0, 1)[which])


def painted(canvas: Tensor, patches: list[Patch]) -> Tensor:
    """Images ``[m, C, H * W]`` with a patch, or one after another, written into each."""
    for patch in patches:
        canvas.scatter_(2, patch.places.expand_as(patch.values), patch.values)
    return canvas


def _under(flat: Tensor, places: Tensor) -> Tensor:
    """The pixels of images ``[n, C, H * W]`` at ``places [n, k, 1, side * side]``: ``[n, k, C, side * side]``."""
    shape = (*places.shape[:2], flat.shape[1], places.shape[3])
    return flat.unsqueeze(1).expand(-1, shape[1], -1, -1).gather(3, places.expand(shape))


class Squares(Protocol):
    """What proposals are in a norm. numbers: how many random ones a proposal takes."""

    numbers: int

    def start(self, rng: Rng) -> Tensor:
        """First images ``[n, C, H * W]``."""

    def block(self, draws: Tensor, sides: list[int]) -> tuple[Tensor, ...]:
        """What uniform ``draws [n, K, numbers]`` say of K proposals with squares of these sizes: ``[n, K, ...]``."""

    def patches(self, best: Tensor, side: int, block: tuple[Tensor, ...]) -> list[Patch]:
        """What k proposals write into the best images, from that part of their block."""

    def moved(self, rows: Tensor, best: Tensor) -> None:
        """Some of the best images are new."""

    def keep(self, rows: Tensor) -> None:
        """Forgets the other images."""


class Corners:
    """Linf: every pixel at an end of its range (Algorithm 2)."""

    def __init__(self, images: Images, eps: float) -> None:
        self.shape = images.shape[1:]
        self.numbers = 3 + images.shape[1]
        self.low, self.high = clip(images - eps).flatten(2), clip(images + eps).flatten(2)

    def keep(self, rows: Tensor) -> None:
        self.low, self.high = self.low[rows], self.high[rows]

    def start(self, rng: Rng) -> Tensor:
        """Vertical stripes."""
        channels, height, width = self.shape
        up = rng.uniform("square stripes", self.low.new_empty(len(self.low), channels, 1, width)) < 0.5
        return torch.where(up.expand(-1, -1, height, -1).flatten(2), self.high, self.low)

    def block(self, draws: Tensor, sides: list[int]) -> tuple[Tensor, ...]:
        channel = (draws[..., 2:3] * self.shape[0]).long()
        one = channel == torch.arange(self.shape[0], device=draws.device)
        return _corners(draws[..., 0:2], sides, self.shape), (draws[..., 3:] < 0.5).unsqueeze(3), one.unsqueeze(3)

    def patches(self, best: Tensor, side: int, block: tuple[Tensor, ...]) -> list[Patch]:
        corner, up, one = block
        places = _places(corner, side, self.shape)
        old, low, high = (_under(flat, places) for flat in (best, self.low, self.high))
        idle = (torch.where(up, high, low) == old).flatten(2).all(2)[..., None, None]
        return [Patch(places, torch.where(up ^ (idle & one), high, low))]

    def moved(self, rows: Tensor, best: Tensor) -> None:
        pass


class Bumps:
    """L2: a heap of bumps, whose energy moves (Algorithm 3)."""

    def __init__(self, images: Images, eps: float) -> None:
        self.shape, self.eps = images.shape[1:], eps
        self.numbers = 5 + images.shape[1]
        self.x = images.flatten(2)
        self.unused = self.x.new_zeros(len(images), 1, 1)  # a channel's share of the energy that the budget has left

    def keep(self, rows: Tensor) -> None:
        self.x, self.unused = self.x[rows], self.unused[rows]

    def start(self, rng: Rng) -> Tensor:
        """A bump on each tile of a grid of about five by five, scaled to the budget."""
        channels, height, width = self.shape
        side = max(min(height, width) // 5, 1)
        rows, columns, n = height // side, width // side, len(self.x)
        sign = torch.where(rng.uniform("square signs", self.x.new_empty(n, channels, rows, columns)) < 0.5, 1.0, -1.0)
        turn = (rng.uniform("square turns", self.x.new_empty(n, rows, columns)) < 0.5).long()
        bumps = _bump(side).to(self.x)[turn].view(n, 1, rows, columns, side, side)
        tiles = (sign.view(*sign.shape, 1, 1) * bumps).transpose(3, 4).reshape(n, channels, rows * side, columns * side)
        delta = self.x.new_zeros(n, *self.shape)
        top, left = (height - rows * side) // 2, (width - columns * side) // 2
        delta[:, :, top : top + rows * side, left : left + columns * side] = tiles
        first = clip(self.x + delta.flatten(2) * (self.eps / L2.measure(delta)).view(-1, 1, 1))
        self.moved(torch.arange(n, device=first.device), first)
        return first

    def block(self, draws: Tensor, sides: list[int]) -> tuple[Tensor, ...]:
        into, off = (_corners(draws[..., at : at + 2], sides, self.shape) for at in (0, 2))
        turn = (draws[..., 4] < 0.5).long()
        return into, off, turn, torch.where(draws[..., 5:] < 0.5, 1.0, -1.0).unsqueeze(3)

    def patches(self, best: Tensor, side: int, block: tuple[Tensor, ...]) -> list[Patch]:
        into, off, turn, sign = block
        places, bare = _places(into, side, self.shape), _places(off, side, self.shape)
        x, x_bare = _under(self.x, places), _under(self.x, bare)
        old = _under(best, places) - x
        left = (_under(best, bare) - x_bare) * ~_shared(into, off, side)
        energy = _energy(old) + _energy(left) + self.unused.unsqueeze(3)
        bump = _bump(side).to(x)[turn].unsqueeze(2)
        new = _unit(sign * bump + _unit(old)) * energy.clamp_min(0).sqrt()
        return [Patch(bare, x_bare), Patch(places, clip(x + new))]

    def moved(self, rows: Tensor, best: Tensor) -> None:
        energy = _energy(best[rows] - self.x[rows]).sum(1, keepdim=True)
        self.unused[rows] = (self.eps**2 - energy) / self.shape[0]


class Spots:
    """L1: a few values, each moved as far as it goes; what is taken back around one spot goes into another.

    Their sizes add up to the budget and each stays in the box, so that nothing needs to be projected.
    """

    def __init__(self, images: Images, eps: float) -> None:
        self.shape, self.eps = images.shape[1:], eps
        self.numbers = 3 + images.shape[1]
        self.x = images.flatten(2)
        self.unused = self.x.new_empty(len(images), 1)  # what the budget has left
        self.changed = self.x[:, 0].clone()  # how many pixels up to this one are changed

    def keep(self, rows: Tensor) -> None:
        self.x, self.unused, self.changed = self.x[rows], self.unused[rows], self.changed[rows]

    def start(self, rng: Rng) -> Tensor:
        """The middles of a grid of about five by five share the budget."""
        channels, height, width = self.shape
        y, x = ((torch.arange(n) * size + size // 2) // n for size in (height, width) for n in (min(size, 5),))
        places = (y.unsqueeze(1) * width + x).flatten().to(self.x.device)
        like = self.x.new_empty(len(self.x), channels, len(places))
        sign = torch.where(rng.uniform("square signs", like) < 0.5, 1.0, -1.0)
        best = self.x.clone()
        best[:, :, places] = clip(best[:, :, places] + sign * (self.eps / (channels * len(places))))
        self.moved(torch.arange(len(best), device=best.device), best)
        return best

    def block(self, draws: Tensor, sides: list[int]) -> tuple[Tensor, ...]:
        sign = torch.where(draws[..., 3:] < 0.5, 1.0, -1.0).unsqueeze(3)
        return _corners(draws[..., 0:2], sides, self.shape), draws[..., 2], sign

    def patches(self, best: Tensor, side: int, block: tuple[Tensor, ...]) -> list[Patch]:
        into, which, sign = block
        off = self._around(which, side)
        places, bare = _places(into, side, self.shape), _places(off, side, self.shape)
        old, x_bare = _under(best, places), _under(self.x, bare)
        left = (_under(best, bare) - x_bare) * ~_shared(into, off, side)
        size = left.abs().flatten(2).sum(2, keepdim=True) + self.unused.unsqueeze(2)

        # A value that is on its way already goes on, or back; the middle of the square first, each to its wall.
        order = _outwards(side)
        wall = torch.where(sign > 0, 1 - old, old)[..., order].transpose(2, 3).flatten(2)
        used = (size - wall.cumsum(2) + wall).clamp_min(0).minimum(wall)
        moved = used.view(*used.shape[:2], -1, self.shape[0]).transpose(2, 3)[..., order.argsort()]
        return [Patch(bare, x_bare), Patch(places, clip(old + sign * moved))]

    def _around(self, which: Tensor, side: int) -> Tensor:
        """Corners of squares around changed pixels, one chosen by each uniform number: ``[n, k, 2]``."""
        _, height, width = self.shape
        count = self.changed[:, -1:]
        pixel = torch.searchsorted(self.changed, which * count, right=True).clamp_max(height * width - 1)
        y, x = pixel // width - side // 2, pixel % width - side // 2
        return torch.stack([y.clamp(0, height - side), x.clamp(0, width - side)], dim=2)

    def moved(self, rows: Tensor, best: Tensor) -> None:
        delta = best[rows] - self.x[rows]
        self.unused[rows] = (self.eps - delta.abs().flatten(1).sum(1, keepdim=True)).clamp_min(0)
        self.changed[rows] = (delta != 0).any(1).to(delta.dtype).cumsum(1)


def _corners(draws: Tensor, sides: list[int], shape: torch.Size) -> Tensor:
    """Top and left of squares anywhere in the image, from uniform ``[n, K, 2]``."""
    side = draws.new_tensor(sides).unsqueeze(1)
    return (draws * (draws.new_tensor(shape[1:]) - side + 1)).long()


def _places(corner: Tensor, side: int, shape: torch.Size) -> Tensor:
    """Positions ``[n, k, 1, side * side]`` of squares, from their corners ``[n, k, 2]``."""
    i, width = torch.arange(side, device=corner.device), shape[2]
    inside = (i.unsqueeze(1) * width + i).flatten()
    return (corner[..., :1] * width + corner[..., 1:] + inside).unsqueeze(2)


def _shared(one: Tensor, other: Tensor, side: int) -> Tensor:
    """bool ``[n, k, 1, side * side]``: which pixels of the other squares are in the first as well."""
    apart = (other - one).unsqueeze(3) + torch.arange(side, device=one.device)  # [n, k, 2, side]
    among = (apart >= 0) & (apart < side)
    return (among[:, :, 0].unsqueeze(3) & among[:, :, 1].unsqueeze(2)).flatten(2).unsqueeze(2)


def _energy(delta: Tensor) -> Tensor:
    """Along the last dimension, which is kept."""
    return delta.square().sum(-1, keepdim=True)


def _unit(rows: Tensor) -> Tensor:
    """At length 1 along the last axis, zeros as they are."""
    length: Tensor = rows.norm(dim=-1, keepdim=True)
    return rows / length.clamp_min(1e-12)


@cache
def _outwards(side: int) -> Tensor:
    """The pixels of a square, ordered by their distance from its middle."""
    away = torch.arange(side).sub(side // 2).square()
    return (away.unsqueeze(1) + away).flatten().argsort(stable=True)


@cache
def _bump(side: int) -> Tensor:
    """Two opposite peaks side by side, of length 1, and the same turned: ``[2, side * side]`` (section 4.2)."""
    half = side // 2
    bump = torch.cat([_peak(half, side), -_peak(side - half, side)])
    return _unit(torch.stack([bump.flatten(), bump.T.flatten()]))


def _peak(height: int, width: int) -> Tensor:
    """Falls off from the middle: ring k from it holds the sum of 1 / (i + 1)^2 from i = k on."""
    rings = max(height, width) // 2 + 1
    sums = (1 / torch.arange(1, rings + 1).square()).flip(0).cumsum(0).flip(0)
    down, right = (torch.arange(size).sub(size // 2).abs() for size in (height, width))
    return _unit(sums[torch.maximum(down.unsqueeze(1), right)].flatten()).view(height, width)
