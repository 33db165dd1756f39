"""How visible a perturbation is, in the numbers that reports quote."""

from typing import NamedTuple

import numpy as np
import torch

from brittle.errors import BrittleError
from brittle.types import Images
from brittle.visibility.colour import ciede2000, lab
from brittle.visibility.ssim import ssim


class Visibility(NamedTuple):
    """What separates an image from its original; plain numbers, for JSON by ``_asdict``.

    colour_mean, colour_p99: mean and 99th percentile over pixels of CIEDE2000; 1 is about what can just be seen.
    ssim: structural similarity, 1 if equal.
    l2: the Euclidean norm over all pixels in [0, 1].
    linf: the largest change of a pixel's channel, in grey levels (of 255).
    changed: the fraction of pixels with a change in any channel.
    """

    colour_mean: float
    colour_p99: float
    ssim: float
    l2: float
    linf: float
    changed: float


def visibility(original: Images, perturbed: Images) -> list[Visibility]:
    """How visible the change is of each image of ``original``, ``[N, 1 or 3, H, W]`` in [0, 1] as ``perturbed``."""
    if original.shape != perturbed.shape or original.ndim != 4 or original.shape[1] not in (1, 3):
        expected = "two batches [N, 1 or 3, H, W] of one shape"
        raise BrittleError(f"expected {expected}, got {list(original.shape)} and {list(perturbed.shape)}")
    with torch.no_grad():  # one by one: a photograph may be large, and its maps are several times its size
        rows = range(len(original))
        return [_visibility(original[row : row + 1], perturbed[row : row + 1]) for row in rows]


def _visibility(one: Images, other: Images) -> Visibility:
    colour = ciede2000(*(lab(image.expand(-1, 3, -1, -1)) for image in (one, other))).double()
    change = (other.double() - one.double()).abs()
    return Visibility(
        colour_mean=float(colour.mean()),
        colour_p99=float(np.percentile(colour.cpu().numpy(), 99)),
        ssim=float(ssim(one, other)),
        l2=float(torch.linalg.vector_norm(change)),
        linf=255 * float(change.max()),
        changed=float((change > 0).any(1).double().mean()),
    )
