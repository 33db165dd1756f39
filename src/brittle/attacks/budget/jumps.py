"""A climb over what a front makes jump, for attackers of a classifier behind one that rounds (JPEG, few grey levels).

What a network answers is smooth in what the front gives it, and the front is not in the image. So each of both is asked
by itself. A pass of the network says what every jump gains; then many steps through the front alone, which cost no pass
of the network, look for the image within the budget whose jumps gain most. The network is taken for linear on the way,
which few jumps at once allow: a jump costs what it would be wrong by, so that some of them are worth it and no more.
It is a proximal linear method for a function of a function (Drusvyatskiy and Paquette 2019, arXiv:1605.00125), whose
inner problem, discrete here, is solved by descent through slopes that are steep near the jumps.
"""

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from brittle.attacks.budget.aim import Aim
from brittle.attacks.budget.apgd_walk import checkpoints
from brittle.attacks.parts.asking import Asking
from brittle.attacks.parts.best import First
from brittle.attacks.parts.rows import rows_of, rows_where
from brittle.geometry.box import clip
from brittle.geometry.norms import Norm, per_row
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.front import Rounded
from brittle.models.stairs import Stairs
from brittle.types import Images


class _Kind(NamedTuple):
    """share: of what is rounded, so many may want to jump to begin with. tries: how often a part of what steps through
    the front have found is taken back and looked for again. rank: of the other class to go for; 1 for any."""

    share: float
    tries: int = 0
    rank: int = 1


_CLIMBS = (_Kind(1 / 2), _Kind(1 / 15), _Kind(1 / 15, tries=5), _Kind(1 / 10, tries=5, rank=2))
"""Each on what those before it have left: many jumps at once are for nearly linear networks and wide budgets, few for
where a single one is almost more than a slope can foretell."""
_FEWER = 1.7  # by so much, at a checkpoint where the loss has not risen often
_RISING = 0.6  # of the passes
_MOMENTUM = 0.5  # of what jumps gain
_STEPS, _EVERY = 30, 3  # through the front, for each pass of the network; after so many they are shorter
_SHORTER = 0.72
_WIDE, _NARROW = 0.2, 0.08  # units before a jump that is wanted, where its pull has fallen to an e-th
_HELD = 0.05  # the same behind one that is not
_AGAIN = 15  # steps of another try, from half the budget; what is wanted is within _NEAR of its jump to begin with
_NEAR = 0.12
_CELL, _PARTS = 8, 5  # pixels of the squares that are taken back together, one in so many at a time
_REACH = 0.3  # the same for how near a jump has to be to be among those that may


@final
@dataclass(slots=True)
class _Climb:
    """Where images stand, in order: which, where they go, their changes, what jumps gain there; the same at the highest
    loss so far.

    rises: passes since the last checkpoint that raised the loss. checked: the highest loss then. share: of what is
    rounded that may want to jump.
    """

    rows: Tensor
    steer: Goal
    delta: Images
    gains: Tensor
    loss: Tensor
    best: Images
    best_gains: Tensor
    best_loss: Tensor
    rises: Tensor
    checked: Tensor
    share: Tensor

    @classmethod
    def start(cls, rows: Tensor, steer: Goal, images: Images, share: float) -> "_Climb":
        none = images.new_zeros(len(rows))
        zero, no_gains = torch.zeros_like(images), none.unsqueeze(1)
        never = none - torch.inf
        return cls(rows, steer, zero, no_gains, -never, zero, no_gains, never, none, never, none + share)

    def note(self, loss: Tensor, gains: Tensor, first: bool) -> None:
        """What the network says where they stand."""
        self.rises = self.rises + (loss > self.loss)
        self.loss, self.gains = loss, gains if first else _MOMENTUM * self.gains + (1 - _MOMENTUM) * gains
        better = loss > self.best_loss
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.best = torch.where(per_row(better, self.best), self.delta, self.best)
        self.best_gains = torch.where(better.unsqueeze(1), self.gains, self.best_gains)

    def check(self, passes: int) -> None:
        """Fewer jumps, from the best so far, where that has not risen."""
        stalled = (self.rises < _RISING * passes) | (self.best_loss == self.checked)
        self.share = torch.where(stalled, self.share / _FEWER, self.share)
        self.delta = torch.where(per_row(stalled, self.delta), self.best, self.delta)
        self.gains = torch.where(stalled.unsqueeze(1), self.best_gains, self.gains)
        self.rises, self.checked = torch.zeros_like(self.rises), self.best_loss


def climb_jumps(ask: Asking[First], apart: Rounded, norm: Norm, eps: float, steps: int) -> None:
    """Offers what meets the goal within eps, and leaves what came nearest.

    An image is done with its first success. steps: passes of the network, for each of the climbs.
    """
    for kind in _CLIMBS:
        rows = rows_where(~ask.best.claimed)
        if not len(rows):
            return
        start = _Climb.start(rows, _steered(ask, rows, kind.rank), ask.images[rows], kind.share)
        _climb(ask, apart, norm, eps, start, steps, kind.tries)


def _steered(ask: Asking[First], rows: Tensor, rank: int) -> Goal:
    """Where to go: any way from the label, or towards the other class of that rank, where there are so many."""
    goal = ask.goal[rows]
    if rank == 1 or not isinstance(goal, Untargeted):
        return goal
    others = goal.others(ask.logits(rows, ask.images[rows])).topk(rank, dim=1)
    return Targeted(torch.where(others.values[:, -1] > -torch.inf, others.indices[:, -1], others.indices[:, 0]))


