"""Square: random search with square-shaped changes (Andriushchenko et al. 2020, arXiv:1912.00049)."""

import math
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol, final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome, require, require_budget, require_norm
from brittle.attacks._loop import ActiveSet
from brittle.catalog import option, register
from brittle.geometry.box import LOW, HIGH, clip
from brittle.geometry.norms import L2, LINF, NormLike, norm_of, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # after so many steps of _OF the fraction p is halved
_OF = 10_000
_BLOCK = 100  # steps whose random numbers are drawn at once: seeding a row's generator takes longer than using it
_TIE = 1e-6  # of the logits' size: an improvement by less than this is rounding, which depends on the batch
_PHI = (0.7548776662466927, 0.5698402909980532)
import os

V_POS = os.environ.get("V_POS", "uniform")
V_FLIP = os.environ.get("V_FLIP", "one")


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
    """Random search: repaints a random square, keeps it where the margin falls."""

    norm: NormLike = option(LINF, "norm of the budget: l2 or linf")
    eps: float = option(8 / 255, "budget: largest size of the perturbation, in pixels of [0, 1]")
    queries: int = option(5000, "forward passes at the most, the look at the image itself included")
    p: float = option(0.8, "fraction of the image that the first squares cover")
    rescale: bool = option(True, "stretch the schedule to the queries; without, it is that for 10,000")

    def __post_init__(self) -> None:
        require(self.queries >= 1, "queries >= 1", self.queries)
        require(0 < self.p <= 1, "p in (0, 1]", self.p)
        require_norm(self, self.norm)
        require(self.norm in (L2, LINF), "norm l2 or linf", self.norm)
        require_budget(self.eps, self.norm)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        found = images.clone()
        claimed = goal.is_surely_met(classifier.logits(images))
        forwards = torch.ones_like(claimed, dtype=torch.int64)
        active = ActiveSet(len(images), images.device)
        keep = active.drop(claimed)
        if len(keep) and self.queries > 1:
            goal, rng = goal[keep], rng[keep]
            moves: _Moves = (_Bumps if norm_of(self.norm) == L2 else _Corners)(images[keep], self.eps)
            best = moves.start(rng)
            least = torch.full((len(keep),), torch.inf, device=images.device)
            draws = best.new_empty(0)
            shift = rng.uniform("shift", best.new_empty(len(best), 2))
            for step in range(self.queries - 1):
                if step:
                    at = (step - 1) % _BLOCK
                    if at == 0:
                        like = best.new_empty(len(best), _BLOCK, moves.numbers)
                        draws = rng.uniform(f"square {step - 1}", like)
                    patches = moves.propose(best, self.side(step - 1, images), draws[:, at], step - 1, shift)
                    _paint(best, patches)
                logits = classifier.logits(best.view(-1, *images.shape[1:]))
                forwards[active.rows] += 1
                margin = goal.margin(logits)
                better = margin < least - _TIE * logits.abs().amax(1)
                least = torch.where(better, margin, least)
                if step:
                    _paint(best, patches, better)
                met = goal.is_surely_met(logits)
                if met.any():
                    solved = active.rows[met]
                    found[solved] = best[met].view(-1, *images.shape[1:])
                    claimed[solved] = True
                    keep = active.drop(met)
                    best, least, draws, goal, rng = (
                        best[keep],
                        least[keep],
                        draws[keep] if step else draws,
                        goal[keep],
                        rng[keep],
                    )
                    moves.keep(keep)
                    shift = shift[keep]
                    if not len(active):
                        break
            found[active.rows] = best.view(-1, *images.shape[1:])
        return Outcome(found, claimed, forwards - 1, forwards, torch.zeros_like(forwards))

    def side(self, step: int, images: Images) -> int:
        height, width = images.shape[2:]
        of = int(step / self.queries * _OF) if self.rescale else step
        p = self.p / 2 ** sum(of > start for start in _HALVINGS)
        side = round(math.sqrt(p * height * width))
        if norm_of(self.norm) == L2:
            side = max(side, 3) | 1
        return min(max(side, 1), height, width)


