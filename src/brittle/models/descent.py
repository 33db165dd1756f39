"""Whether gradients lead anywhere at all: with no budget but the box, a plain descent must fool every image."""

from typing import NamedTuple, final

import torch
from torch import Tensor

from brittle.errors import Flag
from brittle.geometry.box import clip
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.text import counted
from brittle.types import Images, Labels, Logits

_IMAGES = 16
_STEPS, _SIZE = 20, 0.1  # measured: networks trained to be robust are fooled after 9 steps at most, others after 4
_SHARE = 0.1  # of the images: so many may withstand


@final
class Descent(NamedTuple):
    """Where signed gradient steps in the whole box have led.

    rows: the images that were tried, by position. ends ``[R, C, H, W]``; met ``[R]``: whether the class is another.
    """

    rows: Tensor
    ends: Images
    met: Tensor


def descended(classifier: Classifier, images: Images, labels: Labels, logits: Logits, gradient: Images) -> Descent:
    """The descent of the images that are classified as their labels say, 16 at the most.

    logits, gradient: at the images, so that the first step takes no pass.
    """
    rows = (logits.argmax(1) == labels).nonzero().squeeze(1)[:_IMAGES]
    x, goal = images[rows], Untargeted(labels[rows])
    left, slope = torch.arange(len(rows), device=x.device), gradient[rows]
    for step in range(_STEPS):
        x[left] = _moved(x[left], slope)
        if step == _STEPS - 1 or not len(left):
            break
        seen, slope = classifier.gradient(x[left], goal[left].loss)
        on = ~goal[left].is_met(seen)
        left, slope = left[on], slope[on]
    met = torch.ones(len(rows), dtype=torch.bool, device=x.device)
    met[left] = goal[left].is_met(classifier.logits(x[left])) if len(left) else True
    return Descent(rows, x, met)


def unbroken_flag(descent: Descent) -> Flag | None:
    """A flag where signed gradient steps in the whole box leave more than a tenth of the images with their class.

    At eps = 1 any image is allowed, so that one of another class is, too.
    """
    of, withstand = len(descent.met), int((~descent.met).sum())
    if withstand <= _SHARE * of:
        return None
    return Flag(
        "unbroken-at-eps-1",
        f"{withstand} of {counted(of, 'image')} withstand {_STEPS} gradient steps that may change every pixel"
        f" as they like: no"
        " network is robust to that, so its gradients do not lead where it fails, and gradient attacks understate how"
        " easily it does",
    )


def _moved(x: Images, slope: Images) -> Images:
    return clip(x + _SIZE * slope.nan_to_num().sign())
