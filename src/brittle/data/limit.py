"""Which examples a limit takes."""

from brittle.errors import BrittleError


def evenly_spaced(count: int, limit: int | None) -> list[int]:
    """Positions ``floor(i * count / limit)`` for ``i < limit``: spread over the source, in its order.

    The first ``limit`` examples of a folder sorted by class would be one class; evenly spaced ones are all of them.
    None, or a limit beyond ``count``, takes everything. Raises BrittleError for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise BrittleError(f"expected a limit of at least 1 example, got {limit}; leave it out to take all")
    if limit is None or limit >= count:
        return list(range(count))
    return [i * count // limit for i in range(limit)]
