"""By how much a network's layers make a change larger, on images, as it is measured."""

import torch
from torch import Tensor

from brittle.explain.inside import seen
from brittle.models.network import Network
from brittle.types import Images


def amplified(network: Network, image: Images, changed: Images, names: list[str]) -> Tensor:
    """``[n, L + 1]``: of each changed image ``[n, C, H, W]`` of one ``[1, C, H, W]``, how many times larger the change
    is behind each layer, and in the logits, than in the pixels, both in L2; NaN where nothing is changed."""
    with torch.no_grad():
        _, after = _sizes(network, image, changed, names)
        before = (changed - image).double().flatten(1).norm(dim=1)
    return after / torch.where(before > 0, before, torch.nan).unsqueeze(1)


def relative(network: Network, image: Images, changed: Images, names: list[str]) -> Tensor:
    """``[n, L + 1]``: of the same, the change behind each layer, and in the logits, by what is there without it, in L2
    (Lin et al. 2019, arXiv:1904.08444, section 3, whose figure has its square); NaN where that is 0."""
    with torch.no_grad():
        whole, after = _sizes(network, image, changed, names)
    return after / torch.where(whole > 0, whole, torch.nan)


def _sizes(network: Network, image: Images, changed: Images, names: list[str]) -> tuple[Tensor, Tensor]:
    """The L2 norms ``[L + 1]`` behind the layers, and those of the changes there, ``[n, L + 1]``."""
    logits, outputs = seen(network, torch.cat([image, changed]), names)
    every = [one.double().flatten(1) for one in (*outputs.values(), logits)]
    whole = torch.stack([one[0].norm() for one in every])
    return whole, torch.stack([(one[1:] - one[:1]).norm(dim=1) for one in every], 1)
