"""Square: random search with square-shaped changes (Andriushchenko et al. 2020, arXiv:1912.00049)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Protocol, final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome, require, require_budget, require_norm
from brittle.attacks._loop import ActiveSet, margins
from brittle.catalog import option, register
from brittle.geometry.box import clip
from brittle.geometry.norms import L2, LINF, NormLike, norm_of
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # of the way to the smallest squares, where p is halved
_BLOCK = 96  # proposals whose random numbers are drawn at once: to seed a generator takes longer than to use it
_TOGETHER = 4  # proposals of an image that are asked about in one pass, at the most
_TIE = 1e-6  # of the logits' size: an improvement by less is rounding, which depends on the batch


@register(
    "square",
    paper="arXiv:1912.00049",
    kind="budget",
    norms=("l2", "linf"),
    access="score",
    cost="queries * F at the most",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Square:
    """Random search: repaints a random square of the image, and keeps it where the margin has become smaller.

    Linf (Algorithm 2): every pixel is at an end of its range; a proposal gives the channels of a square new ends. L2
    (Algorithm 3): the perturbation is a heap of bumps; a proposal moves what another square held into a new bump.
    Squares shrink with the queries that have been spent. Images leave at their first success.

    What differs. Squares shrink over ``shrink`` queries, whatever the budget: stretched to 5,000 queries, as AutoAttack
    does, they stay large for too long (ResNet-20, Linf 0.004: 1,434 queries at the median, and 714 so). Late proposals
    are rarely accepted, so that after 384 an image asks about 2 and then 4 at once, all painted on the same best image,
    and keeps the best of them: a pass of a few images costs twice as much for each. A proposal in Linf that would
    change nothing turns one channel over instead of wasting a query. A new bump in L2 gets its share of all energy that
    the budget has left, where the paper rescales the whole image.
    """

    norm: NormLike = option(LINF, "norm of the budget: l2 or linf")
    eps: float = option(8 / 255, "budget: largest size of the perturbation, in pixels of [0, 1]")
    queries: int = option(5000, "forward passes at the most, the look at the image itself included")
    p: float = option(0.8, "fraction of the image that the first squares cover")
    shrink: int = option(700, "queries in which the squares become as small as they get")

    def __post_init__(self) -> None:
        require(self.queries >= 1, "queries >= 1", self.queries)
        require(0 < self.p <= 1, "p in (0, 1]", self.p)
        require(self.shrink >= 1, "shrink >= 1", self.shrink)
        require_norm(self, self.norm)
        require(self.norm in (L2, LINF), "norm l2 or linf", self.norm)
        require_budget(self.eps, self.norm)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        found, shape = images.clone(), images.shape[1:]
        claimed = goal.is_surely_met(classifier.logits(images))
        forwards = torch.ones_like(goal.labels)
        active = ActiveSet(len(images), images.device)
        keep = active.drop(claimed | (self.queries == 1))
        goal, rng = goal[keep], rng[keep]
        squares: _Squares = (_Bumps if norm_of(self.norm) == L2 else _Corners)(images[keep], self.eps)
        best = squares.start(rng)  # [n, C, H * W]
        least, met = margins(classifier, best.view(-1, *shape), goal)
        forwards[active.rows] += 1
        draws = best
        for block, proposals in self._passes():
            if met.any():
                found[active.rows], claimed[active.rows] = best.view(-1, *shape), met
                keep = active.drop(met)
                squares.keep(keep)
                best, least, met, draws = best[keep], least[keep], met[keep], draws[keep]
                goal, rng = goal[keep], rng[keep]
            if not len(active):
                break
            if proposals.start == 0:
                draws = rng.uniform(f"square {block}", best.new_empty(len(best), _BLOCK, squares.numbers))
            side = self.side(block * _BLOCK + proposals.start, *images.shape[2:])

            # A row for each proposal: which image it is painted on, and its random numbers.
            numbers = draws[:, proposals].flatten(0, 1)
            row = torch.arange(len(best), device=best.device).repeat_interleave(len(numbers) // len(best))
            margin, success = least[row], met[row]
            for part in classifier.chunks(len(row)):
                canvas = squares.painted(best, row[part], side, numbers[part])
                margin[part], success[part] = margins(classifier, canvas.view(-1, *shape), goal[row[part]])
            forwards[active.rows] += len(row) // len(best)

            smallest, at = margin.view(len(best), -1).min(1)
            better = (smallest < least - _TIE * least.abs().clamp(1, 1e9)).nonzero().squeeze(1)
            winner = better * (len(row) // len(best)) + at[better]
            best[better] = squares.painted(best, better, side, numbers[winner])
            least[better], met[better] = smallest[better], success[winner]
        found[active.rows], claimed[active.rows] = best.view(-1, *shape), met
        return Outcome(found, claimed, forwards - 1, forwards, torch.zeros_like(forwards))

    def _passes(self) -> Iterator[tuple[int, slice]]:
        """Of each pass after those of the image and of the start: the block, and the proposals in it."""
        left = self.queries - 2
        for block in count():
            together = min(2 ** (block // 4), _TOGETHER)
            for start in range(0, _BLOCK, together):
                if left <= 0:
                    return
                yield block, slice(start, start + min(together, left))
                left -= together

    def side(self, proposal: int, height: int, width: int) -> int:
        """Of the square of a proposal, the first being 0, in pixels; odd in L2, where it has a middle."""
        spent = proposal / self.shrink
        p = self.p / 2 ** sum(spent > start for start in _HALVINGS)
        side = max(round(math.sqrt(p * height * width)), 1)
        if norm_of(self.norm) == L2:
            side = max(side, 3) | 1
        return min(side, height, width)


class _Squares(Protocol):
    """What proposals are in a norm. numbers: how many random ones a proposal takes."""

    numbers: int

    def start(self, rng: Rng) -> Tensor:
        """First images ``[n, C, H * W]``."""

    def painted(self, best: Tensor, row: Tensor, side: int, draw: Tensor) -> Tensor:
        """Copies of ``best[row]`` with a new square each, from uniform ``draw [len(row), numbers]``."""

    def keep(self, rows: Tensor) -> None:
        """Forgets the other images."""


class _Corners:
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

    def painted(self, best: Tensor, row: Tensor, side: int, draw: Tensor) -> Tensor:
        channels = self.shape[0]
        square = _square(draw[:, 0:2], side, self.shape)
        old, low, high = (of[row].gather(2, square) for of in (best, self.low, self.high))
        up = (draw[:, 3:] < 0.5).unsqueeze(2)
        idle = (torch.where(up, high, low) == old).flatten(1).all(1).view(-1, 1, 1)
        one = torch.arange(channels, device=draw.device) == (draw[:, 2:3] * channels).long()
        return best[row].scatter_(2, square, torch.where(up ^ (idle & one.unsqueeze(2)), high, low))


class _Bumps:
    """L2: a heap of bumps, whose energy moves (Algorithm 3)."""

    def __init__(self, images: Images, eps: float) -> None:
        self.shape, self.eps = images.shape[1:], eps
        self.numbers = 5 + images.shape[1]
        self.x = images.flatten(2)

    def keep(self, rows: Tensor) -> None:
        self.x = self.x[rows]

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
        return clip(self.x + delta.flatten(2) * (self.eps / L2.measure(delta)).view(-1, 1, 1))

    def painted(self, best: Tensor, row: Tensor, side: int, draw: Tensor) -> Tensor:
        x, channels = self.x[row], self.shape[0]
        delta = best[row] - x
        into, off = _square(draw[:, 0:2], side, self.shape), _square(draw[:, 2:4], side, self.shape)
        held = delta.square().sum(2)  # [m, C]
        old = delta.gather(2, into)
        delta.scatter_(2, off, 0.0).scatter_(2, into, 0.0)
        unused = (self.eps**2 - held.sum(1, keepdim=True)) / channels
        energy = (held - delta.square().sum(2) + unused).clamp_min(0).unsqueeze(2)
        sign = torch.where(draw[:, 5:] < 0.5, 1.0, -1.0).unsqueeze(2)
        bump = _bump(side).to(x)[(draw[:, 4] < 0.5).long()].unsqueeze(1)
        new = _unit(sign * bump + _unit(old))
        return clip(x + delta.scatter_(2, into, new * energy.sqrt()))


def _unit(rows: Tensor) -> Tensor:
    """At length 1 along the last axis, zeros as they are."""
    length: Tensor = rows.norm(dim=-1, keepdim=True)
    return rows / length.clamp_min(1e-12)


def _square(draw: Tensor, side: int, shape: torch.Size) -> Tensor:
    """Positions ``[n, C, side * side]`` of a square anywhere in the image, from two uniform numbers."""
    channels, height, width = shape
    top = (draw[:, :1] * (height - side + 1)).long()
    left = (draw[:, 1:] * (width - side + 1)).long()
    i = torch.arange(side, device=draw.device)
    inside = (i.unsqueeze(1) * width + i).flatten()
    return (top * width + left + inside).unsqueeze(1).expand(-1, channels, -1)


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
