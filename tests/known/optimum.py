"""The smallest step to a plane within a box, by general-purpose solvers that share nothing with brittle."""

import math
from typing import Any

import numpy as np
from scipy.optimize import linprog, minimize  # type: ignore[import-untyped]


def smallest_by_scipy(w: Any, gap: float, low: Any, high: Any, p: float) -> float:
    """min ||d||_p with <w, d> = gap and low <= d <= high."""
    n = len(w)
    if p == 1:  # d = a - b with a, b >= 0
        bounds = [(0, top) for top in high] + [(0, -bottom) for bottom in low]
        solved = linprog(np.ones(2 * n), A_eq=[[*w, *-w]], b_eq=[gap], bounds=bounds)
    elif math.isinf(p):  # |d| <= t
        eye, ones = np.eye(n), np.ones((n, 1))
        solved = linprog(
            [*np.zeros(n), 1],
            A_ub=np.block([[eye, -ones], [-eye, -ones]]),
            b_ub=np.zeros(2 * n),
            A_eq=[[*w, 0]],
            b_eq=[gap],
            bounds=[*zip(low, high, strict=True), (0, None)],
        )
    else:
        solved = minimize(
            lambda d: np.sum(np.abs(d) ** p),
            np.where(w > 0, high, low) / 2,
            jac=lambda d: p * np.sign(d) * np.abs(d) ** (p - 1),
            bounds=list(zip(low, high, strict=True)),
            constraints=[{"type": "eq", "fun": lambda d: w @ d - gap, "jac": lambda d: w}],
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 500},
        )
    assert solved.success, solved.message
    return float(solved.fun ** (1 / p)) if 1 < p < math.inf else float(solved.fun)
