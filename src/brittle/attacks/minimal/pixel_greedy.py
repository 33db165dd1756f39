"""PixelGreedy: few changed pixels, chosen by the gradient and tried one by one (after arXiv:1909.05040)."""

from dataclasses import dataclass
from typing import final

import torch

from brittle.attacks.parts.asking import Asking, asking_first
from brittle.attacks.parts.best import First
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.pixels import painted, tried
from brittle.attacks.parts.rows import kept
from brittle.catalog import option, register
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_HURRY = 8  # after so many steps each takes one pixel more: an image that needs dozens cannot wait for single ones


@register(
    "pixel-greedy", paper="arXiv:1909.05040", kind="minimal", norms=("l0",), cost="pixels * (F + B + shortlist * F)"
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PixelGreedy:
    """Adds the pixel that helps most, until the goal is met, and takes back what was not needed.

    Each step asks the gradient which pixels would change the margin most if all their channels went to 0 or 1,
    whichever helps. That is a poor prophet for steps as large as these, so the best ``shortlist`` of them are tried,
    and the one that leaves the smallest margin is taken. At the end pixels that are not needed are put back.

    Changing pixels by gradient is JSMA's idea (Papernot et al. 2016, arXiv:1511.07528); combining the best of single
    pixels at the corners of the colour cube CornerSearch's (arXiv:1909.05040, section 3.1), which tries all of them.
    """

    shortlist: int = option(16, "pixels that are tried in each step, best by gradient", at_least=1)
    max_steps: int = option(60, "steps at the most; each adds a pixel, after 8 steps two, after 16 three", at_least=1)
    prune: bool = option(True, "put pixels back that are not needed")

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        ask = asking_first(classifier, images, goal)
        rows, x = ask.everyone, images
        for step in range(self.max_steps):
            if not len(rows):
                break
            logits, w = ask.margin_gradient(rows, x)
            met = ask.note(rows, x, logits)

            corners = (w > 0).to(x.dtype)
            gain = (w * (corners - x)).sum(1).flatten(1)
            pixels = gain.argsort(dim=1, descending=True, stable=True)[:, : self.shortlist]
            asked = (gain.gather(1, pixels) > 0) & ~met.unsqueeze(1)
            helped = asked.any(1)  # else the goal is met, or there is no pixel that would help
            ask.best.leave(rows[~helped & ~met], x[~helped & ~met])
            rows, x, pixels, asked, corners = kept(helped, rows, x, pixels, asked, corners)
            colours = corners.flatten(2).gather(2, pixels.unsqueeze(1).expand(-1, x.shape[1], -1)).transpose(1, 2)

            row, rank = asked.nonzero(as_tuple=True)
            margin, met = x.new_full(asked.shape, torch.inf), torch.zeros_like(asked)
            margin[row, rank], met[row, rank] = tried(
                ask, rows, x, row, pixels[row, rank].unsqueeze(1), colours[row, rank].unsqueeze(1)
            )
            best = margin.argsort(dim=1, stable=True)[:, : 1 + step // _HURRY]
            solved = met.gather(1, best[:, :1]).squeeze(1)
            takes = asked.gather(1, best) & ~(solved.unsqueeze(1) & (torch.arange(best.shape[1]).to(best.device) > 0))
            row, place = takes.nonzero(as_tuple=True)
            rank = best[row, place]
            flat = x.flatten(2).transpose(1, 2).clone()
            flat[row, pixels[row, rank]] = colours[row, rank]
            x = flat.transpose(1, 2).reshape(x.shape)
            ask.stepped(rows)
            ask.best.offer(rows, x, solved)
            rows, x = kept(~solved, rows, x)
        ask.best.leave(rows, x)
        if self.prune:
            _put_back(ask)
        return ask.outcome()


def _put_back(ask: Asking[First]) -> None:
    """Tries each changed pixel of each row as it was; the least needed stays so, and the rest is tried again."""
    images, found = ask.images, ask.best.images
    rows = ask.best.claimed.nonzero().squeeze(1)
    while len(rows):
        changed = (found[rows] != images[rows]).any(1).flatten(1)
        changed &= changed.sum(1, keepdim=True) > 1  # without its last pixel an image is the original
        row, pixel = changed.nonzero(as_tuple=True)
        before = images[rows].flatten(2).transpose(1, 2)[row, pixel]
        margin, met = tried(ask, rows, found[rows], row, pixel.unsqueeze(1), before.unsqueeze(1))
        margin = torch.where(met, margin, torch.inf)
        least = torch.full_like(found[rows, 0, 0, 0], torch.inf).scatter_reduce(0, row, margin, "amin")
        best = met & (margin == least[row])
        first = torch.full_like(rows, found[0].numel()).scatter_reduce(0, row[best], pixel[best], "amin")
        best &= pixel == first[row]
        at = row[best]
        found[rows[at]] = painted(found[rows[at]], pixel[best].unsqueeze(1), before[best].unsqueeze(1))
        rows = rows[at]
