"""The quasi-Newton direction that several attacks take."""

import torch
from torch import Tensor

from brittle.geometry.norms import inner, per_row
from brittle.types import Images

_TINY = torch.finfo(torch.float32).tiny


def two_loops(slope: Images, free: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Images:
    """Minus the inverse Hessian, as the pairs have it for the free pixels, times the slope; zero without pairs.

    The two-loop recursion of L-BFGS (Nocedal and Wright 2006, algorithm 7.4), a row at a time. free: 1 where pixels may
    move. pairs: steps, and how the slope changed along them; those of a row without curvature do not count.
    """
    known, loops = torch.zeros(len(slope), dtype=torch.bool, device=slope.device), []
    result, scale = slope, torch.zeros_like(slope.flatten(1)[:, 0])
    for step, bend in reversed(pairs):
        s, y = step * free, bend * free
        curvature, bends = inner(s, y), inner(y, y)
        usable = curvature > 1e-10 * bends
        rho = torch.where(usable, 1 / curvature.clamp_min(_TINY), 0)
        scale = torch.where(usable & ~known, curvature / bends.clamp_min(_TINY), scale)
        known = known | usable
        alpha = rho * inner(s, result)
        result = result - per_row(alpha, y) * y
        loops.append((s, y, rho, alpha))
    result = per_row(scale, result) * result
    for s, y, rho, alpha in reversed(loops):
        result = result + per_row(alpha - rho * inner(y, result), s) * s
    return -result
