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
        logits, outputs = seen(network, torch.cat([image, changed]), names)
        before = (changed - image).double().flatten(1).norm(dim=1)
        after = [(one[1:] - one[:1]).double().flatten(1).norm(dim=1) for one in (*outputs.values(), logits)]
    return torch.stack(after, 1) / torch.where(before > 0, before, torch.nan).unsqueeze(1)
