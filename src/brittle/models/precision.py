"""How precisely a network computes: float32 throughout for grading, and what its own types round for attacks."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from brittle.goals import FLOAT32, Rounding, spread_of
from brittle.types import Images, Logits

_COARSE = 4  # units of a type coarser than float32 that ResNet-20's logits are off by, of their spread
_MARGIN = 2  # times the largest difference seen on a few images, for all others
_MOST, _MANY = 1e-3, 32  # of the spread in float32, and in units of coarser types: beyond, it is no rounding

_TF32 = 2.0**-10
_LOOKED_AT = 4  # images, before each attack

Run = Callable[[nn.Module, Images], Logits]


def few_of(images: Images) -> Images:
    """Those that are looked at before an attack: four at most, spread evenly. Of few it takes all."""
    return images[:: -(-len(images) // _LOOKED_AT)]


@contextmanager
def exact() -> Iterator[None]:
    """Inside, float32 is float32: a GPU keeps from TF32, a CPU from bfloat16; afterwards all is as it was."""
    matmul, convolution = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(matmul)
        torch.backends.cudnn.allow_tf32 = convolution


def float32_unit(device: torch.device) -> float:
    """The unit of what a device may compute float32 products in, as PyTorch is set now."""
    matmul = torch.get_float32_matmul_precision()
    if matmul == "medium":
        return torch.finfo(torch.bfloat16).eps
    rounds = matmul == "high" or (device.type == "cuda" and torch.backends.cudnn.allow_tf32)
    return _TF32 if rounds else FLOAT32.eps


def rounding_of(
    net: nn.Module, run: Run, batch: Images, plain: Logits, others: Sequence[Logits], unit: float
) -> Rounding:
    """What rounding does to the logits of a network in eval mode.

    batch: a few images, plain: their logits, others: the same by other paths; unit: ``float32_unit`` of the attack.
    That, or the coarsest floating-point type of any of the network's operations, gives the least; it is more where
    paths differ more: others, an image alone, and, for networks that compute in less than float32, a float32 copy. What
    differs by far more is no rounding, and is left to the preflight.
    """
    alone: list[Logits] = []
    with exact(), _Types() as types, suppress(Exception):  # a network may know no batch of one
        alone.append(run(net, batch[:1]))
    eps = max(types.coarsest, FLOAT32.eps)
    unit = max(unit, eps)
    share, most = FLOAT32.share, _MOST
    if unit > FLOAT32.eps:
        share, most = _COARSE * unit, _MANY * unit
    if eps > FLOAT32.eps:
        others = [*others, *_in_float32(net, run, batch)]
    seen = [_difference(plain[: len(other)], other) for other in (*alone, *others)]
    measured = max((one for one in seen if one <= most), default=0.0)
    if _MARGIN * measured > share:  # a power of 2, as which images were looked at should not matter
        share = 2.0 ** math.ceil(math.log2(_MARGIN * measured))
    return Rounding(share, eps)


def _difference(plain: Logits, other: Logits) -> float:
    """Of the logits' spread."""
    return float((plain - other).abs().amax() / spread_of(plain).amax().clamp_min(torch.finfo(plain.dtype).tiny))


def _in_float32(net: nn.Module, run: Run, batch: Images) -> list[Logits]:
    try:
        return [run(copy.deepcopy(net).float(), batch)]
    except Exception:  # the user's code may insist on its type, or not copy; the type itself is known
        return []


@final
class _Types(TorchFunctionMode):
    """Notes the coarsest floating-point type that any operation returns, autocast inside the network included."""

    def __init__(self) -> None:
        super().__init__()
        self.coarsest = 0.0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        returned = func(*args, **(kwargs or {}))
        for one in tree_leaves(returned):
            if isinstance(one, Tensor) and one.is_floating_point():
                self.coarsest = max(self.coarsest, torch.finfo(one.dtype).eps)
        return returned
