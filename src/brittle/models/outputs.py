"""Whether the network's outputs are what attacks expect: logits, and of a usual size."""

from brittle.errors import Flag
from brittle.text import counted
from brittle.types import Logits


def probabilities_flag(logits: Logits) -> Flag | None:
    """A flag where outputs sum to 1, are one value in [0, 1], or are log-probabilities, on all of a probe."""
    low, high = float(logits.amin()), float(logits.amax())
    sums = logits.sum(1)
    if low >= 0 and high <= 1 + 1e-5 and bool(((sums - 1).abs() < 1e-3).all()):
        return Flag(
            "probabilities",
            f"the outputs lie in [{low:.3g}, {high:.3g}] and sum to 1 on all {counted(len(logits), 'image')}:"
            f" the network ends in"
            " a softmax, whose flat parts hide gradients; return the logits before it",
        )
    if logits.shape[1] == 2 and not logits[:, 0].any() and low >= 0 and 0 < high <= 1:
        return Flag(
            "probabilities",
            f"the single output lies in [0, 1] (largest {high:.3g}) on all {counted(len(logits), 'image')}: the"
            f" network seems to"
            " end in a sigmoid, so that class 1 is always predicted; return the logit before it",
        )
    normaliser = float(logits.logsumexp(1).abs().amax())
    if normaliser < 1e-3 and float(logits.amax()) <= 1e-5:
        return Flag(
            "log-probabilities",
            f"the outputs are log-probabilities (their exponentials sum to 1 within {normaliser:.1g} on all"
            f" {counted(len(logits), 'image')}): differences between classes are those of the logits, single"
            f" outputs are not",
        )
    return None


_SMALL = 0.5  # in logits; trained networks have thirty times as much, and at 1.7 attacks on cross-entropy lose already


def small_flag(logits: Logits) -> Flag | None:
    """A flag where all classes have so nearly the same logit that a softmax cannot tell them apart."""
    spread = float((logits.amax(1) - logits.amin(1)).amax())
    if not 0 < spread < _SMALL:
        return None
    return Flag(
        "small-logits",
        f"the logits of an image differ by {spread:.2g} at the most on all {counted(len(logits), 'image')}:"
        f" cross-entropy then"
        " weighs all classes alike, and attacks that climb it do not make for the nearest; multiply the logits",
    )
