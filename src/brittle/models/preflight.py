"""Preflight: what would make an audit's numbers wrong, looked for on a probe batch before any attack runs."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.models.input_range import input_range_flag
from brittle.types import BrittleError, Flag, Images, Labels, Logits

PROBE = 64
"""Preflight looks at no more examples than this."""

_ALONE = 4  # examples also passed through the network one by one
_NOISE = 1e-5  # of the logits' scale: what repeated float32 passes may differ by on a GPU
_COMPANY = 1e-3  # of the logits' scale: far above what other kernels for other batch sizes round differently
_FLAT = 1e-3  # in log-odds, for a change of every pixel by its full range


def check_compatible(classifier: Classifier, images: Images, labels: Labels | None) -> Logits:
    """Raise BrittleError where network, images and labels cannot belong together; the logits of ``images`` otherwise.

    images: a probe ``[B, C, H, W]`` in [0, 1] on the classifier's device; labels: of any number of examples, or None.
    """
    try:
        logits = classifier.logits(images)
    except BrittleError:
        _check_channels(classifier.net, images)
        raise
    except Exception as error:  # the network is the user's code
        _check_channels(classifier.net, images)
        shape = " x ".join(str(size) for size in images.shape[1:])
        reason = " ".join(str(error).split())[:200]
        raise BrittleError(
            f"the network does not run on images of {shape} (channels x height x width), it raises"
            f" {type(error).__name__}: {reason}"
        ) from error
    bad = int((~logits.isfinite().all(1)).sum())
    if bad:
        raise BrittleError(
            f"expected finite logits, got NaN or infinity on {bad} of {len(logits)} images; look for NaN weights, a"
            " division by zero or an overflow in half precision"
        )
    if labels is not None and len(labels) and len(logits):
        _check_labels(labels, logits.shape[1])
    return logits


def preflight(classifier: Classifier, images: Images, labels: Labels | None) -> list[Flag]:
    """The reasons to doubt results on this classifier, from at most ``PROBE`` examples; [] when there are none.

    images: ``[N, C, H, W]`` in [0, 1]; labels: int64 ``[N]``, or None where unknown. Raises BrittleError where network,
    images and labels cannot belong together at all. The global random generators are left as they were.
    """
    images = images[:PROBE].to(classifier.device)
    with _generators_kept(classifier.device):
        logits = check_compatible(classifier, images, labels)
        if not len(images):
            return []
        known = None if labels is None else labels[:PROBE].to(classifier.device)
        random = _random(classifier, images, logits)
        flags = [
            _probabilities(logits) if classifier.access == "gradient" else None,  # an estimator has nothing better
            random,
            None if random else _batch_dependent(classifier, images, logits),
            *_gradient_flags(classifier, images, logits.argmax(1) if known is None else known),
            None if known is None else input_range_flag(classifier, images, known, logits),
        ]
    return [flag for flag in flags if flag is not None]


def _check_channels(net: nn.Module, images: Images) -> None:
    first = next((module for module in net.modules() if isinstance(module, nn.Conv2d)), None)
    if images.ndim == 4 and first is not None and first.in_channels != images.shape[1]:
        kind = {1: " (grey)", 3: " (colour)"}
        got, wanted = images.shape[1], first.in_channels
        raise BrittleError(
            f"expected images with {wanted} channels{kind.get(wanted, '')}, as the network's first convolution wants,"
            f" got {got}{kind.get(got, '')}; convert the images or choose another network"
        )


def _check_labels(labels: Labels, classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        wrong = high if high >= classes else low
        raise BrittleError(
            f"expected labels from 0 to {classes - 1}, as the network has {classes} classes, got {wrong}; model and"
            " data do not belong together, or the classes are counted from 1"
        )


def _scale(logits: Logits) -> Tensor:
    return logits.abs().amax().clamp_min(torch.finfo(logits.dtype).tiny)


def _probabilities(logits: Logits) -> Flag | None:
    low, high = float(logits.amin()), float(logits.amax())
    sums = logits.sum(1)
    if low >= 0 and high <= 1 + 1e-5 and bool(((sums - 1).abs() < 1e-3).all()):
        return Flag(
            "probabilities",
            f"the outputs lie in [{low:.3g}, {high:.3g}] and sum to 1 on all {len(logits)} images: the network ends in"
            " a softmax, whose flat parts hide gradients; return the logits before it",
        )
    if logits.shape[1] == 2 and not logits[:, 0].any() and low >= 0 and 0 < high <= 1:
        return Flag(
            "probabilities",
            f"the single output lies in [0, 1] (largest {high:.3g}) on all {len(logits)} images: the network seems to"
            " end in a sigmoid, so that class 1 is always predicted; return the logit before it",
        )
    normaliser = float(logits.logsumexp(1).abs().amax())
    if normaliser < 1e-3 and float(logits.amax()) <= 1e-5:
        return Flag(
            "probabilities",
            f"the outputs are log-probabilities (their exponentials sum to 1 within {normaliser:.1g} on all"
            f" {len(logits)} images): differences between classes are those of the logits, single outputs are not",
        )
    return None


def _random(classifier: Classifier, images: Images, logits: Logits) -> Flag | None:
    again = classifier.logits(images)
    change = float((again - logits).abs().amax() / _scale(logits))
    if change <= _NOISE:
        return None
    differ = int((again.argmax(1) != logits.argmax(1)).sum())
    return Flag(
        "random",
        f"two passes over the same {len(images)} images differ by {change:.2g} of the largest logit and in {differ}"
        " predictions: the network is random; an attack may report luck, and its results will not repeat",
    )


def _batch_dependent(classifier: Classifier, images: Images, logits: Logits) -> Flag | None:
    some = images[:_ALONE]
    alone = torch.cat([classifier.logits(image.unsqueeze(0)) for image in some])
    turned = classifier.logits(images.flip(0)).flip(0)
    scale = _scale(logits)
    by_company = float((alone - logits[:_ALONE]).abs().amax() / scale)
    by_order = float((turned - logits).abs().amax() / scale)
    if max(by_company, by_order) <= _COMPANY:
        return None
    return Flag(
        "batch-dependent",
        f"logits change with the rest of the batch, by {by_company:.2g} of the largest logit for an image alone and by"
        f" {by_order:.2g} in reversed order: the network mixes examples (batch statistics in eval mode?), so that"
        " results depend on the batch size",
    )


def _gradient_flags(classifier: Classifier, images: Images, labels: Labels) -> Iterator[Flag]:
    if classifier.access != "gradient":
        return
    try:
        _, gradient = classifier.gradient(images, Untargeted(labels))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise BrittleError(
            f"the network cannot be differentiated in its input, it raises {type(error).__name__}: {reason}"
        ) from error
    rows = gradient.flatten(1)
    finite = rows.isfinite().all(1)
    bad, count = int((~finite).sum()), len(images)
    if bad:
        yield Flag(
            "non-finite-gradient",
            f"the gradient has NaN or infinity on {bad} of {count} images ({bad / count:.1%}): gradient attacks fail"
            " there for numerical reasons, not because the network is robust",
        )
    zero = int((finite & (rows.abs().sum(1) < _FLAT)).sum())
    if zero:
        yield Flag(
            "zero-gradient",
            f"the gradient is zero or nearly so on {zero} of {count} images ({zero / count:.1%}): gradient attacks are"
            " blind there; look for rounding, thresholds, detach() or saturation inside the network",
        )


@contextmanager
def _generators_kept(device: torch.device) -> Iterator[None]:
    """A random network draws from the global generators; the caller gets them back as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
