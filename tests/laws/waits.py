"""A stand-in for a device: counts what would make this process wait for an accelerator, by the line that asks."""

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import brittle

_ROOT = str(Path(brittle.__file__).parent)
_ASK = {  # what has to know values before it can go on
    "_local_scalar_dense",  # int, float, bool, item
    "nonzero",
    "masked_select",
    "equal",
    "unique_consecutive",
    "unique_dim",
    "_unique2",
    "bincount",
    "lift_fresh",  # a tensor made of Python numbers is copied to the device
}
_INDEX = {"index", "index_put", "index_put_"}
_LEAVE = {Tensor.tolist, Tensor.cpu, Tensor.numpy}  # tensors of a CPU leave for it unseen below


class Waits:
    """Counts by ``file:line`` of brittle, the innermost one; ``total`` of all."""

    def __init__(self) -> None:
        self.lines: Counter[str] = Counter()

    @property
    def total(self) -> int:
        return self.lines.total()

    def note(self, count: int = 1) -> None:
        frame = sys._getframe(2)
        while frame.f_back is not None and not frame.f_code.co_filename.startswith(_ROOT):
            frame = frame.f_back
        self.lines[f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"] += count


@contextmanager
def waits() -> Iterator[Waits]:
    """Inside, everything that PyTorch is asked on a CPU is looked at as if it were asked of an accelerator."""
    seen = Waits()
    with _Below(seen), _Above(seen):
        yield seen


class _Below(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees each operation as a device would get it."""

    def __init__(self, seen: Waits) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen = seen

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in _ASK or (name == "repeat_interleave" and kwargs.get("output_size") is None):
            self.seen.note()
        elif name in _INDEX:  # by a mask: how many rows it has must be known
            self.seen.note(sum(one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1]))
        elif isinstance(kwargs.get("generator"), torch.Generator):  # drawn here, to be copied to the device
            self.seen.note()
        return func(*args, **kwargs)


class _Above(TorchFunctionMode):
    """Sees what a tensor on a CPU does by itself."""

    def __init__(self, seen: Waits) -> None:
        super().__init__()
        self.seen = seen

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func in _LEAVE:
            self.seen.note()
        return func(*args, **(kwargs or {}))
