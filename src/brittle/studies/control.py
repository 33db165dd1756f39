"""The control of a change: noise of the same size."""

import torch
from torch import Tensor

from brittle.geometry.norms import L0, LINF, Norm, per_row
from brittle.geometry.scaling import scaled_to
from brittle.rng import Rng
from brittle.types import Images

NOISE = "noise beside "
"""What records call it begins so; the label of the attack follows."""


def noise_like(images: Images, size: Tensor, norm: Norm, rng: Rng) -> tuple[Images, Tensor]:
    """Images with noise of some sizes ``[B]``, as measured inside the box; and whether they are reached.

    The direction is random: signs in L-infinity, normal elsewhere, the same for an image whatever its size. In L0, so
    many pixels at random places get random colours.
    """
    if norm == L0:
        places = rng.uniform("noise places", images[:, :1]).flatten(1).argsort(1).argsort(1)
        chosen = (places < size.unsqueeze(1)).view(len(images), 1, *images.shape[2:])
        return torch.where(chosen, rng.uniform("noise colours", images), images), torch.ones_like(
            size, dtype=torch.bool
        )
    draws = rng.normal("noise", images)
    noisy, reached = scaled_to(images, draws.sign() if norm == LINF else draws, size, norm)
    nothing = per_row(size == 0, images)
    return torch.where(nothing, images, noisy), reached | (size == 0)
