"""Where APGD stands, and how it steps in L2 and L-infinity (Croce & Hein 2020, arXiv:2003.01690, algorithm 1)."""

from dataclasses import dataclass, fields
from typing import Protocol, final

import torch
from torch import Tensor

from brittle.geometry.box import Room, clip, room
from brittle.geometry.norms import Norm, per_row
from brittle.types import Images

_MOMENTUM = 0.25  # 1 - alpha of equation 1, section 3.1
_RISING = 0.75  # rho of section 3.2: the share of steps that must have raised the loss


@final
@dataclass(slots=True)
class Walk:
    """Where the unsolved examples stand, in images ``[n, C, H, W]`` and numbers ``[n]``; ``walk[rows]``: some of them.

    origin: the images. low, high: what may be added to them. delta: the perturbation now. gradient: the loss's, there.
    best, best_gradient, best_loss: those of the highest loss so far. rises: steps since the last checkpoint that raised
    the loss. rests: no further step would lead anywhere.
    """

    origin: Images
    low: Tensor
    high: Tensor
    delta: Tensor
    gradient: Tensor
    best: Tensor
    best_gradient: Tensor
    loss: Tensor
    best_loss: Tensor
    rises: Tensor
    rests: Tensor

    @classmethod
    def start(cls, origin: Images, delta: Tensor) -> "Walk":
        low, high = room(origin)
        number = torch.zeros(len(origin), device=origin.device)
        never = torch.full_like(number, -torch.inf)
        none = torch.zeros_like(number, dtype=torch.bool)
        return cls(origin, low, high, delta, delta, delta.clone(), delta.clone(), -never, never, number, none)

    def __getitem__(self, rows: Tensor) -> "Walk":
        return Walk(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def room(self) -> Room:
        return Room(self.low, self.high)

    def at(self, delta: Tensor) -> Images:
        """The images with such a perturbation."""
        return clip(self.origin + delta)

    def note(self, loss: Tensor, gradient: Tensor, found: Tensor) -> None:
        """Takes in what the network says about delta; where bool ``found`` holds, the loss counts as infinite."""
        loss = torch.where(found, torch.inf, loss.clamp_max(torch.finfo(loss.dtype).max))
        self.rises += loss > self.loss
        better = loss > self.best_loss
        self.loss, self.gradient = loss, gradient
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.best = torch.where(per_row(better, self.best), self.delta, self.best)
        self.best_gradient = torch.where(per_row(better, self.best), gradient, self.best_gradient)

    def go_back(self, which: Tensor) -> None:
        """To the best point, where bool ``which`` ``[n]`` holds."""
        self.loss = torch.where(which, self.best_loss, self.loss)
        self.delta = torch.where(per_row(which, self.delta), self.best, self.delta)
        self.gradient = torch.where(per_row(which, self.delta), self.best_gradient, self.gradient)


class Pace(Protocol):
    """How far and where to a walk steps, in a norm; ``pace[rows]``: for some of the examples."""

    def checkpoints(self, steps: int) -> tuple[int, ...]:
        """The steps before which it checks."""

    def check(self, walk: Walk, steps: int) -> None:
        """A checkpoint, ``steps`` after the last one."""

    def advance(self, walk: Walk) -> None:
        """The next step."""

    def __getitem__(self, rows: Tensor) -> "Pace": ...


@final
@dataclass(slots=True)
class Halving:
    """Steepest steps with momentum, of a size that is halved (equation 1; conditions 1 and 2 of section 3.2).

    previous: the perturbation one step ago. checked_loss: the best at the last checkpoint; halved: there, the size was.
    """

    norm: Norm
    eps: float
    previous: Tensor
    size: Tensor
    checked_loss: Tensor
    halved: Tensor
    momentum: float = 0.0  # of the first step

    @classmethod
    def start(cls, norm: Norm, eps: float, walk: Walk) -> "Halving":
        size = torch.full_like(walk.loss, 2 * eps)
        return cls(norm, eps, walk.delta, size, walk.best_loss, torch.zeros_like(walk.rests))

    def __getitem__(self, rows: Tensor) -> "Halving":
        previous, size, checked_loss, halved = self.previous, self.size, self.checked_loss, self.halved
        parts = previous[rows], size[rows], checked_loss[rows], halved[rows]
        return Halving(self.norm, self.eps, *parts, self.momentum)

    def checkpoints(self, steps: int) -> tuple[int, ...]:
        return checkpoints(steps)

    def check(self, walk: Walk, steps: int) -> None:
        stalled = (walk.rises < _RISING * steps) | (~self.halved & (walk.best_loss == self.checked_loss))
        self.size = torch.where(stalled, self.size / 2, self.size)
        walk.go_back(stalled)
        self.halved, self.checked_loss, walk.rises = stalled, walk.best_loss, torch.zeros_like(walk.rises)

    def advance(self, walk: Walk) -> None:
        delta, direction = walk.delta, self.norm.steepest(walk.gradient)
        ahead = self._project(walk, torch.addcmul(delta, direction, per_row(self.size, delta)))
        moved = delta - self.previous
        walk.rests = ((ahead == delta) & (moved == 0)).flatten(1).all(1) & (walk.loss >= walk.best_loss)
        if self.momentum:
            ahead = self._project(walk, ahead.lerp_(delta, self.momentum).add_(moved, alpha=self.momentum))
        self.previous, walk.delta, self.momentum = delta, ahead, _MOMENTUM

    def _project(self, walk: Walk, delta: Tensor) -> Tensor:
        return torch.clamp(self.norm.project(delta, self.eps), walk.low, walk.high)


def checkpoints(steps: int) -> tuple[int, ...]:
    """The steps ``w_j = ceil(p_j * steps)`` before the last: 0, 22, 41, 57, 70, 80, 87, 93, 99 of 100 (section 3.2).

    ``p_0 = 0, p_1 = 0.22, p_j+1 = p_j + max(p_j - p_j-1 - 0.03, 0.06)``; in hundredths, so that nothing is rounded.
    """
    ends, p, length = [], 0, 22
    while p < 100:
        ends.append(-(-p * steps // 100))
        p, length = p + length, max(length - 3, 6)
    return tuple(end for end in dict.fromkeys(ends) if end < steps)
