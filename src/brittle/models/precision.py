"""How precisely a network computes: float32 throughout for grading, and what its own types round for attacks."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from brittle.goals import FLOAT32, Rounding, spread_of
from brittle.types import Images, Logits

_COARSE = 4  # units of a type coarser than float32 that ResNet-20's logits are off by, of their spread
_MARGIN = 2  # times the largest difference seen on a few images, for all others
_MOST = 1e-3  # of the spread in float32, and as many units of coarser types: beyond, a difference is no rounding

Run = Callable[[nn.Module, Images], Logits]


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


def is_exact() -> bool:
    """Whether ``exact`` would change nothing."""
    return torch.get_float32_matmul_precision() == "highest" and not torch.backends.cudnn.allow_tf32


def rounding_of(net: nn.Module, run: Run, batch: Images, plain: Logits, others: Sequence[Logits]) -> Rounding:
    """What rounding does to the logits of a network in eval mode.

    batch: a few images, plain: their logits, others: the same by other paths. The coarsest floating-point type of any
    of the network's operations gives the least; it is more where paths differ more: the images in other company, alone,
    and, for networks that compute in less than float32, as a float32 copy sees them. What differs by far more is no
    rounding, and is left to the preflight.
    """
    alone: list[Logits] = []
    with exact(), _Types() as types, suppress(Exception):  # a network may know no batch of one
        alone.append(run(net, batch[:1]))
    eps = max(types.coarsest, FLOAT32.eps)
    share, most = FLOAT32.share, _MOST
    if eps > FLOAT32.eps:
        share, most = _COARSE * eps, _MOST / FLOAT32.share * eps
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
class _Types(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the coarsest floating-point type that any operation returns, autocast inside the network included."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.coarsest = 0.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        returned = func(*args, **(kwargs or {}))
        for one in tree_leaves(returned):
            if isinstance(one, Tensor) and one.is_floating_point():
                self.coarsest = max(self.coarsest, torch.finfo(one.dtype).eps)
        return returned
