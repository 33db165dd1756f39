"""Company for small batches, so that on a CPU a row's result does not depend on which other rows are there."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_MANY = 28  # rows from which on no number of threads, up to 16, leaves one of them with another kernel
_LEAST = 16  # rows below which processors with AVX-512 multiply layers of 128 inputs and more by another kernel


def rows_short(count: int) -> int:
    """How many rows more a batch needs: threads share its rows, and up to three left over for one of them, or fewer
    than four in all, go through another kernel, which rounds differently."""
    return -count % 4 if 0 < count < _MANY else 0


def products_in_company(count: int) -> AbstractContextManager[object]:
    """Within it, linear layers give each row of a small batch of ``count`` images what it gets in a large one."""
    return _Together() if 0 < count < _MANY else nullcontext()


class InCompany(nn.Module):
    """A linear layer that gives a row the same result in every batch."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, rows: Tensor) -> Tensor:
        """``[B, K]`` -> ``[B, N]``; more axes, and other devices, as they are."""
        return _together(self.linear, rows)


def _together(product: Callable[..., Tensor], rows: Tensor, *rest: Any) -> Tensor:
    count = len(rows) if rows.ndim == 2 and rows.device.type == "cpu" else 0
    short = max(rows_short(count), _LEAST - count) if count else 0
    return product(functional.pad(rows, (0, 0, 0, short)), *rest)[:count] if short else product(rows, *rest)


@final
class _Together(TorchFunctionMode):
    """Products of users' own networks, which cannot be exchanged."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.linear and args and not kwargs:  # as layers call it
            return _together(func, *args)
        return func(*args, **kwargs or {})