def _climb(ask: Asking[First], apart: Rounded, norm: Norm, eps: float, at: _Climb, steps: int, tries: int) -> None:
    checks, since = checkpoints(steps), 0
    for step in range(steps + 1):
        if not len(at.rows):
            return
        goal, x = ask.goal[at.rows], clip(ask.images[at.rows] + at.delta)
        seen = apart.front.step(x)
        logits, gradient = apart.behind.gradient(seen, Aim(goal, at.steer, "margin").loss)
        ones = torch.ones_like(at.rows)
        ask.add(at.rows, torch.zeros_like(ones), ones, ones)
        met = goal.is_surely_met(logits)
        ask.best.offer(at.rows, x, met)
        at.note(-at.steer.margin(logits), apart.stairs.gains(x, gradient), first=step == 0)
        if step in checks and step:
            at.check(step - since)
            since = step
        at = rows_of(at, ~met)
        if step == steps:
            break
        at.delta = _jumped(apart.stairs, norm, eps, ask.images[at.rows], at, tries)
        ask.stepped(at.rows)
    ask.best.leave(at.rows, clip(ask.images[at.rows] + at.best))


def _jumped(stairs: Stairs, norm: Norm, eps: float, images: Images, at: _Climb, tries: int) -> Images:
    """The change within eps whose jumps gain most, as far as steps through the front alone find it.

    Which jumps these come to is chance in part. So a part of the image is taken back to be found again, beside what the
    others have made of it in the meantime, as often as there are tries, and what gains more is kept.
    """
    with torch.no_grad():
        start, unit = stairs.heights(clip(images + at.delta))
    whole = start.round()
    surface = _Surface(stairs, norm, eps, images, at.gains, whole, _price(at, start - whole, unit))
    best, highest = surface.descend(at.delta, 2 * eps, _STEPS, _WIDE)
    for number in range(tries):
        kept = best * ~_cells(images, number)
        found, worth = surface.descend(kept, eps / 2, _AGAIN, _NEAR)
        higher = worth > highest
        best, highest = torch.where(per_row(higher, best), found, best), torch.where(higher, worth, highest)
    return best


def _cells(images: Images, number: int) -> Tensor:
    """bool ``[H, W]``: squares of the image, one of so many, others for each number."""
    row, column = (torch.arange(side, device=images.device) // _CELL for side in images.shape[2:])
    return (2 * row.unsqueeze(1) + 3 * column + number) % _PARTS == 0


@final
@dataclass(frozen=True, slots=True)
class _Surface:
    """What jumps of some images gain and cost, beside the levels ``whole`` that all is at, as steps go down it."""

    stairs: Stairs
    norm: Norm
    eps: float
    images: Images
    gains: Tensor
    whole: Tensor
    price: Tensor

    def descend(self, delta: Images, size: float, steps: int, width: float) -> tuple[Images, Tensor]:
        """The change within eps that gains most on the way, and what it gains, ``[B]``; size: of the first steps."""
        best, highest = delta, delta.new_full((len(delta),), -torch.inf)
        before = delta
        for step in range(steps):
            with torch.inference_mode(False), torch.enable_grad():
                leaf = clip(self.images + delta).clone().requires_grad_()
                heights, _ = self.stairs.heights(leaf)
            level = heights.detach().round()
            moved = level - self.whole
            worth = (self.gains * moved - self.price / 2 * moved.square()).sum(1)
            higher = worth > highest
            best, highest = torch.where(per_row(higher, best), delta, best), torch.where(higher, worth, highest)
            slope = self.gains - self.price * moved
            pull = _pull(heights.detach() - level, slope, self.price, width + (_NARROW - width) * step / steps)
            (gradient,) = torch.autograd.grad(heights, leaf, pull)
            ahead = self._within(delta + size * self.norm.steepest(gradient))
            delta, before = self._within(delta + 0.75 * (ahead - delta) + 0.25 * (delta - before)), delta
            if step % _EVERY == _EVERY - 1:
                size *= _SHORTER
        return best, highest

    def _within(self, delta: Images) -> Images:
        return clip(self.images + self.norm.project(delta, self.eps)) - self.images


def _price(at: _Climb, beyond: Tensor, unit: Tensor) -> Tensor:
    """What a jump costs, by the square of its unit: half of it is what the last one gains of those that may jump."""
    rank = (at.share * unit.shape[1]).long().clamp(1, unit.shape[1] - 1)
    near = (-(0.5 - beyond * at.gains.sign()) / _REACH).exp()
    worth = 2 * at.gains.abs() * near / unit.square()
    last = worth.sort(1, descending=True).values.gather(1, rank.unsqueeze(1))
    return last * unit.square()


def _pull(beyond: Tensor, slope: Tensor, price: Tensor, width: float) -> Tensor:
    """On all that is rounded: towards a jump that is worth it, and away from one that is not.

    beyond: how far from the nearest level; slope: of what that level is worth.
    """
    up, down = slope - price / 2, -slope - price / 2

    def force(worth: Tensor, way: Tensor) -> Tensor:
        return worth * torch.where(worth > 0, (-way / width).exp(), (-way / _HELD).exp())

    return force(up, 0.5 - beyond) - force(down, 0.5 + beyond)