class _Patch(NamedTuple):
    """where: positions in a channel, ``[n, C, k]``; old, new: the pixels there."""

    where: Tensor
    old: Tensor
    new: Tensor


def _paint(best: Tensor, patches: list[_Patch], better: Tensor | None = None) -> None:
    for where, old, new in patches:
        best.scatter_(2, where, new if better is None else torch.where(better.view(-1, 1, 1), new, old))


class _Moves(Protocol):
    numbers: int

    def start(self, rng: Rng) -> Tensor: ...

    def propose(self, best: Tensor, side: int, draw: Tensor) -> list[_Patch]: ...

    def keep(self, rows: Tensor) -> None: ...


@cache
def _offsets(side: int, width: int) -> Tensor:
    i = torch.arange(side)
    return (i.unsqueeze(1) * width + i).flatten()


class _Corners:
    """L-infinity: every pixel at an end of its range."""

    def __init__(self, images: Images, eps: float) -> None:
        self.shape = images.shape[1:]
        self.numbers = 3 + images.shape[1]
        self.low, self.high = clip(images - eps).flatten(2), clip(images + eps).flatten(2)

    def keep(self, rows: Tensor) -> None:
        self.low, self.high = self.low[rows], self.high[rows]

    def start(self, rng: Rng) -> Tensor:
        channels, height, width = self.shape
        stripes = rng.uniform("square stripes", self.low.new_empty(len(self.low), channels, 1, width)) < 0.5
        up = stripes.expand(-1, -1, height, -1).flatten(2)
        return torch.where(up, self.high, self.low)

    def propose(self, best, side, draw, step, shift):
        channels, height, width = self.shape
        where = _window(draw, side, self.shape, step, shift).unsqueeze(1).expand(-1, channels, -1)
        low, high, old = self.low.gather(2, where), self.high.gather(2, where), best.gather(2, where)
        up = (draw[:, 3:] < 0.5).unsqueeze(2)
        new = torch.where(up, high, low)
        same = (new == old).flatten(1).all(1).view(-1, 1, 1)
        if V_FLIP == "none":
            return [_Patch(where, old, new)]
        if V_FLIP == "one":
            which = (draw[:, 2:3] * channels).long()
            flip = (torch.arange(channels) == which).unsqueeze(2)
        elif V_FLIP == "all":
            flip = torch.ones(1, 1, 1, dtype=torch.bool)
        elif V_FLIP == "any":
            code = 1 + (draw[:, 2] * (2**channels - 1)).long()
            flip = ((code.unsqueeze(1) >> torch.arange(channels)) & 1).bool().unsqueeze(2)
        new = torch.where(up ^ (same & flip), high, low)
        if V_FLIP2 == "neg" and side <= V_SIDE:
            # window all one: negate
            first = old[:, :, :1] == high[:, :, :1]
            allneg = torch.where(first, low, high)
            new = allneg
        return [_Patch(where, old, new)]


V_FLIP2 = os.environ.get("V_FLIP2", "")
V_L2 = os.environ.get("V_L2", "")
V_K = float(os.environ.get("V_K", "1"))
V_SIDE = int(os.environ.get("V_SIDE", "2"))


def _window(draw, side, shape, step=0, shift=None, first=0):
    _, height, width = shape
    u, v = draw[:, first], draw[:, first + 1]
    if V_POS == "r2" and first == 0:
        u = (shift[:, 0] + step * _PHI[0] % 1) % 1
        v = (shift[:, 1] + step * _PHI[1] % 1) % 1
    top = (u * (height - side + 1)).long()
    left = (v * (width - side + 1)).long()
    return (top * width + left).unsqueeze(1) + _offsets(side, width)


