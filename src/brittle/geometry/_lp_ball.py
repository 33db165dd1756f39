"""The Euclidean projection onto an Lp ball for general p, which has no closed form."""

import math

import torch
from torch import Tensor

from brittle.devices import doubled, is_due

_EDGE = 600.0  # |log| of the multipliers looked at; exp of it fits into double precision
_TINY = math.exp(-_EDGE)
_NEWTON_STEPS = 60  # a bound; 3 to 6 are usual
_COORDINATE_STEPS = 10
_ACCURACY = 1e-9


def project_lp(delta: Tensor, r: Tensor, p: float) -> Tensor:
    """The nearest point to ``delta`` (``[B, ...]``) of the ball of radius ``r`` (``[B, 1...]``) in Lp, 1 < p < inf.

    In units of the radius each coordinate v of it solves ``v + m * v^(p-1) = |delta|``, with the one multiplier m >= 0
    per row for which the norm is 1. Newton's method finds log m: the logarithm of the norm falls in it, and almost
    linearly. What leaves the interval known to hold log m is replaced by its middle. In double precision throughout.
    """
    given, radius = doubled(delta), doubled(r)
    size = (given.abs() / radius.clamp_min(_TINY)).flatten(1)
    total = torch.linalg.vector_norm(size, ord=p, dim=1, keepdim=True)
    inside = total <= 1
    # To begin with, m as if shrinking kept the direction; above, m as if all were in the largest coordinate.
    largest = size.amax(1, keepdim=True).clamp_min(_TINY)
    kept = largest / total.clamp_min(1)
    log_m = (largest - kept).clamp_min(_TINY).log() - (p - 1) * kept.log()
    low, high = torch.full_like(log_m, -_EDGE), largest.log().clamp_min(0) + (1 - 1 / p) * math.log(size.shape[1]) + 1
    log_m = log_m.clamp(-_EDGE, _EDGE)
    for turn in range(_NEWTON_STEPS):
        v = _shrunk(size, log_m.exp(), p)
        norm = torch.linalg.vector_norm(v, ord=p, dim=1, keepdim=True).clamp_min(_TINY)
        if is_due(turn, _NEWTON_STEPS, delta.device) and (((norm - 1).abs() <= _ACCURACY) | inside).all():
            break
        low, high = torch.where(norm > 1, log_m, low), torch.where(norm > 1, high, log_m)
        power = v ** (p - 1)
        fall = (power.square() / ((-log_m).exp() + (p - 1) * power / v.clamp_min(_TINY))).sum(1, keepdim=True)
        log_m = log_m + norm.log() * norm**p / fall.clamp_min(_TINY)
        log_m = torch.where((log_m > low) & (log_m < high), log_m, (low + high) / 2)
    nearest = (given.flatten(1).sign() * v).view_as(delta) * radius
    return torch.where(inside.view_as(r), given, nearest).to(delta)


def _shrunk(size: Tensor, m: Tensor, p: float) -> Tensor:
    """v with ``v + m * v^(p-1) = size``; where p < 2, by way of ``u = v^(p-1)``.

    Either way the function is convex and Newton's method starts to the right of the root, so it cannot overshoot.
    """
    if p >= 2:
        v = torch.minimum(size, (size / m) ** (1 / (p - 1)))
        for _ in range(_COORDINATE_STEPS):
            power = m * v ** (p - 2)
            v = v - (v + power * v - size) / (1 + (p - 1) * power)
        return v
    k = 1 / (p - 1)
    u = torch.minimum(size ** (p - 1), size / m)
    for _ in range(_COORDINATE_STEPS):
        power = u ** (k - 1)
        u = u - (power * u + m * u - size) / (k * power + m)
    return u**k
