"""Whether the input gradient can lead an attack: it is there, it is finite, and it is the slope of the loss."""

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from brittle.errors import BrittleError, Flag
from brittle.geometry.norms import L1, L2, per_row
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.models.repeats import off_grid, resolution
from brittle.text import counted, percent
from brittle.types import Images, Labels

_FLAT = 1e-3  # in log-odds, for a change of every pixel by its full range
_IMAGES = 16
_SHARE = 0.25  # of the images: so many may disagree

# Measured on ten sound networks, 16 images each: ResNet-20, ResNet-8, DenseNet-BC, SqueezeNet, LeNet-5, a small CNN,
# and four that were trained to be robust. For the smallest move along its sign the loss rises by 0.91 to 1.05 of what
# the gradient foretells, for wider ones by 1.07 at most; a random move misses by at most 0.36 of the gradient's size.
_MOVE = 0.01  # the smallest move: what the loss should change by, in log-odds
_WIDER = (1e-3, 1e-2)  # of the full range, for every pixel
_WIDEST = 1e-2  # the smallest move is never wider
_LEAST, _MOST = 0.5, 1.5  # of what the gradient foretells
_MISS = 1.0  # of the gradient's size
_TREND = 0.3  # of what the gradient foretells, for the widest move: it leads the right way
_ROUNDING = 10.0  # times the resolution and the logits' scale: what a difference of losses may be off by


def gradient_flags(classifier: Classifier, images: Images, labels: Labels, *, compare: bool = True) -> Iterator[Flag]:
    """Flags where gradients are zero, not finite, or not the slope that differences show; BrittleError without any.

    compare: also look at differences, on the first 16 images.
    """
    try:
        _, gradient = classifier.gradient(images, Untargeted(labels).loss)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise BrittleError(
            f"the network cannot be differentiated in its input, it raises {type(error).__name__}: {reason}"
        ) from error
    finite = gradient.flatten(1).isfinite().all(1)
    bad, count = int((~finite).sum()), len(images)
    if bad:
        yield Flag(
            "non-finite-gradient",
            f"the gradient has NaN or infinity on {bad} of {counted(count, 'image')} ({percent(bad / count)}):"
            f" gradient attacks"
            " fail there for numerical reasons, not because the network is robust",
        )
    zero = int((finite & (L1.measure(gradient) < _FLAT)).sum())
    if zero:
        yield Flag(
            "zero-gradient",
            f"the gradient is zero or nearly so on {zero} of {counted(count, 'image')}"
            f" ({percent(zero / count)}): gradient attacks"
            " are blind there; look for rounding, thresholds, detach() or saturation inside the network",
        )
    if compare:
        yield from _slope_flags(_Slopes(classifier, images[:_IMAGES], Untargeted(labels[:_IMAGES])))


@final
class _Slopes:
    """The gradient at one point near each image, and what the loss does from there."""

    def __init__(self, classifier: Classifier, images: Images, goal: Untargeted) -> None:
        self.classifier, self.goal = classifier, goal
        coins = torch.randint(0, 2, images.shape, generator=torch.Generator().manual_seed(1))
        self.random = (coins * 2.0 - 1.0).to(images)
        self.points = off_grid(images)
        logits, self.gradient = classifier.gradient(self.points, goal.loss)
        self.slope, self.size = L1.measure(self.gradient), L2.measure(self.gradient)
        self.usable = self.gradient.flatten(1).isfinite().all(1) & (self.slope >= _FLAT)
        self.rounding = _ROUNDING * resolution(classifier) * logits.abs().amax(1)

    def change(self, direction: Images, width: Tensor) -> tuple[Tensor, Tensor]:
        """What the loss changes by from one end of a move to the other, and what the gradient foretells; ``[B]``."""
        move = per_row(width, direction) * direction
        after, before = (self.goal.loss(self.classifier.logits(self.points + way * move)) for way in (1.0, -1.0))
        return after - before, 2 * width * (self.gradient * direction).flatten(1).sum(1)


def _slope_flags(slopes: _Slopes) -> Iterator[Flag]:
    if not slopes.usable.any():
        return
    tiny = torch.finfo(slopes.slope.dtype).tiny
    up = slopes.gradient.nan_to_num().sign()
    rise, foretold = slopes.change(up, (_MOVE / slopes.slope.clamp_min(tiny)).clamp_max(_WIDEST))
    astray = (rise < _LEAST * foretold - slopes.rounding) | (rise > _MOST * foretold + slopes.rounding)
    width = (_MOVE / slopes.size.clamp_min(tiny)).clamp_max(_WIDEST)
    moved, expected = slopes.change(slopes.random, width)
    astray |= (moved - expected).abs() > _MISS * 2 * width * slopes.size + slopes.rounding
    astray &= slopes.usable

    steeper, trend = torch.zeros_like(astray), torch.zeros_like(rise)
    for wide in _WIDER:
        risen, linear = slopes.change(up, torch.full_like(rise, wide))
        steeper |= slopes.usable & (risen > _MOST * linear + slopes.rounding)
        trend = risen / linear.clamp_min(tiny)
    of = int(slopes.usable.sum())
    wrong, masked, leads = int(astray.sum()), int(steeper.sum()), int((slopes.usable & (trend > _TREND)).sum())
    if wrong > _SHARE * of and leads < of / 2:
        yield Flag(
            "gradient-is-wrong",
            f"on {wrong} of {counted(of, 'image')} the loss does not do what its gradient foretells, however"
            f" small the move, and"
            f" along the gradient's sign it rises on {leads} only: the gradient belongs to another function, or the"
            " function is shattered; gradient attacks are led astray",
        )
    elif max(wrong, masked) > _SHARE * of:
        yield Flag(
            "rough-gradient",
            f"the gradient is not the slope of the loss: on {wrong} of {counted(of, 'image')} it is wrong for"
            f" the smallest move,"
            f" and on {masked} the loss rises more than half as much again as it foretells for a wider one; it leads"
            f" the right way on {leads}. Look for rounding with a straight-through gradient, jumps, or saturation",
        )


def inner_gradient_flag(classifier: Classifier, images: Images) -> Flag | None:
    """A flag where the network differentiates something in its own forward pass, of two images."""
    asked = 0

    def unpack(tensor: Tensor) -> Tensor:
        nonlocal asked
        asked += 1
        return tensor

    with saved_tensors_hooks(lambda tensor: tensor, unpack):
        classifier.logits(images[:2], plain=True)  # without a graph, so what is unpacked is the network's own
    if not asked:
        return None
    return Flag(
        "optimises-inside",
        "the network computes gradients within its forward pass: it changes the image, or itself, before it answers,"
        " and the gradient that attacks get may leave that out",
    )
