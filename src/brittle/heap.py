"""The C library's heap, told to keep what one pass through a network frees for the next."""

import ctypes
import os
import sys
from functools import cache

_TRIM, _MAP = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD: mallopt(3)
_KEPT = 2**30  # bytes: more than a pass on a CPU frees at once
_SAID = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


@cache
def keep_freed_memory() -> None:
    """Lets this process keep up to 1 GiB that is free; does nothing without glibc, or where the environment says else.

    As it is set up, glibc hands larger pieces back at once. Each layer's output is such a piece, so the kernel takes
    its pages away and clears others for the next layer: half the time of a forward pass through a small network. The
    most that a process has at a time does not change by this.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _SAID):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_MAP, _KEPT)
        mallopt(_TRIM, _KEPT)
