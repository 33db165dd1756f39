"""PixelGreedy: few changed pixels, chosen by the gradient and tried one by one (after arXiv:1909.05040)."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.attacks._contract import Outcome, require
from brittle.attacks._loop import ActiveSet
from brittle.attacks._margin import margin_descent
from brittle.catalog import option, register
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_HURRY = 8  # after so many steps each takes one pixel more: an image that needs dozens cannot wait for single ones


@register(
    "pixel-greedy",
    paper="arXiv:1909.05040",
    kind="minimal",
    norms=("l0",),
    cost="pixels * (F + B + shortlist * F)",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PixelGreedy:
    """Adds the pixel that helps most, until the goal is met, and takes back what was not needed.

    Each step asks the gradient which pixels would change the margin most if all their channels went to 0 or 1,
    whichever helps. That is a poor prophet for steps as large as these, so the best ``shortlist`` of them are tried,
    and the one that leaves the smallest margin is taken. At the end each changed pixel is put back if the goal stays
    met without it, the least needed first.

    Changing pixels by gradient is JSMA's idea (Papernot et al. 2016, arXiv:1511.07528); trying single pixels at the
    corners of the colour cube and combining the best is CornerSearch's (Croce and Hein 2019, arXiv:1909.05040, section
    3.1), which tries all of them. A gradient to choose 16 of 1,024 makes that affordable: on ResNet-20 (CIFAR-10) one
    pixel in a step by the gradient alone needs 9 pixels at the median, the best of 4 tried needs 3, the best of 16 two.
    """

    shortlist: int = option(16, "pixels that are tried in each step, best by gradient")
    max_steps: int = option(60, "steps before giving up; each adds a pixel, after 8 steps two, after 16 three, ...")
    prune: bool = option(True, "put pixels back that are not needed")

    def __post_init__(self) -> None:
        require(self.shortlist >= 1, "shortlist >= 1", self.shortlist)
        require(self.max_steps >= 1, "max_steps >= 1", self.max_steps)

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        found = images.clone()
        claimed = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        steps, forwards, backwards = (torch.zeros_like(goal.labels) for _ in range(3))
        active = ActiveSet(len(images), images.device)
        for step in range(self.max_steps):
            if not len(active):
                break
            rows, x = active.rows, found[active.rows]
            logits, w = margin_descent(classifier, x, goal[rows])
            forwards[rows] += 1
            backwards[rows] += 1
            claimed[rows] = goal[rows].is_surely_met(logits)

            corners = (w > 0).to(x.dtype)
            gain = (w * (corners - x)).sum(1).flatten(1)
            pixels = gain.argsort(dim=1, descending=True, stable=True)[:, : self.shortlist]
            asked = (gain.gather(1, pixels) > 0) & ~claimed[rows].unsqueeze(1)
            keep = active.drop(~asked.any(1))  # the goal is met, or there is no pixel that would help
            rows, x, pixels, asked = rows[keep], x[keep], pixels[keep], asked[keep]
            colours = corners[keep].flatten(2).gather(2, pixels.unsqueeze(1).expand(-1, x.shape[1], -1)).transpose(1, 2)

            row, rank = asked.nonzero(as_tuple=True)
            margin, met = x.new_full(asked.shape, torch.inf), torch.zeros_like(asked)
            margin[row, rank], met[row, rank] = _tried(
                classifier, x, goal[rows], row, pixels[row, rank], colours[row, rank]
            )
            forwards[rows] += asked.sum(1)
            best = margin.argsort(dim=1, stable=True)[:, : 1 + step // _HURRY]
            solved = met.gather(1, best[:, :1]).squeeze(1)
            takes = asked.gather(1, best) & ~(solved.unsqueeze(1) & (torch.arange(best.shape[1]).to(best.device) > 0))
            row, place = takes.nonzero(as_tuple=True)
            rank = best[row, place]
            flat = x.flatten(2).transpose(1, 2).clone()
            flat[row, pixels[row, rank]] = colours[row, rank]
            found[rows] = flat.transpose(1, 2).reshape(x.shape)
            steps[rows] += 1
            claimed[rows] = solved
            active.drop(solved)
        if self.prune:
            _put_back(classifier, images, found, goal, claimed, forwards)
        return Outcome(found, claimed, steps, forwards, backwards)


def _put_back(
    classifier: Classifier, images: Images, found: Images, goal: Goal, claimed: Tensor, forwards: Tensor
) -> None:
    """Tries each changed pixel of each row as it was; the least needed stays so, and the rest is tried again."""
    rows = claimed.nonzero().squeeze(1)
    while len(rows):
        changed = (found[rows] != images[rows]).any(1).flatten(1)
        changed &= changed.sum(1, keepdim=True) > 1  # without its last pixel an image is the original
        row, pixel = changed.nonzero(as_tuple=True)
        before = images[rows].flatten(2).transpose(1, 2)[row, pixel]
        margin, met = _tried(classifier, found[rows], goal[rows], row, pixel, before)
        forwards[rows] += changed.sum(1)
        margin = torch.where(met, margin, torch.inf)
        least = torch.full_like(found[rows, 0, 0, 0], torch.inf).scatter_reduce(0, row, margin, "amin")
        best = met & (margin == least[row])
        first = torch.full_like(rows, found[0].numel()).scatter_reduce(0, row[best], pixel[best], "amin")
        best &= pixel == first[row]
        at = row[best]
        found[rows[at]] = _painted(found[rows[at]], pixel[best], before[best])
        rows = rows[at]


def _tried(
    classifier: Classifier, images: Images, goal: Goal, row: Tensor, pixel: Tensor, colour: Tensor
) -> tuple[Tensor, Tensor]:
    """Margin, and whether the goal is met, of ``images[row]`` each with one pixel painted; a forward pass for each."""
    margins, met = [images.new_zeros(0)], [torch.zeros(0, dtype=torch.bool, device=images.device)]
    for part in classifier.chunks(len(row)):
        logits = classifier.logits(_painted(images[row[part]], pixel[part], colour[part]))
        margins.append(goal[row[part]].margin(logits))
        met.append(goal[row[part]].is_surely_met(logits))
    return torch.cat(margins), torch.cat(met)


def _painted(images: Images, pixel: Tensor, colour: Tensor) -> Images:
    """A copy of the images, in each one pixel (an index into H x W, ``[n]``) of another colour (``[n, C]``)."""
    at = pixel.view(-1, 1, 1).expand(-1, images.shape[1], 1)
    return images.flatten(2).scatter(2, at, colour.unsqueeze(2)).view(images.shape)
