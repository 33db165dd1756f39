"""Where a gradient leads astray although slopes in the middle of the range look well.

That is at the image's own values, in pixels that it takes for none of its business, and at the boundary of the class.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from brittle.errors import Flag
from brittle.geometry.box import clip
from brittle.geometry.norms import L1, L2, per_row
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.models.descent import Descent
from brittle.models.repeats import off_grid
from brittle.models.slopes import FLAT, SHARE, coins_for, compared
from brittle.text import counted
from brittle.types import Images, Labels, Logits

# Measured on 18 sound networks, of digits to photographs, four of which were trained to be robust: what the step along
# a neighbour's gradient does, by that along the image's own, has its lower quartile at 0.89 to 1.51 and its upper one
# at 1.00 to 2.27; pixels without a gradient change nothing at all; at the boundary no slope is contradicted.
_IMAGES, _LEAST = 16, 8
_STEP = 0.1
_ODD = 0.5, 5.0
_RISE = 1e-3  # in log-odds: what a step is taken to rise at least
_NUDGE, _SILENT = 0.02, 0.02  # of the range; of the gradient's size
_BOUNDARY, _HALVINGS = 8, 8


def astray_flags(
    classifier: Classifier,
    images: Images,
    labels: Labels,
    logits: Logits,
    gradient: Images,
    descent: Descent,
    resolution: float,
) -> Iterator[Flag]:
    """A flag for each reason, on images that are classified as their labels say; who wants one asks for no more passes.

    logits, gradient: at the images. descent: of them. resolution: the relative rounding of the network's arithmetic.
    """
    rows = descent.rows[:_IMAGES]
    x, own, goal = images[rows], gradient[rows], Untargeted(labels[rows])
    points = off_grid(x)
    _, near = classifier.gradient(points, goal.loss)
    usable = (L1.measure(own) >= FLAT) & (L1.measure(near) >= FLAT) & near.flatten(1).isfinite().all(1)
    if int(usable.sum()) >= _LEAST:
        yield from _beside_a_neighbour(classifier, x, own, near, goal, goal.loss(logits[rows]), usable)
        yield from _in_silent_pixels(classifier, points, near, goal, usable)
    yield from _at_the_boundary(classifier, x, descent, labels[rows], resolution)


def _beside_a_neighbour(
    classifier: Classifier, x: Images, own: Images, near: Images, goal: Untargeted, before: Tensor, usable: Tensor
) -> Iterator[Flag]:
    """A step along the gradient of a point nearby does about as much as one along the image's own."""
    own_rise, near_rise = (
        goal.loss(classifier.logits(clip(x + _STEP * one.nan_to_num().sign()))) - before for one in (own, near)
    )
    ratio = (near_rise / own_rise.clamp_min(_RISE))[usable]
    odd = (ratio < _ODD[0]) | (ratio > _ODD[1])
    if int(odd.sum()) > SHARE * len(ratio):
        yield _flag(
            f"on {int(odd.sum())} of {counted(len(ratio), 'image')} a step of {_STEP:g} along the gradient of a point"
            " nearby raises the loss far less, or far more, than one along their own: a gradient says nothing of what"
            " lies a little farther"
        )


def _in_silent_pixels(
    classifier: Classifier, points: Images, near: Images, goal: Untargeted, usable: Tensor
) -> Iterator[Flag]:
    """Pixels whose gradient is exactly zero do nothing."""
    silent = near == 0
    if not silent.any():
        return
    move = _NUDGE * coins_for(points) * silent
    up, down = (goal.loss(classifier.logits(points + sign * move)) for sign in (1, -1))
    share = ((up - down).abs() / (2 * _NUDGE * L2.measure(near)).clamp_min(torch.finfo(near.dtype).tiny))[usable]
    if float(share.median()) > _SILENT:
        yield _flag(
            f"the loss changes with pixels of which the gradient is exactly zero, by {float(share.median()):.2g} of"
            f" what all others do, in the median of {counted(len(share), 'image')}: part of the gradient is cut off"
        )


def _at_the_boundary(
    classifier: Classifier, x: Images, descent: Descent, labels: Labels, resolution: float
) -> Iterator[Flag]:
    """Slopes where the class is about to change, on the straight way to where a descent has led."""
    some = descent.met.nonzero().squeeze(1)[:_BOUNDARY]
    low, high, goal = x[some], descent.ends[some], Untargeted(labels[some])
    if not len(some):
        return
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        met = per_row(goal.is_met(classifier.logits(middle)), middle)
        low, high = torch.where(met, low, middle), torch.where(met, middle, high)
    seen = compared(classifier, low, coins_for(low), labels[some], resolution)
    wrong, of = int((seen.astray | seen.steeper).sum()), int(seen.usable.sum())
    if of >= _LEAST // 2 and wrong > SHARE * of:
        yield _flag(
            "where the class is about to change, on the way to what a descent has found, the loss does not do what its"
            f" gradient foretells on {wrong} of {counted(of, 'image')}, which it does elsewhere: something else decides"
            " there"
        )


def _flag(said: str) -> Flag:
    return Flag(
        "rough-gradient", f"the gradient is not the slope of the loss: {said}; attacks by gradients may be misled"
    )
