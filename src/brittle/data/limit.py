"""Which examples a limit takes."""

import sys
from itertools import islice

from brittle.checks import whole

ALL = sys.maxsize
"""A limit that takes everything, in the order in which limits do."""


def chosen(count: int, limit: int | None) -> list[int]:
    """Positions of the examples that a limit takes, spread over the source, and those of a lower limit first.

    The first ``limit`` examples of a folder sorted by class would be one class; these are all of them, nearly in equal
    parts, and a higher limit only adds some behind: the bit-reversed numbers (van der Corput 1935) below ``count``.
    None takes everything as it stands. Raises BrittleError for a limit below 1.
    """
    if limit is not None:
        whole("a limit", limit, least=1)
    if limit is None:
        return list(range(count))
    bits = max(0, count - 1).bit_length()
    numbers = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return list(islice((number for number in numbers if number < count), limit))
