"""The bookkeeping that iterative attacks share."""

from typing import final

import torch
from torch import Tensor


@final
class ActiveSet:
    """The rows of a batch that are still unsolved, as indices into the whole batch.

    A loop keeps its own tensors for these rows only, and cuts them with what ``drop`` returns::

        keep = active.drop(met)
        x, goal = x[keep], goal[keep]
    """

    def __init__(self, size: int, device: torch.device) -> None:
        self.rows = torch.arange(size, device=device)

    def __len__(self) -> int:
        return len(self.rows)

    def drop(self, solved: Tensor) -> Tensor:
        """Removes the rows where bool ``solved`` (one per active row) holds; gives the positions that stay."""
        keep = (~solved).nonzero().squeeze(1)
        self.rows = self.rows[keep]
        return keep
