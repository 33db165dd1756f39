"""Sparse-RS: random search over a few pixels and their colours (Croce et al. 2022, arXiv:2006.12834, L0 version)."""

import os
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome, require, require_finite
from brittle.attacks._loop import ActiveSet
from brittle.catalog import option, register
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_SCHEDULE = ((0, 2), (50, 4), (200, 5), (500, 6), (1000, 8), (2000, 10), (4000, 12), (6000, 15), (8000, 20))
_OF = 10_000
_BLOCK = 100
_TIE = 1e-6
V_ADD = os.environ.get("V_ADD", "sweep")
V_COL = os.environ.get("V_COL", "differ")
V_RECOL = float(os.environ.get("V_RECOL", "0"))


@register(
    "sparse-rs", paper="arXiv:2006.12834", kind="budget", norms=("l0",), access="score", cost="queries * F at the most"
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class SparseRS:
    """Random search."""

    eps: int = option(10, "budget: pixels that may change; a pixel is all channels of a position")
    queries: int = option(10_000, "forward passes at the most, the look at the image itself included")
    alpha: float = option(0.8, "fraction of the pixels that are exchanged at first")
    rescale: bool = option(True, "stretch the schedule")

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        channels, height, width = images.shape[1:]
        pixels = height * width
        k = min(int(self.eps), pixels)
        found = images.clone()
        claimed = goal.is_surely_met(classifier.logits(images))
        forwards = torch.ones_like(claimed, dtype=torch.int64)
        active = ActiveSet(len(images), images.device)
        keep = active.drop(claimed)
        if len(keep) and self.queries > 1 and k:
            goal, rng = goal[keep], rng[keep]
            x = images[keep].flatten(2)
            order = rng.uniform("order", x[:, 0]).argsort(dim=1, stable=True)
            where = order[:, :k].unsqueeze(1).expand(-1, channels, -1)
            best = x.clone().scatter_(2, where, self._colours(rng.uniform("start", x[:, :, :k]), x.gather(2, where)))
            least = torch.full((len(keep),), torch.inf)
            cursor = torch.zeros(len(keep), dtype=torch.int64)
            for step in range(self.queries - 1):
                if step:
                    at = (step - 1) % _BLOCK
                    n = len(best)
                    if at == 0:
                        m = self.exchanged(step, k)
                        draws = rng.uniform(f"exchange {step - 1}", best.new_empty(n, _BLOCK, k))
                        colours = rng.uniform(f"colours {step - 1}", best.new_empty(n, _BLOCK, channels, m + 1))
                        pos = rng.uniform(f"pos {step - 1}", best.new_empty(n, _BLOCK, m + 1))
                    m = min(self.exchanged(step, k), pixels - k)
                    out = (
                        draws[:, at].topk(m, 1, sorted=False).indices if m > 1 else draws[:, at].argmax(1, keepdim=True)
                    )
                    if V_ADD == "sweep":
                        into = k + (cursor.unsqueeze(1) + torch.arange(m)) % (pixels - k)
                        cursor += m
                    else:
                        into = k + (pos[:, at, :m] * (pixels - k)).long()
                    recol = torch.zeros(n, 1, dtype=torch.bool)
                    if V_RECOL and m == 1:
                        recol = pos[:, at, 1:2] < V_RECOL
                        into = torch.where(recol, out, into)
                    gone, come = order.gather(1, out), order.gather(1, into)
                    gone_w, come_w = (w.unsqueeze(1).expand(-1, channels, -1) for w in (gone, come))
                    old_gone, x_gone, x_come = best.gather(2, gone_w), x.gather(2, gone_w), x.gather(2, come_w)
                    best.scatter_(2, gone_w, x_gone)
                    base = torch.where(recol.unsqueeze(2), old_gone, x_come)
                    best.scatter_(2, come_w, self._colours(colours[:, at, :, :m], base))
                logits = classifier.logits(best.view(-1, channels, height, width))
                forwards[active.rows] += 1
                margin = goal.margin(logits)
                better = margin < least - _TIE * logits.abs().amax(1)
                least = torch.where(better, margin, least)
                if step:
                    b = better.view(-1, 1)
                    now = best.gather(2, come_w)
                    best.scatter_(2, come_w, torch.where(b.unsqueeze(2), now, x_come))
                    best.scatter_(
                        2, gone_w, torch.where(b.unsqueeze(2), torch.where(recol.unsqueeze(2), now, x_gone), old_gone)
                    )
                    order.scatter_(1, out, torch.where(b, come, gone))
                    order.scatter_(1, into, torch.where(b & ~recol, gone, come))
                met = goal.is_surely_met(logits)
                if met.any():
                    solved = active.rows[met]
                    found[solved] = best[met].view(-1, channels, height, width)
                    claimed[solved] = True
                    keep = active.drop(met)
                    x, best, least, order, cursor, goal, rng = (
                        x[keep],
                        best[keep],
                        least[keep],
                        order[keep],
                        cursor[keep],
                        goal[keep],
                        rng[keep],
                    )
                    if step:
                        draws, colours, pos = draws[keep], colours[keep], pos[keep]
                    if not len(active):
                        break
            found[active.rows] = best.view(-1, channels, height, width)
        return Outcome(found, claimed, forwards - 1, forwards, torch.zeros_like(forwards))

    def exchanged(self, step: int, k: int) -> int:
        of = int(step / self.queries * _OF) if self.rescale else step
        divisor = next((d for start, d in reversed(_SCHEDULE) if of > start), 1)
        return max(int(self.alpha / divisor * k), 1)

    def _colours(self, draw: Tensor, original: Tensor) -> Tensor:
        colour = (draw < 0.5).to(original.dtype)
        if V_COL == "differ":
            same = (colour == original).all(1, keepdim=True)
            which = (draw[:, :1] * 2 % 1 * original.shape[1]).long()
            flip = torch.arange(original.shape[1]).view(1, -1, 1) == which
            colour = torch.where(same & flip, 1 - colour, colour)
        return colour
