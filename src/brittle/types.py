"""The words that every room speaks: tensors, and what a classifier gives."""

from typing import Literal, TypeAlias

from torch import Tensor

Images: TypeAlias = Tensor
"""float32 ``[B, C, H, W]``, pixels in ``[0, 1]``."""

Labels: TypeAlias = Tensor
"""int64 ``[B]``, class indices."""

Logits: TypeAlias = Tensor
"""float32 ``[B, K]``, unnormalised class scores."""

Access = Literal["gradient", "score", "decision"]
"""What a classifier gives, and the most that an attack asks it for; a score is a logit, a decision the class alone."""

ACCESSES: tuple[Access, ...] = ("decision", "score", "gradient")
"""The least first: who gives one gives those before it."""

Precision = Literal["fp32", "bf16"]
"""What products are made of."""
