"""What counts of votes say for sure: exact binomial bounds, without approximations."""

import math
from functools import lru_cache


@lru_cache(maxsize=4096)
def at_least(count: int, of: int, alpha: float) -> float:
    """The lower bound of a share, seen ``count`` times of ``of``, that is wrong with a chance of at most alpha.

    Clopper and Pearson 1934: the share with which as many or more are seen with a chance of alpha; by halving.
    """
    if count == 0:
        return 0.0
    low, high = 0.0, count / of
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if tail(count, of, middle) < alpha else (low, middle)
    return low


def tail(count: int, of: int, share: float) -> float:
    """The chance to see ``count`` or more of ``of``."""
    if share <= 0:
        return float(count <= 0)
    if share >= 1:
        return 1.0
    whole = math.lgamma(of + 1)
    yes, no = math.log(share), math.log1p(-share)
    return math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * yes + (of - k) * no)
        for k in range(count, of + 1)
    )


@lru_cache(maxsize=4096)
def is_ahead(first: int, second: int, alpha: float) -> bool:
    """Whether the first of two is the likelier one, wrong with a chance of at most alpha: the two-sided sign test."""
    return 2 * tail(first, first + second, 0.5) <= alpha if first > second else False
