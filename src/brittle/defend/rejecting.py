"""Detectors: a score of how suspicious an image is, and from where on no answer is given."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.errors import BrittleError
from brittle.types import Logits

IMAGES = "clean images that it is fitted on, at most"
FPR = "share of clean images that it may reject"


class Bar(NamedTuple):
    """Beyond which score an image is rejected, and how far the scores of clean images spread."""

    at: float
    spread: float

    @staticmethod
    def of(scores: Tensor, fpr: float, name: str) -> "Bar":
        """By the scores of clean images ``[N]``, so that of others like them a share of at most ``fpr`` is expected to
        lie beyond: the ``ceil((N + 1) (1 - fpr))``-th in order (as in conformal prediction; Vovk et al. 2005).

        Raises BrittleError for so few that none of them can be the one.
        """
        place = math.ceil((len(scores) + 1) * (1 - fpr) - 1e-9)
        if place > len(scores):
            least = math.ceil(1 / fpr - 1e-9) - 1
            raise BrittleError(
                f"expected at least {least} clean images for the threshold of {name} at fpr={fpr:g}, got {len(scores)};"
                " give more with --defence-data"
            )
        return Bar(float(scores.sort().values[place - 1]), float(scores.double().std().clamp_min(1e-6)))

    def beyond(self, scores: Tensor) -> Tensor:
        """How far, in spreads of clean images; positive where an image is rejected."""
        return (scores - self.at) / self.spread


def rejecting(logits: Logits, beyond: Tensor) -> Logits:
    """``[B, K + 1]``: with a last class that wins where ``beyond`` is positive.

    The classifier and its detector as one function, so that any attack on it has to pass both (Carlini and Wagner 2017,
    arXiv:1705.07263, section 2.3; theirs multiplies by the largest logit, which has no sign of its own here).
    """
    return torch.cat([logits, (logits.amax(1) + beyond).unsqueeze(1)], 1)
