"""How APGD steps in L1: in a few coordinates at once, whose number follows the best point (arXiv:2103.01208)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks.budget.apgd_walk import Walk
from brittle.geometry import l1_budget
from brittle.geometry.norms import per_row

_EVERY = 4  # hundredths of the steps
_FIRST = 5  # one in so many coordinates takes part in the first steps
_SPARSER = 1.5  # steps have so many times fewer coordinates than the best perturbation
_FALLING = 0.95  # of its support at the last checkpoint: as long as it falls so fast, steps stay as long as eps
_SHORTER, _SHORTEST = 1.5, 0.1


@final
@dataclass(slots=True)
class Sparse:
    """Steps in the largest coordinates of the gradient, projected on ball and box together (section 4, algorithm 2).

    A step has two thirds of the coordinates that the best perturbation has changed, one fifth of all to begin with. Its
    size is eps, and falls by a factor of 1.5 down to eps / 10 once their number falls no more; where it does fall, the
    walk goes on from the best point.

    Deviation: where the best point is still that of the last checkpoint, steps have fewer coordinates than the last
    ones had, and go on from there. Else a walk whose steps are wider than its best point needs would lead away from it
    for good: on a linear classifier, where one coordinate is best, half of the images ended so.

    support, checked_loss: of the best point at the last checkpoint. count: coordinates of a step.
    """

    eps: float
    size: Tensor
    support: Tensor
    count: Tensor
    checked_loss: Tensor

    @classmethod
    def start(cls, eps: float, walk: Walk) -> "Sparse":
        everything = torch.full_like(walk.loss, walk.origin[0].numel() if len(walk.origin) else 0)
        return cls(eps, torch.full_like(everything, eps), everything, everything / _FIRST, walk.best_loss)

    def __getitem__(self, rows: Tensor) -> "Sparse":
        return Sparse(self.eps, self.size[rows], self.support[rows], self.count[rows], self.checked_loss[rows])

    def checkpoints(self, steps: int) -> tuple[int, ...]:
        """Every 25th part of the way."""
        return tuple(range(0, steps, max(1, steps * _EVERY // 100)))[1:]

    def check(self, walk: Walk, steps: int) -> None:
        support = (walk.best != 0).flatten(1).sum(1).to(self.size)
        falls = support < _FALLING * self.support
        self.size = torch.where(falls, self.eps, (self.size / _SHORTER).clamp_min(_SHORTEST * self.eps))
        stalled = walk.best_loss == self.checked_loss
        walk.go_back(falls | stalled)
        self.count = torch.where(stalled, self.count.minimum(support), support) / _SPARSER
        self.support, self.checked_loss = support, walk.best_loss

    def advance(self, walk: Walk) -> None:
        step = l1_budget.sparse_step(walk.gradient, self.count.floor().clamp_min(1))
        ahead = l1_budget.project(torch.addcmul(walk.delta, step, per_row(self.size, step)), self.eps, walk.room)
        walk.rests = (walk.gradient == 0).flatten(1).all(1)
        walk.delta = ahead
