"""A boundary with many kinks whose nearest point in Linf is the solution of a linear program."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import linprog  # type: ignore[import-untyped]
from torch import Tensor, nn

from brittle.goals import Untargeted


class Kinked(nn.Module):
    """Log-odds of class 1 against 0: ``<w, d> - sum_j |<u_j, d>| - gap`` with ``d = images - 0.5``.

    They are concave: where class 1 wins is convex, and bounded by planes.
    """

    def __init__(self, w: Tensor, u: Tensor, gap: float) -> None:
        super().__init__()
        self.w, self.u, self.gap = nn.Parameter(w), nn.Parameter(u), gap

    def forward(self, images: Tensor) -> Tensor:
        d = (images - 0.5).flatten(1)
        odds = d @ self.w - (d @ self.u.T).abs().sum(1) - self.gap
        return torch.stack([torch.zeros_like(odds), odds], dim=1)


class KinkedProblem(NamedTuple):
    """Two equal grey images of class 0, and how far from class 1 they are in Linf."""

    net: Kinked
    images: Tensor
    goal: Untargeted
    distance: float


def kinked_problem(seed: int, pixels: int = 192, kinks: int = 24) -> KinkedProblem:
    generator = torch.Generator().manual_seed(seed)
    w, u = torch.randn(pixels, generator=generator), torch.randn(kinks, pixels, generator=generator)
    u = 0.2 * u / kinks**0.5
    gap = 0.05 * float(w.abs().sum())
    images, goal = torch.full((2, 1, 1, pixels), 0.5), Untargeted(torch.zeros(2, dtype=torch.int64))
    return KinkedProblem(Kinked(w, u, gap), images, goal, _distance(w.double().numpy(), u.double().numpy(), gap))


def _distance(w: np.ndarray, u: np.ndarray, gap: float) -> float:
    """The least eps with ``|d| <= eps``, ``|<u_j, d>| <= t_j`` and ``<w, d> - sum t_j >= gap``, over (d, t, eps)."""
    kinks, pixels = u.shape
    each, bend, none = np.eye(pixels), np.eye(kinks), np.zeros
    rows = [np.hstack([-w, np.ones(kinks), [0]])[None]]
    for sign in (1, -1):
        rows.append(np.hstack([sign * u, -bend, none((kinks, 1))]))
        rows.append(np.hstack([sign * each, none((pixels, kinks)), -np.ones((pixels, 1))]))
    limits = np.concatenate([[-gap], none(2 * kinks + 2 * pixels)])
    bounds = [(-0.5, 0.5)] * pixels + [(0, None)] * (kinks + 1)
    solved = linprog(np.append(none(pixels + kinks), 1), np.vstack(rows), limits, bounds=bounds)
    assert solved.success
    return float(solved.fun)
