"""How far back towards the image a perturbation can be taken: a search along a path, for minimal attacks' last step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from brittle.attacks.parts.asking import Asking
from brittle.geometry.norms import per_row
from brittle.types import Images

_LEAST_CUT = 0.05  # of the bracket: how near its ends the next trial may be
_LEAST_MARGIN = 2e-5  # in logits: what an end of the bracket counts for at the least
_BEYOND = 0.02  # of the way: how far beyond the crossing that it expects a trial aims


def pull_back(
    ask: Asking[Any],
    rows: Tensor,
    found: Images,
    path: Callable[[Tensor], Images],
    margins: tuple[Tensor, Tensor],
    trials: int,
) -> Images:
    """The point nearest the start of a path at which the goal was surely met in ``trials`` trials, else ``found``.

    path: share ``[B]`` of the way, from the image (0) to ``found`` or thereabouts (1), to images. margins: at both
    ends, the first positive. False position in the margin, a forward pass each, with the Illinois rule against an end
    that stays.
    """
    before, beyond = margins
    goal = ask.goal_of(rows)
    near, far, last = torch.zeros_like(before), torch.ones_like(before), torch.zeros_like(before)
    for _ in range(trials):
        before, beyond = before.clamp_min(_LEAST_MARGIN), beyond.clamp_max(-_LEAST_MARGIN)
        cut = (1 + _BEYOND) * before / (before - beyond)
        share = near + (far - near) * cut.clamp(_LEAST_CUT, 1 - _LEAST_CUT)
        trial = path(share)
        logits = ask.logits(rows, trial)
        met, margin = goal.is_surely_met(logits), goal.margin(logits)
        found = torch.where(per_row(met, found), trial, found)
        near, far = torch.where(met, near, share), torch.where(met, share, far)
        before, beyond = (
            torch.where(met, torch.where(last > 0, before / 2, before), margin),
            torch.where(met, margin, torch.where(last < 0, beyond / 2, beyond)),
        )
        last = 2 * met.to(before.dtype) - 1
    return found
