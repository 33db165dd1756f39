"""Structural similarity (Wang, Bovik, Sheikh and Simoncelli 2004, doi:10.1109/TIP.2003.819861)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle.types import Images

_WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2, for pixels with a range L of 1


def ssim(one: Images, other: Images) -> Tensor:
    """SSIM ``[N]`` of two batches ``[N, C, H, W]`` in [0, 1], as the mean over windows and channels; 1 if equal.

    Equation 13 with the Gaussian window of section III-C, 11 x 11 with sigma 1.5, where it lies within the image, as in
    the authors' code. A side shorter than 11 gets the largest odd window that fits.

    From the sum s and the difference d of the images rather than from themselves: ``4 mu1 mu2`` is
    ``mu_s^2 - mu_d^2``, ``2 (mu1^2 + mu2^2)`` is ``mu_s^2 + mu_d^2``, and likewise for the variances. That takes four
    filterings instead of five, and rounding does less harm where images are bright, smooth and nearly equal.
    """
    count, channels = one.shape[:2]
    if not count:
        return one.new_zeros(0)
    both = torch.stack((one + other, one - other))
    moments = _filtered(torch.cat((both, both.square())).flatten(0, 2))
    means, squares = moments.view(2, 2, count, channels, -1)
    means = means.square()
    variances = squares - means
    luminance = (means[0] - means[1] + 2 * _C1) / (means[0] + means[1] + 2 * _C1)
    structure = (variances[0] - variances[1] + 2 * _C2) / (variances[0] + variances[1] + 2 * _C2)
    result: Tensor = (luminance * structure).mean((1, 2))
    return result


def _filtered(planes: Tensor) -> Tensor:
    """Planes ``[M, H, W]`` under the Gaussian window, down and across; as groups of one image, which is fastest."""
    down, across = (_gaussian(side, planes).expand(len(planes), 1, -1) for side in planes.shape[1:])
    planes = F.conv2d(planes.unsqueeze(0), down.unsqueeze(3), groups=len(planes))
    return F.conv2d(planes, across.unsqueeze(2), groups=planes.shape[1])


def _gaussian(length: int, like: Tensor) -> Tensor:
    """The window's weights along a side of ``length`` pixels; their sum is 1."""
    reach = min(_WINDOW - 1, length - 1) // 2
    offsets = torch.arange(-reach, reach + 1, dtype=like.dtype, device=like.device)
    return (-(offsets**2) / (2 * _SIGMA**2)).softmax(0)
