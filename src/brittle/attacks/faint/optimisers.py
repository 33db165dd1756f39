"""Ordinary optimisers, a row at a time as far as anyone can tell: SGD, Adam, and L-BFGS with line search."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, final

import torch
from torch import Tensor

from brittle.attacks.parts.two_loops import two_loops
from brittle.geometry.norms import L2, inner, per_row

_MEMORY = 5  # of L-BFGS: steps of which the curvature is remembered
_ARMIJO = 1e-4  # of what the slope promises: the least gain for which a step is taken
_REFUSALS = 4  # steps in a row that gain nothing, before one is taken all the same
_TINY = torch.finfo(torch.float32).tiny


class Optimiser(Protocol):
    """Goes downhill; a row at a time as far as anyone can tell."""

    def step(self, theta: Tensor, value: Tensor, slope: Tensor, rate: Tensor, renewed: Tensor) -> Tensor:
        """The next theta to ask about, given value and slope at this one; renewed: where the objective is a new one."""

    def __getitem__(self, rows: Tensor) -> "Optimiser": ...


@final
class SGD:
    """Straight down the slope."""

    def step(self, theta: Tensor, value: Tensor, slope: Tensor, rate: Tensor, renewed: Tensor) -> Tensor:
        return theta - per_row(rate, slope) * slope

    def __getitem__(self, rows: Tensor) -> "SGD":
        return self


@final
@dataclass
class Adam:
    """Kingma and Ba 2015 (arXiv:1412.6980, algorithm 1), with its constants."""

    moments: tuple[Tensor, Tensor] | None = None  # of the slope: mean, and mean square
    turn: int = 0

    def step(self, theta: Tensor, value: Tensor, slope: Tensor, rate: Tensor, renewed: Tensor) -> Tensor:
        self.turn += 1
        mean, square = self.moments or (torch.zeros_like(slope), torch.zeros_like(slope))
        self.moments = mean, square = torch.lerp(mean, slope, 0.1), torch.lerp(square, slope.square(), 0.001)
        root = (square / (1 - 0.999**self.turn)).sqrt() + _TINY
        return theta - per_row(rate / (1 - 0.9**self.turn), slope) * mean / root

    def __getitem__(self, rows: Tensor) -> "Adam":
        return Adam((self.moments[0][rows], self.moments[1][rows]) if self.moments else None, self.turn)


@final
@dataclass
class LineSearch:
    """L-BFGS by the two-loop recursion (Nocedal and Wright 2006, algorithm 7.4), with steps shortened as Armijo asks.

    What is rounded has no slope: where shortening does not help, the step is taken all the same and memory starts anew.
    """

    state: tuple[Tensor, ...] = ()  # theta, its value and slope; the direction and the stride along it; refusals
    pairs: list[tuple[Tensor, Tensor]] = field(default_factory=list)

    def step(self, theta: Tensor, value: Tensor, slope: Tensor, rate: Tensor, renewed: Tensor) -> Tensor:
        if not self.state:
            zero, renewed = torch.zeros_like(value), torch.ones_like(renewed)
            self.state = (theta, value, slope, torch.zeros_like(slope), zero, zero)
        point, level, steepness, direction, stride, refused = self.state
        moved = theta - point
        promised = inner(steepness, moved).clamp_max(0)
        renewed = renewed | (refused >= _REFUSALS)
        taken = renewed | (value <= level + _ARMIJO * promised)
        if renewed.any():
            kept = per_row(~renewed, slope)
            self.pairs = [(s * kept, y * kept) for s, y in self.pairs]
        learnt = per_row(taken & ~renewed, slope)
        self.pairs = [*self.pairs, (moved * learnt, (slope - steepness) * learnt)][-_MEMORY:]
        nearer = -promised / (2 * (value - level - promised)).clamp_min(_TINY)
        wide = per_row(taken, slope)
        point, steepness = torch.where(wide, theta, point), torch.where(wide, slope, steepness)
        level, refused = torch.where(taken, value, level), torch.where(taken, 0, refused + 1)
        newton = two_loops(steepness, torch.ones_like(wide), self.pairs)
        downhill = inner(newton, steepness) < -1e-8 * L2.measure(newton) * L2.measure(steepness)
        aimed = torch.where(per_row(downhill, slope), newton, -steepness)
        direction = torch.where(wide, aimed, direction)
        # What is never negative cannot fall by more than it is; of a parabola, the first slope promises twice the fall.
        first = torch.where(downhill, 1, rate).minimum(2 * level / (-inner(direction, steepness)).clamp_min(_TINY))
        stride = torch.where(taken, first, stride * nearer.clamp(0.1, 0.5))
        self.state = (point, level, steepness, direction, stride, refused)
        return point + per_row(stride, direction) * direction

    def __getitem__(self, rows: Tensor) -> "LineSearch":
        return LineSearch(tuple(one[rows] for one in self.state), [(s[rows], y[rows]) for s, y in self.pairs])


OPTIMISERS: dict[str, Callable[[], Optimiser]] = {"sgd": SGD, "adam": Adam, "lbfgs": LineSearch}
