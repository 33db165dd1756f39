"""Images read ahead: while an accelerator works on some of them, the CPU decodes those that follow."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, final

import torch

from brittle.data.examples import Examples
from brittle.devices import answers_at_once
from brittle.types import Images


class _Coming(NamedTuple):
    examples: Examples
    span: tuple[int, int]
    images: Future[Images]


@final
@dataclass
class Ahead:
    """Reads examples for a device, and begins to read as many more, which are likely to be asked for next.

    What cannot be read is said when it is asked for, as without. For a CPU, which is busy, nothing is.
    """

    _coming: _Coming | None = field(default=None, repr=False)

    def images(self, examples: Examples, start: int, stop: int, device: torch.device) -> Images:
        """Those from start to stop, on the device: float32 ``[n, C, H, W]`` in ``[0, 1]``."""
        if answers_at_once(device):
            return examples.images(start, stop).to(device)
        coming, self._coming = self._coming, None
        if coming is not None and coming.examples is examples and coming.span == (start, stop):
            images = coming.images.result()
        else:
            images = examples.images(start, stop)
        span = stop, min(stop + stop - start, len(examples))
        if span[0] < span[1]:
            self._coming = _Coming(examples, span, _begun(partial(examples.images, *span)))
        return images.to(device)


def _begun(read: Callable[[], Images]) -> Future[Images]:
    """Reads in a thread of its own, which ends with it."""
    pool = ThreadPoolExecutor(1, "brittle-ahead")
    coming = pool.submit(read)
    pool.shutdown(wait=False)
    return coming
