"""The last step of minimal attacks: back towards the image on a straight line."""

import torch
from torch import Tensor

from brittle.attacks.parts.asking import Asking
from brittle.attacks.parts.best import Nearest
from brittle.attacks.parts.rows import kept
from brittle.geometry.norms import per_row

_TRIMS = 4
_CLOSE = 2e-4  # of the first gap: how near to the boundary is near enough


def trim(asking: Asking[Nearest], rows: Tensor) -> None:
    """The best points as near to their images, on the line between them, as four trials find them adversarial.

    By false position on the margin, a forward pass each, for rows that are not close to the boundary already.
    """
    best, first = asking.best, asking.first_gap
    (rows,) = kept(best.claimed[rows] & (best.size[rows] > 0), rows)
    short, far = torch.zeros_like(first), torch.ones_like(first)
    margin_short, whole = first.clone(), best.images - asking.images
    close = -_CLOSE * first
    for _ in range(_TRIMS):
        (rows,) = kept(asking.margin[rows] < 2 * close[rows], rows)
        if not len(rows):
            break
        reach = (margin_short - close)[rows] / (margin_short - asking.margin)[rows]
        t = torch.lerp(short[rows], far[rows], reach)
        met, margin = asking.look(rows, torch.addcmul(asking.images[rows], whole[rows], per_row(t, whole)))
        far[rows], short[rows] = torch.where(met, t, far[rows]), torch.where(met, short[rows], t)
        margin_short[rows] = torch.where(met, margin_short[rows], margin)
