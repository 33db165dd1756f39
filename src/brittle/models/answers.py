"""What a network returns, read as logits, and held against what is said of its classes."""

from collections.abc import Sequence

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


def check_classes(classes: int, class_names: Sequence[str] | None, reject: int | None) -> None:
    """BrittleError where so many logits are not those of the classes named, or have no such reject class."""
    if class_names is not None and len(class_names) != classes:
        raise BrittleError(f"expected one class name per logit ({classes}), got {len(class_names)}")
    if reject is not None and not (reject < classes >= 3):
        raise BrittleError(f"expected a reject class among 3 classes or more, got class {reject} of {classes}")


def classes_known(counted: int | None, class_names: Sequence[str] | None) -> int:
    """K, as the last pass or the names tell; BrittleError where neither does."""
    if counted is not None:
        return counted
    if class_names is None:
        raise BrittleError("the number of classes is known after the first pass through the network")
    return len(class_names)
