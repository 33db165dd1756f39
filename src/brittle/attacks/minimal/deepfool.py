"""DeepFool in any Lp norm, aware of the pixel box (Moosavi-Dezfooli et al. 2016, arXiv:1511.04599, algorithm 2)."""

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks.parts.asking import Asking, asking_first
from brittle.attacks.parts.best import First
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.rows import kept, rows_where
from brittle.catalog import option, register
from brittle.devices import is_due
from brittle.geometry.box import clip, room
from brittle.geometry.norms import L2, Norm, NormLike, norm_of, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.models.front import from_afar
from brittle.rng import Rng
from brittle.types import Images, Labels, Logits

_LEAST_OVERSHOOT = 0.1  # of the first step's overshoot
_ENOUGH = 0.9  # of the gap: what a clipped step must cover to be taken as it is
_LOOK_FIRST = 3  # from this step on most rows have crossed: look before computing a graph for all of them
_HAIR = 2  # times what rounding can make of a margin: the least gap a step aims at


@register(
    "deepfool",
    paper="arXiv:1511.04599",
    kind="minimal",
    goals=("untargeted",),
    cost="2 to 4 F and 3 to 5 B; max_steps * (F + B) at the most",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class DeepFool:
    """Steps to the nearest boundary of the classifier linearised where it stands, until the class changes.

    With gaps ``f_k = z_label - z_k`` and ``w_k`` their gradients, the nearest plane is ``argmin f_k / ||w_k||_*`` (eq.
    8 for L2, section 3.3 for Lp), and the step is the smallest one that reaches ``1 + overshoot`` times its gap. As in
    the authors' code the overshoot is part of every step and only the ``candidates`` classes with the smallest gaps
    are looked at. Where the argmax is not the label to start with, the image comes back as it is.

    The box: the paper clips at the end, which sends many examples back over the boundary. Here each step stays within
    the valid pixels, and what is returned is what was tested. A clipped step that still covers most of the gap is taken
    as it is: the next linearisation knows better how to go on. Where clipping takes more, as on images full of black
    and white, the step is the smallest one within the box that reaches the plane.

    ``box=False, clip=True`` is the paper's: beyond the valid pixels on the way, and clipped once at the end.

    Lazy candidates: see ``_nearest_plane``.
    """

    norm: NormLike = option(L2, "norm to minimise")
    overshoot: float = option(0.02, "how far beyond the plane each step goes, as a fraction of the way", at_least=0)
    max_steps: int = option(50, "steps before giving up", at_least=1)
    candidates: int = option(10, "classes whose boundary is looked at, nearest by logit", at_least=1)
    box: bool = option(True, "stay within [0, 1] at each step; without, pixels may leave the range of images")
    clip: bool = option(False, "without the box: clip once at the end, which may undo the change of class")

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        norm = norm_of(self.norm)
        ask = asking_first(from_afar(classifier), images, goal)
        rows, x = ask.everyone, images.clone()
        for step in range(self.max_steps + 1):
            if step >= min(_LOOK_FIRST, self.max_steps):
                met, _ = ask.look(rows, x)
                rows, x = kept(~met, rows, x)  # at once: a graph for all is worth more than the wait
                if step == self.max_steps or not len(rows):
                    break
            moves = torch.zeros(len(rows), dtype=torch.bool, device=images.device)
            for part in classifier.chunks(len(rows)):
                some = rows[part]
                gap, normal = self._nearest_plane(norm, ask, some, x[part], sure=2 if step == 0 else 1)
                if step == 0:
                    ask.first_gap[some] = gap
                # Overshooting by a fraction of a gap that vanishes would approach the boundary for ever.
                beyond = self.overshoot * torch.maximum(gap, _LEAST_OVERSHOOT * ask.first_gap[some])
                around = room(x[part]) if self.box else None
                move = norm.to_plane(gap + beyond, normal, around, enough=_ENOUGH * gap)
                x[part] = clip(x[part] + move) if self.box else x[part] + move
                # Nowhere to go: over the boundary, a zero gradient, or every pixel that would help is at its wall.
                moves[part] = (move != 0).flatten(1).any(1)
            if is_due(step, self.max_steps, x.device):
                stuck = rows_where(~moves & ~ask.best.claimed[rows])
                ask.best.leave(rows[stuck], x[stuck])
                rows, x, moves = kept(moves, rows, x, moves)
            ask.stepped(rows, moves)
        ask.best.leave(rows, x)
        return self._clipped(ask) if self.clip else ask.outcome()

    def _clipped(self, ask: Asking[First]) -> Outcome:
        """The outcome with valid pixels only, of which those that had others are looked at again."""
        images = clip(ask.best.images)
        rows = (images != ask.best.images).flatten(1).any(1).nonzero().squeeze(1)
        claimed = ask.best.claimed.clone()
        if len(rows):
            claimed[rows] = ask.goal[rows].is_surely_met(ask.logits(rows, images[rows]))
        return ask.outcome()._replace(images=images, claimed=claimed)

    def _nearest_plane(
        self, norm: Norm, ask: Asking[First], rows: Tensor, x: Images, sure: int
    ) -> tuple[Tensor, Images]:
        """Gap and normal of the nearest of the planes between the label and each candidate class, seen from ``x``.

        Both are zero where the boundary has been crossed. Candidates come by growing gap, and the first ``sure`` of
        them cost one backward pass each through one graph. Another one is evaluated, on its own, only if its plane
        could be the nearest with a gradient somewhat larger than the largest so far. How much is a bet that gradient
        norms of the classes differ little, and less the more pixels there are. Losing it costs a longer step, never a
        wrong result.
        """
        logits, pullback = ask.linearize(rows, x)
        crossed, goal = ask.note(rows, x, logits), ask.goal_of(rows)
        label = goal.own(logits)
        own = logits.gather(1, label.unsqueeze(1))
        others, order = goal.others(logits).sort(dim=1, descending=True, stable=True)
        order = order[:, : min(self.candidates, logits.shape[1] - 1)]
        # At least a hair: a gap that rounds to nothing would end the walk at the boundary instead of beyond it.
        gaps = torch.maximum(own - others[:, : order.shape[1]], _HAIR * goal.tolerance(logits).unsqueeze(1))

        sure = 0 if crossed.all() else min(sure, order.shape[1])
        distances = torch.full_like(gaps, torch.inf)
        nearest, largest, normal = distances[:, :1].clone(), torch.zeros_like(own), torch.zeros_like(x)
        for rank in range(sure):
            w = pullback(_difference(order[:, rank], label, logits) * ~crossed.unsqueeze(1), more=rank < sure - 1)
            size = norm.dual.measure(w)
            distances[:, rank] = torch.where(size > 0, gaps[:, rank] / size, torch.inf)
            normal = torch.where(per_row(distances[:, rank] < nearest[:, 0], w), w, normal)
            nearest, largest = distances.amin(1, keepdim=True), largest.maximum(size.unsqueeze(1))

        wanted = ~crossed.unsqueeze(1) & ~(gaps > nearest * largest * self._spread(x))
        wanted[:, :sure].zero_()
        at, ranks = wanted.nonzero(as_tuple=True)
        for part in ask.classifier.chunks(len(at)):
            r, j = at[part], ranks[part]
            _, pullback = ask.linearize(rows[r], x[r])
            w = pullback(_difference(order[r, j], label[r], logits[r]))
            size = norm.dual.measure(w)
            distances[r, j] = torch.where(size > 0, gaps[r, j] / size, torch.inf)
            best = distances[r].amin(1)  # of the row, so far; of a row's candidates in this part, one can win
            won = rows_where((distances[r, j] == best) & (best < nearest[r, 0]))
            normal[r[won]], nearest[r[won], 0] = w[won], best[won]
        return gaps.gather(1, distances.argmin(1, keepdim=True)).squeeze(1) * ~crossed, normal

    def _spread(self, x: Images) -> float:
        """How much larger than those seen a class's gradient is allowed to be: 1.11 for 3 x 32 x 32, 1.75 for 8 x 8."""
        return 1 + 6 / math.sqrt(x[:1].numel() or 1)


def _difference(k: Labels, labels: Labels, logits: Logits) -> Tensor:
    """Cotangents ``[n, K]`` of ``z_k - z_label``."""
    cotangents = torch.zeros_like(logits).scatter_(1, k.unsqueeze(1), 1.0)
    return cotangents.scatter_(1, labels.unsqueeze(1), -1.0)
