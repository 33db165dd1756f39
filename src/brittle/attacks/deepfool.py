"""DeepFool in any Lp norm, aware of the pixel box (Moosavi-Dezfooli et al. 2016, arXiv:1511.04599, algorithm 2)."""

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome, require, require_goal
from brittle.attacks._loop import ActiveSet
from brittle.catalog import option, register
from brittle.geometry.box import clip, room
from brittle.geometry.norms import L0, L2, Norm, per_row
from brittle.goals import Goal, Untargeted
from brittle.models.classifier import Classifier, Pullback
from brittle.rng import Rng
from brittle.types import Images, Labels, Logits

_SPREAD = 1.3
_LEAST_OVERSHOOT = 0.05
_HAIR = 2e-5


@register(paper="arXiv:1511.04599", kind="minimal", norms=("l1", "l2", "linf", "lp"), goals=("untargeted",))
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class DeepFool:
    """Steps to the nearest boundary of the classifier linearised where it stands, until the class changes.

    With gaps ``f_k = z_label - z_k`` and ``w_k`` their gradients, the nearest plane is ``argmin f_k / ||w_k||_*`` (eq.
    8 for L2, section 3.3 for Lp), and the step is the smallest one that reaches ``1 + overshoot`` times its gap. As in
    the authors' code the overshoot is part of every step and only the ``candidates`` classes with the smallest gaps
    are looked at. Where the argmax is not the label to start with, the image comes back as it is.

    The box: the paper clips at the end, which sends many examples back over the boundary. Here each step is the
    smallest one *within* the valid pixels that crosses the plane, so what is returned is what was tested.

    Lazy candidates: a class is skipped without computing its gradient if its plane could be the nearest only with a
    gradient more than 1.3 times as large as every one seen at this point. Classes by growing gap, so most are skipped.
    """

    norm: Norm = option(L2, "norm to minimise")
    overshoot: float = option(0.02, "how far beyond the plane each step goes, as a fraction of the way")
    max_steps: int = option(50, "steps before giving up")
    candidates: int = option(10, "classes whose boundary is looked at, nearest by logit")
    box: bool = option(True, "stay within [0, 1] at each step; without, pixels may leave the range of images")

    def __post_init__(self) -> None:
        require(self.overshoot >= 0, "overshoot >= 0", self.overshoot)
        require(self.max_steps >= 1, "max_steps >= 1", self.max_steps)
        require(self.candidates >= 1, "candidates >= 1", self.candidates)
        require(self.norm != L0, "norm l1, l2, linf or lP", self.norm)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        require_goal(self, goal, Untargeted)
        found = images.clone()
        claimed = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        steps, forwards, backwards = (torch.zeros_like(claimed, dtype=torch.int64) for _ in range(3))
        active = ActiveSet(len(images), images.device)
        first_gap = torch.zeros(len(images), device=images.device)

        for step in range(self.max_steps + 1):
            done = torch.zeros(len(active), dtype=torch.bool, device=images.device)
            for part in classifier.chunks(len(active)):
                rows = active.rows[part]
                x, labels = found[rows], goal.labels[rows]
                logits, pullback = classifier.linearize(x)
                forwards[rows] += 1
                met = goal[rows].is_surely_met(logits)
                claimed[rows] = done[part] = met
                if step == self.max_steps or met.all():
                    continue
                plane = self._nearest_plane(classifier, x, logits, labels, ~met, pullback, sure=2 if step == 0 else 1)
                forwards[rows] += plane.forwards
                backwards[rows] += plane.backwards
                if step == 0:
                    first_gap[rows] = plane.gap
                # Overshooting by a fraction of a gap that vanishes would approach the boundary for ever.
                beyond = self.overshoot * torch.maximum(plane.gap, _LEAST_OVERSHOOT * first_gap[rows])
                move = self.norm.to_plane(plane.gap + beyond, plane.normal, room(x) if self.box else None)
                found[rows] = clip(x + move) if self.box else x + move
                # Nowhere to go: a zero gradient, or every pixel that would help is at its wall.
                done[part] |= (move == 0).flatten(1).all(1)
            active.drop(done)
            if not len(active):
                break
            if step < self.max_steps:
                steps[active.rows] += 1
        return Outcome(found, claimed, steps, forwards, backwards)

    def _nearest_plane(
        self,
        classifier: Classifier,
        x: Images,
        logits: Logits,
        labels: Labels,
        unsolved: Tensor,
        pullback: Pullback,
        sure: int,
    ) -> "_Plane":
        """The nearest of the planes between the label and each candidate class; a zero normal for solved rows.

        The first ``sure`` candidates cost a backward pass through the graph at hand. Any other is evaluated only if,
        with a gradient up to ``_SPREAD`` times the largest found so far, its plane could be nearer.
        """
        label = labels.unsqueeze(1)
        own = logits.gather(1, label)
        order = logits.scatter(1, label, -torch.inf).argsort(dim=1, descending=True, stable=True)
        order = order[:, : min(self.candidates, logits.shape[1] - 1)]
        # At least a hair: a gap that rounds to nothing would end the walk at the boundary instead of beyond it.
        gaps = torch.maximum(own - logits.gather(1, order), _HAIR * own.abs().clamp_min(1))
        sizes = torch.zeros_like(gaps)
        normals = []
        for j in range(min(sure, gaps.shape[1])):
            w = pullback(_difference(order[:, j], labels, logits) * unsolved.unsqueeze(1))
            sizes[:, j] = self.norm.dual.measure(w)
            normals.append(w)
        distances = torch.where(sizes > 0, gaps / sizes, torch.inf)
        nearest = distances.amin(1, keepdim=True)
        normal = normals[0]
        for j, w in enumerate(normals[1:], 1):
            normal = torch.where(per_row(distances[:, j] <= nearest[:, 0], w), w, normal)

        reach = nearest * sizes.amax(1, keepdim=True) * _SPREAD
        maybe = unsolved.unsqueeze(1) & ~(gaps > reach)
        maybe[:, : len(normals)] = False
        row, j = maybe.nonzero(as_tuple=True)
        for part in classifier.chunks(len(row)):
            r, k = row[part], j[part]
            _, again = classifier.linearize(x[r])
            w = again(_difference(order[r, k], labels[r], logits[r]))
            size = self.norm.dual.measure(w)
            distances[r, k] = torch.where(size > 0, gaps[r, k] / size, torch.inf)
            for i in (distances[r, k] < nearest[r, 0]).nonzero().squeeze(1).tolist():
                if distances[r[i], k[i]] < nearest[r[i], 0]:  # two candidates of one row can be in one part
                    nearest[r[i], 0], normal[r[i]] = distances[r[i], k[i]], w[i]
        extra = maybe.sum(1)
        winner = distances.argmin(1, keepdim=True)
        return _Plane(gaps.gather(1, winner).squeeze(1), normal, extra, extra + len(normals) * unsolved)


class _Plane(NamedTuple):
    gap: Tensor
    normal: Images
    forwards: Tensor
    backwards: Tensor


def _difference(k: Labels, labels: Labels, logits: Logits) -> Tensor:
    """Cotangents ``[n, K]`` of ``z_k - z_label``."""
    cotangents = torch.zeros_like(logits).scatter_(1, k.unsqueeze(1), 1.0)
    return cotangents.scatter_(1, labels.unsqueeze(1), -1.0)
