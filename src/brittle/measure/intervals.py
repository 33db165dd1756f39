"""Intervals: Wilson's for rates, order statistics for medians, and tests for paired counts."""

import math
from functools import lru_cache

Z95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""

LUCK = 0.01
"""What is said to be beyond luck would be luck this often, at most."""

_BITS = 64
_NOTHING = 2.0**-_BITS


def wilson(count: int, of: int) -> tuple[float, float] | None:
    """The Wilson score 95 % interval of the rate ``count / of``; None where ``of`` is 0.

    Unlike the textbook interval it stays in ``[0, 1]`` and does not collapse at 0 % or 100 % (Wilson 1927).
    """
    if of == 0:
        return None
    rate, z2 = count / of, Z95 * Z95
    centre = (rate + z2 / (2 * of)) / (1 + z2 / of)
    half = Z95 / (1 + z2 / of) * math.sqrt(rate * (1 - rate) / of + z2 / (4 * of * of))
    return (0.0 if count == 0 else centre - half), (1.0 if count == of else centre + half)


def student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t: the expansion by Abramowitz and Stegun 26.7.5, to 1 % from 3 degrees on."""
    z, v = Z95, float(freedom)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + first / v + second / v**2 + third / v**3 + fourth / v**4


@lru_cache(maxsize=256)
def median_ranks(n: int) -> tuple[int, int] | None:
    """1-based ranks of the order statistics that enclose the median of any distribution with at least 95 % confidence.

    The largest ``k`` with ``P(Binomial(n, 1/2) < k) <= 2.5 %`` gives ``(k, n + 1 - k)``; None below 6 values, where no
    such interval exists.
    """
    # P(X = j) over P(X = n // 2), downwards from there until a float has no room for the rest, of which there are some
    # 4 sqrt(n). Sums of 2.5 % of 2**n do not exist, and rounding cannot make one.
    terms = [1.0]
    while len(terms) <= n // 2 and terms[-1] > _NOTHING:
        j = n // 2 - len(terms) + 1
        terms.append(terms[-1] * j / (n - j + 1))
    whole = 2 * math.fsum(terms) - (n % 2 == 0)
    below, k = 0.0, n // 2 + 1 - len(terms)
    while 40 * (below + terms[n // 2 - k]) <= whole:
        below += terms[n // 2 - k]
        k += 1
    return (k, n + 1 - k) if k else None


def sign_test(more: int, fewer: int) -> float:
    """P(at least ``more`` heads in ``more + fewer`` fair tosses): one-sided evidence that more is not luck."""
    n = more + fewer
    total, term = 0, math.comb(n, more)
    for k in range(more, n + 1):
        total += term
        term = term * (n - k) // (k + 1)
        if 2 * k > n and term.bit_length() + _BITS + n.bit_length() < total.bit_length():
            break  # what is left is smaller, term by term, and no more than n times this: no float has room for it
    return float(total / 2**n)


def mcnemar(one: int, other: int) -> float:
    """McNemar's exact two-sided p of two paired counts: of examples that have something in one case only, or the other.

    Twice the smaller tail of a fair binomial, at most 1; 1 where the cases never differ (McNemar 1947).
    """
    return min(1.0, 2 * sign_test(max(one, other), min(one, other)))
