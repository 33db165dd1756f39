"""DeepFool in any Lp norm, aware of the pixel box (Moosavi-Dezfooli et al. 2016, arXiv:1511.04599, algorithm 2)."""

import math
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome
from brittle.attacks._loop import ActiveSet
from brittle.catalog import option, register
from brittle.geometry.box import clip, room
from brittle.geometry.norms import L2, Norm, NormLike, norm_of, per_row
from brittle.goals import Goal
from brittle.models.classifier import Classifier
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
    as it is: the next linearisation knows better how to go on (on ResNet-20, 124 of 128 distances are smaller than with
    steps that insist on the plane). Where clipping takes more, as on images full of black and white, the step is the
    smallest one within the box that reaches the plane.

    Lazy candidates: see ``_nearest_plane``.
    """

    norm: NormLike = option(L2, "norm to minimise")
    overshoot: float = option(0.02, "how far beyond the plane each step goes, as a fraction of the way", at_least=0)
    max_steps: int = option(50, "steps before giving up", at_least=1)
    candidates: int = option(10, "classes whose boundary is looked at, nearest by logit", at_least=1)
    box: bool = option(True, "stay within [0, 1] at each step; without, pixels may leave the range of images")

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        norm = norm_of(self.norm)
        found = images.clone()
        claimed = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        steps, forwards, backwards = (torch.zeros_like(claimed, dtype=torch.int64) for _ in range(3))
        active = ActiveSet(len(images), images.device)
        first_gap = torch.zeros(len(images), device=images.device)

        for step in range(self.max_steps + 1):
            if step >= min(_LOOK_FIRST, self.max_steps):
                rows = active.rows
                claimed[rows] = met = goal[rows].is_surely_met(classifier.logits(found[rows]))
                forwards[rows] += 1
                active.drop(met)
                if step == self.max_steps or not len(active):
                    break
            done = torch.zeros(len(active), dtype=torch.bool, device=images.device)
            for part in classifier.chunks(len(active)):
                rows = active.rows[part]
                x = found[rows]
                plane = self._nearest_plane(norm, classifier, x, goal[rows], sure=2 if step == 0 else 1)
                claimed[rows] = plane.crossed
                forwards[rows] += plane.forwards
                backwards[rows] += plane.backwards
                if step == 0:
                    first_gap[rows] = plane.gap
                # Overshooting by a fraction of a gap that vanishes would approach the boundary for ever.
                beyond = self.overshoot * torch.maximum(plane.gap, _LEAST_OVERSHOOT * first_gap[rows])
                around = room(x) if self.box else None
                move = norm.to_plane(plane.gap + beyond, plane.normal, around, enough=_ENOUGH * plane.gap)
                found[rows] = clip(x + move) if self.box else x + move
                # Nowhere to go: over the boundary, a zero gradient, or every pixel that would help is at its wall.
                done[part] = (move == 0).flatten(1).all(1)
            active.drop(done)
            steps[active.rows] += 1
        return Outcome(found, claimed, steps, forwards, backwards)

    def _nearest_plane(self, norm: Norm, classifier: Classifier, x: Images, goal: Goal, sure: int) -> "_Plane":
        """The nearest of the planes between the label and each candidate class, in the linearisation at ``x``.

        Candidates come by growing gap, and the first ``sure`` of them cost one backward pass each through one graph.
        Another one is evaluated, on its own, only if its plane could be the nearest with a gradient somewhat larger
        than the largest so far. How much is a bet that gradient norms of the classes differ little, and less the more
        pixels there are; on ResNet-20 (CIFAR-10) it finds distances as small as from all nine classes, with a seventh
        of the backward passes. Losing it costs a longer step, never a wrong result.
        """
        logits, pullback = classifier.linearize(x)
        crossed = goal.is_surely_met(logits)
        label = goal.own(logits)
        own = logits.gather(1, label.unsqueeze(1))
        others, order = goal.others(logits).sort(dim=1, descending=True, stable=True)
        order = order[:, : min(self.candidates, logits.shape[1] - 1)]
        # At least a hair: a gap that rounds to nothing would end the walk at the boundary instead of beyond it.
        gaps = torch.maximum(own - others[:, : order.shape[1]], _HAIR * goal.tolerance(logits).unsqueeze(1))

        sure = min(sure, order.shape[1]) if not crossed.all() else 0
        distances = torch.full_like(gaps, torch.inf)
        nearest, largest, normal = distances[:, :1].clone(), torch.zeros_like(own), torch.zeros_like(x)
        for rank in range(sure):
            w = pullback(_difference(order[:, rank], label, logits) * ~crossed.unsqueeze(1), more=rank < sure - 1)
            size = norm.dual.measure(w)
            distances[:, rank] = torch.where(size > 0, gaps[:, rank] / size, torch.inf)
            normal = torch.where(per_row(distances[:, rank] < nearest[:, 0], w), w, normal)
            nearest, largest = distances.amin(1, keepdim=True), largest.maximum(size.unsqueeze(1))

        wanted = ~crossed.unsqueeze(1) & ~(gaps > nearest * largest * self._spread(x))
        wanted[:, :sure] = False
        rows, ranks = wanted.nonzero(as_tuple=True)
        for part in classifier.chunks(len(rows)):
            r, j = rows[part], ranks[part]
            _, pullback = classifier.linearize(x[r])
            w = pullback(_difference(order[r, j], label[r], logits[r]))
            size = norm.dual.measure(w)
            distances[r, j] = torch.where(size > 0, gaps[r, j] / size, torch.inf)
            best = distances[r].amin(1)  # of the row, so far; of a row's candidates in this part, one can win
            won = (distances[r, j] == best) & (best < nearest[r, 0])
            normal[r[won]], nearest[r[won], 0] = w[won], best[won]

        gap = gaps.gather(1, distances.argmin(1, keepdim=True)).squeeze(1) * ~crossed
        extra = wanted.sum(1)
        return _Plane(gap, normal, crossed, 1 + extra, sure * ~crossed + extra)

    def _spread(self, x: Images) -> float:
        """How much larger than those seen a class's gradient is allowed to be: 1.11 for 3 x 32 x 32, 1.75 for 8 x 8."""
        return 1 + 6 / math.sqrt(x[:1].numel() or 1)


class _Plane(NamedTuple):
    """A row's nearest plane: gap and normal are zero for rows that have crossed the boundary."""

    gap: Tensor
    normal: Images
    crossed: Tensor
    forwards: Tensor
    backwards: Tensor


def _difference(k: Labels, labels: Labels, logits: Logits) -> Tensor:
    """Cotangents ``[n, K]`` of ``z_k - z_label``."""
    cotangents = torch.zeros_like(logits).scatter_(1, k.unsqueeze(1), 1.0)
    return cotangents.scatter_(1, labels.unsqueeze(1), -1.0)
