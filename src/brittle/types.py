"""The tensors that every room speaks of."""

from typing import TypeAlias

from torch import Tensor

Images: TypeAlias = Tensor
"""float32 ``[B, C, H, W]``, pixels in ``[0, 1]``."""

Labels: TypeAlias = Tensor
"""int64 ``[B]``, class indices."""

Logits: TypeAlias = Tensor
"""float32 ``[B, K]``, unnormalised class scores."""
