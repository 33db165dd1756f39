"""Company for small batches, so that on a CPU a row's result does not depend on which other rows are there."""

import torch
from torch import nn

_MANY = 28  # rows from which on no number of threads, up to 16, leaves one of them with another kernel


def rows_short(count: int) -> int:
    """How many rows more a matrix product needs: threads share its rows, and up to three left over for one of them, or
    fewer than four in all, go through another kernel, which rounds differently."""
    return -count % 4 if 0 < count < _MANY else 0


class InCompany(nn.Module):
    """A linear layer that gives a row the same result in every batch."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """``[B, K]`` -> ``[B, N]``; more axes, and other devices, as they are."""
        short = rows_short(len(rows)) if rows.ndim == 2 and rows.device.type == "cpu" else 0
        found: torch.Tensor = self.linear(nn.functional.pad(rows, (0, 0, 0, short)) if short else rows)
        return found[: len(rows)] if short else found
