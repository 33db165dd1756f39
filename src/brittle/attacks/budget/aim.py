"""What APGD climbs: a goal together with a loss and a class to go for."""

from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor

from brittle.goals import Goal, Targeted
from brittle.types import Logits

Loss = Literal["ce", "dlr", "margin"]

_TINY = 1e-12


@final
@dataclass(frozen=True, slots=True)
class Aim:
    """A goal together with the loss that is climbed for it.

    goal: what counts as success. steer: where to go, which may be one class of an untargeted goal.
    """

    goal: Goal
    steer: Goal
    kind: Loss

    def is_surely_met(self, logits: Logits) -> Tensor:
        return self.goal.is_surely_met(logits)

    def loss(self, logits: Logits) -> Tensor:
        """float ``[B]``; a margin is against the largest other logit, which is the label's until the goal is met."""
        if self.kind == "ce":
            return self.steer.loss(logits)
        gain = -self.steer.margin(logits)
        return gain if self.kind == "margin" else gain / _spread(logits, self.steer)

    def __getitem__(self, rows: Tensor | slice) -> "Aim":
        return Aim(self.goal[rows], self.steer[rows], self.kind)

    def __len__(self) -> int:
        return len(self.goal)


def _spread(logits: Logits, steer: Goal) -> Tensor:
    """What DLR divides by: ``z_(1) - z_(3)``, or towards a class ``z_(1) - (z_(3) + z_(4)) / 2`` (equations 5 and 6).

    With too few classes, 2 or 3 towards a class, no such quotient is left that is not the same everywhere, and it is 1:
    DLR becomes the difference of two logits. Nothing is lost with the scale, as neither the steps nor the conditions of
    APGD change with a positive factor, and that difference does not saturate.
    """
    targeted = isinstance(steer, Targeted)
    if logits.shape[1] < (4 if targeted else 3):
        return torch.ones_like(logits[:, 0])
    top = logits.topk(4 if targeted else 3, dim=1).values
    return (top[:, 0] - (top[:, 2:].mean(1))).clamp_min(_TINY)