class _Bumps:
    """L2."""

    def __init__(self, images: Images, eps: float) -> None:
        self.shape, self.eps = images.shape[1:], eps
        self.numbers = 5 + images.shape[1]
        self.x = images.flatten(2)

    def keep(self, rows: Tensor) -> None:
        self.x = self.x[rows]

    def start(self, rng: Rng) -> Tensor:
        channels, height, width = self.shape
        n = len(self.x)
        side = max(min(height, width) // 5, 1)
        rows, columns = height // side, width // side
        signs = 2 * (rng.uniform("square signs", self.x.new_empty(n, channels, rows, columns)) < 0.5).float() - 1
        turned = (rng.uniform("square turns", self.x.new_empty(n, rows, columns)) < 0.5).long()
        bumps = _bump(side).view(2, side, side)[turned]  # n, rows, cols, s, s
        tiles = signs[..., None, None] * bumps.unsqueeze(1)
        delta = torch.zeros(n, channels, height, width)
        top, left = (height - rows * side) // 2, (width - columns * side) // 2
        delta[:, :, top : top + rows * side, left : left + columns * side] = tiles.transpose(3, 4).reshape(
            n, channels, rows * side, columns * side
        )
        delta = delta.flatten(2) * per_row(self.eps / L2.measure(delta), self.x)
        return clip(self.x + delta)

    def propose(self, best, side, draw, step, shift):
        channels, height, width = self.shape
        put = _window(draw, side, self.shape, step, shift)
        take = _window(draw, side, self.shape, first=2)
        top, left = take // width - put[:, :1] // width, take % width - put[:, :1] % width
        apart = (top < 0) | (top >= side) | (left < 0) | (left >= side)
        put, take = (one.unsqueeze(1).expand(-1, channels, -1) for one in (put, take))
        old, old_taken = best.gather(2, put), best.gather(2, take)
        x, x_taken = self.x.gather(2, put), self.x.gather(2, take)
        delta, taken = old - x, (old_taken - x_taken) * apart.unsqueeze(1)
        energy = delta.square().sum(2, keepdim=True)
        unused = self.eps**2 - (best - self.x).square().sum((1, 2), keepdim=True)
        if V_L2 == "agg":
            total = (energy + taken.square().sum(2, keepdim=True)).sum(1, keepdim=True).expand(-1, channels, -1) * V_K
            available = (total + unused.clamp_min(0) / channels).sqrt()
            sign = torch.where(draw[:, 5:] < 0.5, -1.0, 1.0).unsqueeze(2)
            shape = sign * _bump(side)[(draw[:, 4] < 0.5).long()].unsqueeze(1) + delta / energy.sqrt().clamp_min(1e-12)
            d = (
                (best - self.x)
                .scatter(2, take, 0.0)
                .scatter(2, put, shape * (available / shape.square().sum(2, keepdim=True).sqrt().clamp_min(1e-12)))
            )
            new = clip(self.x + d * (self.eps / d.square().sum((1, 2), keepdim=True).sqrt()))
            w = torch.arange(best.shape[2]).expand_as(best)
            return [_Patch(w, best.clone(), new)]
        available = (energy + taken.square().sum(2, keepdim=True) + unused / channels).clamp_min(0).sqrt()
        sign = torch.where(draw[:, 5:] < 0.5, -1.0, 1.0).unsqueeze(2)
        shape = sign * _bump(side)[(draw[:, 4] < 0.5).long()].unsqueeze(1) + delta / energy.sqrt().clamp_min(1e-12)
        new = clip(x + shape * (available / shape.square().sum(2, keepdim=True).sqrt().clamp_min(1e-12)))
        return [_Patch(take, old_taken, x_taken), _Patch(put, old, new)]


@cache
def _bump(side: int) -> Tensor:
    """``[2, side * side]``."""
    half = side // 2
    bump = torch.cat([_pyramid(half, side), -_pyramid(side - half, side)])
    bump = bump / bump.norm().clamp_min(1e-12)
    return torch.stack([bump.flatten(), bump.T.flatten()])


def _pyramid(height: int, width: int) -> Tensor:
    most = max(height, width) // 2 + 1
    rows, columns = (torch.arange(height) - height // 2).abs(), (torch.arange(width) - width // 2).abs()
    ring = torch.maximum(rows.unsqueeze(1), columns)
    sums = (1 / torch.arange(1, most + 1).square()).flip(0).cumsum(0).flip(0)
    pyramid = sums[ring]
    return pyramid / pyramid.norm().clamp_min(1e-12)
