"""Parts of a training set that have nothing in common, for networks that shall have seen nothing in common."""

import hashlib
from collections.abc import Sequence
from typing import Literal, get_args

from brittle.errors import BrittleError, did_you_mean

On = Literal["all", "half-1", "half-2"]


def positions_on(on: str, labels: Sequence[int]) -> list[int]:
    """The positions of a part, in order: all, or one of two halves, which share none and together are all.

    Each class is halved by a fixed hash of the positions of its images, whatever the seed; of an odd number the odd one
    falls to the half that has fewer. So both halves have the same size, but for one, and the same classes.
    """
    if on not in get_args(On):
        raise BrittleError(
            f"expected a part as {', '.join(get_args(On)[:-1])} or half-2, got {on!r}{did_you_mean(on, get_args(On))}"
        )
    if on == "all":
        return list(range(len(labels)))
    ranked = sorted(range(len(labels)), key=lambda position: (labels[position], _hash(position)))
    return sorted(ranked[0 if on == "half-1" else 1 :: 2])


def _hash(position: int) -> bytes:
    return hashlib.sha256(f"half of a training set\0{position}".encode()).digest()
