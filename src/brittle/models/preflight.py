"""Preflight: what would make an audit's numbers wrong, looked for on a probe batch before any attack runs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from brittle.errors import BrittleError, Flag
from brittle.models.astray import astray_flags
from brittle.models.classifier import Classifier, in_float32
from brittle.models.descent import descended, unbroken_flag
from brittle.models.input_range import input_range_flag
from brittle.models.outputs import probabilities_flag, small_flag
from brittle.models.repeats import company_flag, jump_flag, random_flag, resolution_of
from brittle.models.slopes import gradient_flags, inner_gradient_flag, loss_gradient, slope_flag
from brittle.text import counted
from brittle.types import Images, Labels, Logits

PROBE = 64
"""Preflight looks at no more examples than this."""

GLANCE = 4
"""A glance at no more than this."""


def check_compatible(classifier: Classifier, images: Images, labels: Labels | None) -> Logits:
    """Raise BrittleError where network, images and labels cannot belong together; the logits of ``images`` otherwise.

    images: a probe ``[B, C, H, W]`` in [0, 1] on the classifier's device; labels: of any number of examples, or None.
    The logits are float32's, as all that is examined.
    """
    try:
        logits = in_float32(classifier).logits(images)
    except BrittleError:
        _check_channels(classifier.channels, images)
        raise
    except Exception as error:  # the network is the user's code
        _check_channels(classifier.channels, images)
        shape = " x ".join(str(size) for size in images.shape[1:])
        reason = " ".join(str(error).split())[:200]
        raise BrittleError(
            f"the network does not run on images of {shape} (channels x height x width), it raises"
            f" {type(error).__name__}: {reason}"
        ) from error
    bad = int((~logits.isfinite().all(1)).sum())
    if bad:
        raise BrittleError(
            f"expected finite logits, got NaN or infinity on {bad} of {counted(len(logits), 'image')}; look for"
            f" NaN weights, a"
            " division by zero or an overflow in half precision"
        )
    if labels is not None and len(labels) and len(logits):
        _check_labels(labels, logits.shape[1])
    return logits


def preflight(
    classifier: Classifier, images: Images, labels: Labels | None, *, logits: Logits | None = None
) -> list[Flag]:
    """The reasons to doubt results on this classifier, from at most ``PROBE`` examples; [] when there are none.

    images: ``[N, C, H, W]`` in [0, 1]; labels: int64 ``[N]``, or None where unknown. logits: of the images, where
    ``check_compatible`` has given them. Raises BrittleError where network, images and labels cannot belong together at
    all. The global random generators are left as they were. It costs some 600 passes of one image, and
    up to 1,000 more where something looks odd.
    """
    classifier, images = in_float32(classifier), images[:PROBE].to(classifier.device)
    with _generators_kept(classifier.device):
        logits = check_compatible(classifier, images, labels) if logits is None else logits[:PROBE]
        if not len(images):
            return []
        known = None if labels is None else labels[:PROBE].to(classifier.device)
        return [flag for flag in _flags(classifier, images, known, logits) if flag is not None]


def glance(classifier: Classifier, images: Images, labels: Labels, logits: Logits, *, gradients: bool) -> list[Flag]:
    """What some 20 passes of one image show of the same reasons, for an attack on images in memory.

    images: at least one; logits: what the classifier has given for them. gradients: the attack asks for them.
    """
    classifier = in_float32(classifier)
    few, seen, known = images[:GLANCE], logits[:GLANCE], labels[:GLANCE]  # batch statistics and coins show on any
    with _generators_kept(classifier.device):
        random = random_flag(classifier, few, times=2)
        turned, gradient = _in_reverse(classifier, few, known, gradients=gradients)
        flags = [random or company_flag(classifier, few, seen, turned, alone=1)]
        if gradient is not None:
            flags += gradient_flags(gradient)
    return [flag for flag in flags if flag is not None]


def _flags(classifier: Classifier, images: Images, known: Labels | None, logits: Logits) -> Iterator[Flag | None]:
    random = random_flag(classifier, images)
    labels = logits.argmax(1) if known is None else known
    turned, gradient = _in_reverse(classifier, images, labels, gradients=classifier.access == "gradient")
    unsteady = random is not None and random.code == "random"
    company = None if unsteady else company_flag(classifier, images, logits, turned)
    if gradient is not None:  # an estimator has nothing better than probabilities
        yield probabilities_flag(logits) or small_flag(logits)
    yield random
    yield company
    if gradient is not None:
        resolution = resolution_of(classifier, images, logits)
        yield None if unsteady else jump_flag(classifier, images, resolution)
        yield from gradient_flags(gradient)
        descent = descended(classifier, images, labels, logits, gradient)
        if not (unsteady or company):  # where answers change by themselves, differences of them are no slopes
            rough = slope_flag(classifier, images, labels, resolution)
            astray = astray_flags(classifier, images, labels, logits, gradient, descent, resolution)
            yield rough or next(astray, None)
        yield inner_gradient_flag(classifier, images)
        yield unbroken_flag(descent)
    if known is not None:
        yield input_range_flag(classifier, images, known, logits)


def _in_reverse(
    classifier: Classifier, images: Images, labels: Labels, *, gradients: bool
) -> tuple[Logits, Images | None]:
    """Logits of a batch in reversed order, and the gradients of the loss, if they are wanted; rows as in ``images``."""
    if not gradients:
        return classifier.logits(images.flip(0)).flip(0), None
    with torch.inference_mode(False):  # what is turned inside it could not be differentiated
        logits, gradient = loss_gradient(classifier, images.flip(0), labels.flip(0))
    return logits.flip(0), gradient.flip(0)


def _check_channels(wanted: int | None, images: Images) -> None:
    if images.ndim == 4 and wanted is not None and wanted != images.shape[1]:
        kind, got = {1: " (grey)", 3: " (colour)"}, images.shape[1]
        raise BrittleError(
            f"expected images with {counted(wanted, 'channel')}{kind.get(wanted, '')}, as the network's first"
            f" convolution wants,"
            f" got {got}{kind.get(got, '')}; convert the images or choose another network"
        )


def _check_labels(labels: Labels, classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        wrong = high if high >= classes else low
        raise BrittleError(
            f"expected labels from 0 to {classes - 1}, as the network has {counted(classes, 'class')}, got"
            f" {wrong}; model and"
            " data do not belong together, or the classes are counted from 1"
        )


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    """A random network draws from the global generators; the caller gets them back as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
