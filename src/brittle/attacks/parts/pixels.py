"""Images with a few pixels set, for attacks that try out many of them."""

from typing import Any

import torch
from torch import Tensor

from brittle.attacks.parts.asking import Asking
from brittle.types import Images


def painted(images: Images, where: Tensor, colours: Tensor) -> Images:
    """Copies of images ``[N, C, H, W]`` with the pixels at ``where`` set to ``colours``; of equal ones the last counts.

    where: int64 ``[N, d]``, ``y * W + x``. colours: ``[N, d, C]``.
    """
    flat = images.flatten(2).clone()
    for one in range(where.shape[1]):  # one by one: which of equal positions a single scatter would keep is not said
        at = where[:, one].view(-1, 1, 1).expand(-1, flat.shape[1], 1)
        flat.scatter_(2, at, colours[:, one].unsqueeze(2))
    return flat.view(images.shape)


def tried(
    ask: Asking[Any], rows: Tensor, x: Images, row: Tensor, pixels: Tensor, colours: Tensor
) -> tuple[Tensor, Tensor]:
    """Margin, and whether the goal is met, of ``x[row]`` with pixels painted; a forward pass for each."""
    found = [(x.new_zeros(0), torch.zeros(0, dtype=torch.bool, device=x.device))]
    for part in ask.classifier.chunks(len(row)):
        found.append(ask.margins(rows[row[part]], painted(x[row[part]], pixels[part], colours[part])))
    margin, met = zip(*found, strict=True)
    return torch.cat(margin), torch.cat(met)
