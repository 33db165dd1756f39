"""How much a pixel may change before anyone sees it (Chou and Li 1995, doi:10.1109/76.475889)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from brittle.types import Images

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, the grey that the paper's 8-bit pictures are in
_LEVELS = 255.0

# Mean luminance around a pixel, over 32.
_AROUND = ((1, 1, 1, 1, 1), (1, 2, 2, 2, 1), (1, 2, 0, 2, 1), (1, 2, 2, 2, 1), (1, 1, 1, 1, 1))
# Differences across a horizontal and a falling edge, over 16; turned by a right angle they see the two others.
_ACROSS = ((0, 0, 0, 0, 0), (1, 3, 8, 3, 1), (0, 0, 0, 0, 0), (-1, -3, -8, -3, -1), (0, 0, 0, 0, 0))
_ASLANT = ((0, 0, 1, 0, 0), (0, 8, 3, 0, 0), (1, 3, 0, -3, -1), (0, 0, -3, -8, 0), (0, 0, -1, 0, 0))


def just_noticeable(images: Images) -> Tensor:
    """The just noticeable difference of each pixel ``[N, 1, H, W]``, in units of pixels in [0, 1].

    For images ``[N, 1 or 3, H, W]``. Equation 1: the larger of what the contrast around hides (``masking``) and of
    what its luminance hides (``adaptation``), from the grey of the picture. A mid-grey wall carries 3 levels of 255,
    black 20, white 6, and a busy texture more. Beyond the edges the image goes on as it ends.
    """
    grey = _grey(images) * _LEVELS
    across, aslant = (torch.tensor(rows, dtype=grey.dtype, device=grey.device) for rows in (_ACROSS, _ASLANT))
    kernels = torch.stack((across, across.T, aslant, aslant.rot90())) / 16
    around = torch.tensor(_AROUND, dtype=grey.dtype, device=grey.device) / 32
    maps = F.conv2d(F.pad(grey, (2, 2, 2, 2), mode="replicate"), torch.cat((around[None], kernels)).unsqueeze(1))
    background, gradient = maps[:, :1], maps[:, 1:].abs().amax(1, keepdim=True)
    return torch.maximum(masking(background, gradient), adaptation(background)) / _LEVELS


def adaptation(background: Tensor) -> Tensor:
    """Visibility threshold due to the background's luminance, both in levels of 255 (equation 3): f2, lowest at 127."""
    dark = 17 * (1 - (background.clamp(0, 127) / 127).sqrt())
    return dark + 3 / 128 * (background - 127).clamp_min(0) + 3


def masking(background: Tensor, gradient: Tensor) -> Tensor:
    """Visibility threshold due to the contrast around, in levels of 255 (equations 2, 4 and 5): f1, linear in it."""
    return gradient * (0.0001 * background + 0.115) + 0.5 - 0.01 * background


def _grey(images: Images) -> Tensor:
    if images.shape[1] == 1:
        return images
    weights = torch.tensor(_LUMA, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(1, keepdim=True)
