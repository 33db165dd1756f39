"""What a network returns, read as logits."""

import torch
from torch import Tensor

from brittle.errors import BrittleError
from brittle.types import Logits


def as_logits(output: object, rows: int) -> Logits:
    """float32 ``[rows, K]`` of ``[rows, K]``, ``[rows, 1]`` or ``[rows]``; BrittleError for anything else."""
    if not isinstance(output, Tensor):
        raise BrittleError(
            f"expected the network to return logits [B, K], got {type(output).__name__}; wrap it in a module that"
            " returns the logits alone"
        )
    if output.ndim == 1 and len(output) == rows:
        output = output.unsqueeze(1)
    if output.ndim != 2 or len(output) != rows:
        raise BrittleError(f"expected logits [{rows}, K] from the network, got shape {tuple(output.shape)}")
    if output.shape[1] == 1:  # one logit for "class 1": the two-class softmax of (0, z) is the sigmoid of z
        output = torch.cat([torch.zeros_like(output), output], dim=1)
    return output.float()
