"""Whether the input gradient can lead an attack: it is there, it is finite, and it is the slope of the loss."""

from collections.abc import Iterator
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from brittle.errors import BrittleError, Flag
from brittle.geometry.norms import L1, L2, per_row
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.models.repeats import off_grid
from brittle.text import counted, percent
from brittle.types import Images, Labels, Logits

FLAT = 1e-3  # in log-odds, for a change of every pixel by its full range
_IMAGES, _FIRST = 16, 8
SHARE = 0.25  # of the images: so many may disagree

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


def loss_gradient(classifier: Classifier, images: Images, labels: Labels) -> tuple[Logits, Images]:
    """Logits, and the gradient of the loss; BrittleError where the network has none."""
    try:
        return classifier.gradient(images, Untargeted(labels).loss)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise BrittleError(
            f"the network cannot be differentiated in its input, it raises {type(error).__name__}: {reason}"
        ) from error


def gradient_flags(gradient: Images) -> Iterator[Flag]:
    """Flags where gradients are zero, or not finite."""
    finite = gradient.flatten(1).isfinite().all(1)
    bad, count = int((~finite).sum()), len(gradient)
    if bad:
        yield Flag(
            "non-finite-gradient",
            f"the gradient has NaN or infinity on {bad} of {counted(count, 'image')} ({percent(bad / count)}):"
            f" gradient attacks"
            " fail there for numerical reasons, not because the network is robust",
        )
    zero = int((finite & (L1.measure(gradient) < FLAT)).sum())
    if zero:
        yield Flag(
            "zero-gradient",
            f"the gradient is zero or nearly so on {zero} of {counted(count, 'image')}"
            f" ({percent(zero / count)}): gradient attacks"
            " are blind there; look for rounding, thresholds, detach() or saturation inside the network",
        )


def slope_flag(classifier: Classifier, images: Images, labels: Labels, resolution: float) -> Flag | None:
    """A flag where the gradient is not the slope that differences show, on 16 images.

    resolution: the relative rounding of the network's arithmetic.

    The other eight are asked only where the first are not all well: of five that are not, as a flag takes, eight images
    hold at least one in 77 cases of 78.
    """
    points = off_grid(images[:_IMAGES])
    coins = coins_for(points)
    seen = compared(classifier, points[:_FIRST], coins[:_FIRST], labels[:_FIRST], resolution)
    if len(points) > _FIRST and not seen.is_well:
        rest = compared(classifier, points[_FIRST:], coins[_FIRST:], labels[_FIRST:_IMAGES], resolution)
        seen = Seen(*(torch.cat(both) for both in zip(seen, rest, strict=True)))
    return _flag_of(seen)


def coins_for(points: Images) -> Tensor:
    """Of each value 1 or -1, always the same."""
    return torch.randint(0, 2, points.shape, generator=torch.Generator().manual_seed(1)).to(points) * 2 - 1


@final
class Seen(NamedTuple):
    """What differences have shown of each image, bool ``[B]``; all of those that can be used.

    usable: there is a gradient. astray: the loss does not do what it foretells for the smallest moves. steeper: it
    rises far more for a wider one. leads: it does rise along the gradient's sign, for the widest.
    """

    usable: Tensor
    astray: Tensor
    steeper: Tensor
    leads: Tensor

    @property
    def is_well(self) -> bool:
        return bool((self.usable & ~self.astray & ~self.steeper).all())


def compared(classifier: Classifier, points: Images, coins: Images, labels: Labels, resolution: float) -> Seen:
    """The gradient at some points, and what the loss does from there; all moves go through the network together."""
    goal = Untargeted(labels)
    logits, gradient = classifier.gradient(points, goal.loss)
    slope, size = L1.measure(gradient), L2.measure(gradient)
    usable = gradient.flatten(1).isfinite().all(1) & (slope >= FLAT)
    if not usable.any():
        return Seen(usable, usable, usable, usable)
    up, tiny = gradient.nan_to_num().sign(), torch.finfo(slope.dtype).tiny
    least, coin = ((_MOVE / one.clamp_min(tiny)).clamp_max(_WIDEST) for one in (slope, size))
    widths = [least, coin, *(torch.full_like(slope, wide) for wide in _WIDER)]
    moves = [per_row(width, points) * way for width, way in zip(widths, (up, coins, up, up), strict=True)]
    ends = classifier.logits(torch.cat([end for move in moves for end in (points + move, points - move)]))
    losses = [goal.loss(one) for one in torch.split(ends, len(points))]
    changes = [after - before for after, before in zip(losses[::2], losses[1::2], strict=True)]
    foretold = [2 * (gradient * move).flatten(1).sum(1) for move in moves]

    rounding = _ROUNDING * resolution * logits.abs().amax(1)
    astray = (changes[0] < _LEAST * foretold[0] - rounding) | (changes[0] > _MOST * foretold[0] + rounding)
    astray |= (changes[1] - foretold[1]).abs() > _MISS * 2 * coin * size + rounding
    steeper = torch.zeros_like(usable)
    for risen, linear in zip(changes[2:], foretold[2:], strict=True):
        steeper |= risen > _MOST * linear + rounding
    leads = changes[-1] / foretold[-1].clamp_min(tiny) > _TREND
    return Seen(usable, usable & astray, usable & steeper, usable & leads)


def _flag_of(seen: Seen) -> Flag | None:
    of, wrong, masked, leads = (int(one.sum()) for one in seen)
    if wrong > SHARE * of and leads < of / 2:
        return Flag(
            "gradient-is-wrong",
            f"on {wrong} of {counted(of, 'image')} the loss does not do what its gradient foretells, however"
            f" small the move, and"
            f" along the gradient's sign it rises on {leads} only: the gradient belongs to another function, or the"
            " function is shattered; gradient attacks are led astray",
        )
    if max(wrong, masked) > SHARE * of:
        return Flag(
            "rough-gradient",
            f"the gradient is not the slope of the loss: on {wrong} of {counted(of, 'image')} it is wrong for"
            f" the smallest move,"
            f" and on {masked} the loss rises more than half as much again as it foretells for a wider one; it leads"
            f" the right way on {leads}. Look for rounding with a straight-through gradient, jumps, or saturation",
        )
    return None


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
