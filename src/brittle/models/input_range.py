"""Whether clean accuracy suggests that the network wants other numbers than it is given: a forgotten mean and std."""

import math
from typing import NamedTuple

import torch

from brittle.errors import Flag
from brittle.models.classifier import Classifier, Settings
from brittle.text import counted, percent
from brittle.types import Images, Labels, Logits

_GOOD = 0.8  # above it, no other normalisation can be better by _GAIN
_GAIN, _LEAST_GAIN = 0.2, 3  # how much better another one must be: in accuracy, and in images
_CLOSE = 0.05  # accuracies that the probe cannot tell apart
_FEW = 16  # images, after which a normalisation may have shown already that it is no better
_FEWEST = 10  # images, below which "no better than guessing" says little


class _Normalisation(NamedTuple):
    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


_FOR_COLOUR = (
    _Normalisation("ImageNet's", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    _Normalisation("CIFAR-10's", (0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
)
_FOR_GREY = (_Normalisation("MNIST's", (0.1307,), (0.3081,)),)


def input_range_flag(classifier: Classifier, images: Images, labels: Labels, logits: Logits) -> Flag | None:
    """A flag where another usual normalisation is far more accurate, or where none beats guessing.

    images, labels: the probe; logits: what the classifier gives for it.
    """
    given = _accuracy(logits, labels)
    if given > _GOOD:
        return None
    gain = max(_GAIN, _LEAST_GAIN / len(images))
    tried = {
        usual: _accuracy_with(usual, classifier, images, labels, enough=given + gain - _CLOSE)
        for usual in _usual(images.shape[1])
    }
    best = max(tried, key=lambda usual: tried[usual])
    if tried[best] - given >= gain:
        others = [usual for usual in tried if usual != best and tried[usual] >= tried[best] - _CLOSE]
        also = f" (with {' or '.join(usual.name for usual in others)} it is as good)" if others else ""
        return Flag(
            "suspect-input-range",
            f"accuracy on {counted(len(images), 'image')} is {percent(given)} as given; with {best.name} mean"
            f" and std it is"
            f" {percent(tried[best])}{also}: pass --mean {_listed(best.mean)} --std {_listed(best.std)}, or what it was"
            " trained with",
        )
    classes = logits.shape[1]
    if len(images) >= _FEWEST and given <= _chance(len(images), classes):
        return Flag(
            "suspect-input-range",
            f"accuracy on {counted(len(images), 'image')} is {percent(given)}, no better than guessing among"
            f" {counted(classes, 'class')},"
            " and no usual normalisation is far better: check weights, the order of the classes and the range of the"
            " pixels",
        )
    return None


def _usual(channels: int) -> tuple[_Normalisation, ...]:
    for_channels = {1: _FOR_GREY, 3: _FOR_COLOUR}.get(channels, ())
    return (
        _Normalisation("no", (0.0,) * channels, (1.0,) * channels),
        *for_channels,
        _Normalisation("[-1, 1]", (0.5,) * channels, (0.5,) * channels),
        _Normalisation("0-to-255", (0.0,) * channels, (1 / 255,) * channels),
    )


def _accuracy_with(
    usual: _Normalisation, classifier: Classifier, images: Images, labels: Labels, *, enough: float
) -> float:
    """The accuracy; 0 of one that some of the images show to be less than enough.

    Not through the fast path: each normalisation is tried for one pass only.
    """
    other = classifier.adjusted(Settings(mean=usual.mean, std=usual.std))
    right = count = len(images)
    for some, wanted in zip(torch.split(images, _FEW), torch.split(labels, _FEW), strict=True):
        right -= int((other.logits(some, plain=True).argmax(1) != wanted).sum())
        if right < enough * count - 0.5:  # half an image for what the bound is rounded by
            return 0.0
    return right / count


def _accuracy(logits: Logits, labels: Labels) -> float:
    return float((logits.argmax(1) == labels).to(torch.float64).mean())


def _chance(count: int, classes: int) -> float:
    """The accuracy that guessing exceeds once in about forty times: two standard deviations above 1 / classes."""
    chance = 1 / classes
    return chance + 2 * math.sqrt(chance * (1 - chance) / count)


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:.4g}" for value in values)
