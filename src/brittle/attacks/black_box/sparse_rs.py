"""Sparse-RS: random search over a few pixels and their colours (Croce et al. 2022, arXiv:2006.12834)."""

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from brittle.attacks.parts.asking import asking_first
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import rows_of
from brittle.catalog import option, register
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_STARTS = (0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # parts of the way after which alpha is divided by
_DIVISORS = (1, 2, 4, 5, 6, 8, 10, 12, 15, 20)
_REACH = 2  # rows and columns to either side that count as beside
_BLOCK = 100  # proposals whose random numbers are drawn at once: to seed a generator takes longer than to use it
_NEVER = 2**40  # turns from now
_TIE = 1e-6  # an improvement by less is rounding, which depends on the batch


@register(
    "sparse-rs", paper="arXiv:2006.12834", kind="budget", norms=("l0",), access="score", cost="queries * F at the most"
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SparseRS:
    """Random search: exchanges some of the changed pixels for others, keeps that where the margin becomes smaller.

    The L0 version (section 3.1): ``eps`` pixels are set to corners of the colour cube. A proposal puts ``alpha * eps``
    of them back, fewer as queries are spent, and sets as many others to random corners. Images leave at their first
    success.

    What differs, each for fewer queries. Where a pixel helps, those beside it often help more: a new pixel is with
    probability ``near`` one beside the old, and then keeps its colour every other time. The other new ones come in
    turn, in a random order of the example's own: none comes twice before all have come once. One that is put back may
    come again. And a corner that equals the pixel's own colour has one of its channels turned over.
    """

    eps: int = option(10, "budget: pixels that may change, all channels of each", at_least=1)
    queries: int = option(10_000, "forward passes at the most, the look at the image itself included", at_least=1)
    alpha: float = option(0.8, "fraction of the changed pixels that the first proposals exchange", above=0, at_most=1)
    shrink: int = option(10_000, "queries in which proposals become as small as they get", at_least=1)
    near: float = option(
        0.5, "probability that a new pixel is beside the one it replaces; the paper's is 0", at_least=0, at_most=1
    )

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        channels, pixels = images.shape[1], images.shape[2] * images.shape[3]
        k = min(self.eps, pixels)
        ask, shape = asking_first(classifier, images, goal), images.shape[1:]
        met, _ = ask.look(ask.everyone, images)
        rows = ask.everyone[~met & (self.queries > 1)]
        draw, x = rng[rows], images[rows].flatten(2)

        # ``where``: the changed pixels, no two alike. ``turn``: new ones are those of which it is smallest.
        order = draw.uniform("sparse-rs queue", x[:, 0]).argsort(dim=1, stable=True)
        where, turn = order[:, :k], (order.argsort(dim=1) - k) % pixels
        corner, one = (part[:, 0] for part in _corners(draw.uniform("sparse-rs colours", x[:, :, :k]).unsqueeze(1)))
        best = _painted(x.clone(), where, _other(corner, one, _colours(x, where)))
        least, met = ask.margins(rows, best.view(-1, *shape))
        ask.stepped(rows)
        block = _Draws(*[best] * 6)
        for proposal in range(self.queries - 2):
            if met.any():
                ask.best.leave(rows, best.view(-1, *shape), met)
                rows, x, best, least, where, turn, block = rows_of((rows, x, best, least, where, turn, block), ~met)
                met, draw = met[~met], rng[rows]
            if not len(rows):
                break
            number, at = divmod(proposal, _BLOCK)
            if at == 0:
                draws = draw.uniform(f"sparse-rs {number}", best.new_empty(len(best), _BLOCK, 4 + channels, k))
                block = self._drawn(draws)
            m = self.exchanged(proposal, k)
            order, near, alike, aside, corner, one = (part[:, at, ..., :m] for part in block)
            leaving = where.gather(1, order)
            staying = torch.zeros_like(turn).scatter_(1, where, 1).scatter_(1, leaving, 0)
            beside = _beside(leaving, aside, images)
            near = near & ~_taken(beside, staying)
            taken = staying.scatter_add_(1, beside, near.long())
            in_turn = (turn + taken * _NEVER).topk(m, dim=1, largest=False, sorted=True).indices
            coming = torch.where(near, beside, in_turn.gather(1, ((~near).cumsum(1) - 1).clamp_min_(0)))
            later = pixels + proposal * k + torch.arange(m, device=x.device)
            turn.scatter_(1, coming, torch.where(near, turn.gather(1, coming), later))
            colours = _other(corner, one, _colours(x, coming))
            colours = torch.where((near & alike).unsqueeze(1), _colours(best, leaving), colours)
            tried = _painted(_painted(best.clone(), leaving, _colours(x, leaving)), coming, colours)
            margin, success = ask.margins(rows, tried.view(-1, *shape))
            ask.stepped(rows)

            better = (margin < least - _TIE * least.abs().clamp(1, 1e9)).nonzero().squeeze(1)
            if len(better):
                where[better] = where[better].scatter_(1, order[better], coming[better])
                best[better], least[better], met[better] = tried[better], margin[better], success[better]
        ask.best.leave(rows, best.view(-1, *shape), met)
        return ask.outcome()

    def _drawn(self, draws: Tensor) -> "_Draws":
        order, near, down, right = draws[:, :, :4].unbind(2)
        aside = (torch.stack([down, right], 2) * (2 * _REACH + 1)).long() - _REACH
        corners = _corners(draws[:, :, 4:])
        ranks = order.argsort(dim=2, descending=True, stable=True)
        return _Draws(ranks, near < self.near, near < self.near / 2, aside, *corners)

    def exchanged(self, proposal: int, k: int) -> int:
        """How many of k pixels a proposal exchanges, the first being 0."""
        return max(int(self.alpha / _DIVISORS[bisect_left(_STARTS, proposal / self.shrink)] * k), 1)


class _Draws(NamedTuple):
    """What the random numbers of a block of proposals say, each ``[n, proposals, ..., k]``."""

    order: Tensor  # in which changed pixels leave
    near: Tensor  # bool: whether a new pixel should be beside the one that leaves
    alike: Tensor  # bool: and then keep its colour
    aside: Tensor  # rows and columns to there
    corner: Tensor  # bool: which channels of a new colour are full
    one: Tensor  # bool: which channel is turned over where that is the old colour


def _colours(flat: Tensor, where: Tensor) -> Tensor:
    """Of images ``[n, C, H * W]`` at positions ``[n, k]``: ``[n, C, k]``."""
    return flat.gather(2, where.unsqueeze(1).expand(-1, flat.shape[1], -1))


def _painted(flat: Tensor, where: Tensor, colours: Tensor) -> Tensor:
    """The images themselves, with these colours written at these positions."""
    return flat.scatter_(2, where.unsqueeze(1).expand(-1, flat.shape[1], -1), colours)


def _beside(where: Tensor, aside: Tensor, images: Images) -> Tensor:
    """Positions so many rows and columns ``aside [n, 2, m]`` from others, within the image."""
    height, width = images.shape[2:]
    y = (where // width + aside[:, 0]).clamp_(0, height - 1)
    x = (where % width + aside[:, 1]).clamp_(0, width - 1)
    return y * width + x


def _taken(places: Tensor, staying: Tensor) -> Tensor:
    """Of positions ``[n, m]``: which are those of pixels that stay, or of one before them."""
    taken = staying.gather(1, places) > 0
    if places.shape[1] == 1:
        return taken
    alike = places.unsqueeze(2) == places.unsqueeze(1)
    return taken | alike.tril(-1).any(2)


def _corners(draws: Tensor) -> tuple[Tensor, Tensor]:
    """Of uniform ``[n, K, C, k]``: which channels are full, and the one to turn over where that is the old colour."""
    # The first channel's draw says which one: what it has left of randomness below or above a half.
    channels = draws.shape[2]
    one = (draws[:, :, :1] * 2 % 1 * channels).long()
    return draws < 0.5, one == torch.arange(channels, device=draws.device).view(-1, 1)


def _other(corner: Tensor, one: Tensor, original: Tensor) -> Tensor:
    """Corners of the colour cube ``[n, C, k]``, never the original colour."""
    same = (corner == original).all(1, keepdim=True)
    return (corner ^ (same & one)).to(original.dtype)
