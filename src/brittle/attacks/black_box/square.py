"""Square: random search with square-shaped changes (Andriushchenko et al. 2020, arXiv:1912.00049)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import final

import torch
from torch import Tensor

from brittle.attacks.black_box.squares import Bumps, Corners, Spots, Squares, painted
from brittle.attacks.parts.asking import asking_first
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept
from brittle.catalog import option, register
from brittle.geometry.norms import L1, L2, LINF, Norm, NormLike, norm_of
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_HALVINGS = (0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)  # of the way to the smallest squares, where p is halved
_BLOCK = 96  # proposals whose random numbers are drawn at once: to seed a generator takes longer than to use it
_TOGETHER = 4  # proposals of an image that are asked about in one pass, at the most
_FIRST_LOOK = 500  # queries before the first look back at what the last doubling of queries has brought
_HOPE = 2.0  # times as much as that in each doubling that is left: where it would not be enough, an image leaves
_TIE = 1e-6  # of the logits' size: an improvement by less is rounding, which depends on the batch


@register(
    "square",
    paper="arXiv:1912.00049",
    kind="budget",
    access="score",
    cost="queries * F at the most, some 1,000 F where it is hopeless",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Square:
    """Random search: repaints a random square of the image, and keeps it where the margin has become smaller.

    Linf (Algorithm 2): every pixel is at an end of its range; a proposal gives the channels of a square new ends. L2
    (Algorithm 3): the perturbation is a heap of bumps; a proposal moves what another square held into a new bump. L1
    (Croce & Hein 2021, arXiv:2103.01208): as L2, with sizes in place of energies. Squares shrink with the
    queries that have been spent. Images leave at their first success.

    What differs. An image leaves when it is hopeless: at 1,000, 2,000, ... queries, where twice what the last doubling
    of queries has taken from the margin, in each doubling that is left, would not bring it to 0. Squares shrink over
    ``shrink`` queries, whatever the budget: stretched to 5,000 queries, as AutoAttack does, they stay large for too
    long. Late proposals are rarely accepted, so that after 384 an image asks about 2 and then 4 at once, all painted on
    the same best image, and keeps the best of them: a pass of a few images costs twice as much for each. A proposal in
    Linf that would change nothing turns one channel over instead of wasting a query. A new bump in L2 gets its share of
    all energy that the budget has left, where the paper rescales the whole image. In L1, where the paper projects bumps
    on ball and box, a square is filled from its middle, each value to its wall, with what was around a changed pixel:
    few values that move far are what that norm favours.
    """

    norm: NormLike = option(LINF, "norm of the budget", among=(L1, L2, LINF))
    eps: float = option(8 / 255, "budget: largest size of the perturbation, in pixels of [0, 1]", at_least=0)
    queries: int = option(5000, "forward passes at the most, the look at the image itself included", at_least=1)
    p: float = option(0.8, "fraction of the image that the first squares cover", above=0, at_most=1)
    shrink: int = option(700, "queries in which the squares become as small as they get", at_least=1)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        ask, shape, spent = asking_first(classifier, images, goal), images.shape[1:], 2
        met, _ = ask.look(ask.everyone, images)
        rows = ask.everyone[~met & (self.queries > 1)]
        draw, squares = rng[rows], self._squares(images[rows])
        best = squares.start(draw)  # [n, C, H * W]
        least, met = ask.margins(rows, best.view(-1, *shape))
        ask.stepped(rows)
        before, look = least, _FIRST_LOOK
        block: list[Tensor] = []
        for number, proposals in self._passes():
            leaves = met
            if spent >= look:
                if look > _FIRST_LOOK:
                    leaves = met | (least > _HOPE * (before - least) * math.log2(self.queries / spent))
                before, look = least.clone(), 2 * spent
            if leaves.any():
                ask.best.leave(rows, best.view(-1, *shape), met)
                squares.keep((~leaves).nonzero().squeeze(1))
                rows, best, least, met, before, *block = kept(~leaves, rows, best, least, met, before, *block)
                draw = rng[rows]
            if not len(rows):
                break
            if proposals.start == 0:
                draws = draw.uniform(f"square {number}", best.new_empty(len(best), _BLOCK, squares.numbers))
                block = list(squares.block(draws, self._sides(number, *shape[1:])))
            side = self.side(number * _BLOCK + proposals.start, *shape[1:])
            patches = squares.patches(best, side, tuple(part[:, proposals] for part in block))

            together, parts = patches[0].values.shape[1], []
            for part in classifier.chunks(together * len(best)):
                row = torch.arange(part.start, part.stop, device=best.device) // together
                canvas = painted(best.index_select(0, row), [patch.flat(part) for patch in patches])
                parts.append(ask.margins(rows[row], canvas.view(-1, *shape)))
                ask.stepped(rows[row])
            margin, success = (torch.cat(one).view(-1, together) for one in zip(*parts, strict=True))
            spent += together

            smallest, at = margin.min(1)
            better = (smallest < least - _TIE * least.abs().clamp(1, 1e9)).nonzero().squeeze(1)
            if len(better):
                winner = better * together + at[better]
                best[better] = painted(best[better], [patch.flat(winner) for patch in patches])
                least[better], met[better] = smallest[better], success.flatten()[winner]
                squares.moved(better, best)
        ask.best.leave(rows, best.view(-1, *shape), met)
        return ask.outcome()

    def _squares(self, images: Images) -> "Squares":
        kinds: dict[Norm, type[Spots | Bumps | Corners]] = {L1: Spots, L2: Bumps, LINF: Corners}
        squares: Squares = kinds[norm_of(self.norm)](images, self.eps)
        return squares

    def _passes(self) -> Iterator[tuple[int, slice]]:
        """Of each pass after those of the image and of the start: the block, and the proposals in it."""
        left = self.queries - 2
        for block in count():
            for start in range(0, _BLOCK, _together(block)):
                if left <= 0:
                    return
                yield block, slice(start, start + min(_together(block), left))
                left -= _together(block)

    def _sides(self, block: int, height: int, width: int) -> list[int]:
        """Of the squares of a block; those of a pass are of one size."""
        first = block * _BLOCK
        return [self.side(first + at - at % _together(block), height, width) for at in range(_BLOCK)]

    def side(self, proposal: int, height: int, width: int) -> int:
        """Of the square of a proposal, the first being 0, in pixels; odd in L1 and L2, where it has a middle."""
        spent = proposal / self.shrink
        p = self.p * 0.5 ** sum(spent > start for start in _HALVINGS)
        side = max(round(math.sqrt(p * height * width)), 3 if norm_of(self.norm) == L2 else 1)
        odd = side if norm_of(self.norm) == LINF else side | 1
        return min(odd, height, width)


def _together(block: int) -> int:
    """Proposals of an image in one pass."""
    return min(1 << block // 4, _TOGETHER)
