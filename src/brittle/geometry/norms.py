"""Norms of perturbations, and the few operations through which attacks use them.

Everything that depends on a norm is here and is tested here, once. ``per_row`` shapes are ``[B]``; perturbations,
gradients and rooms are ``[B, ...]``. Units are pixels in [0, 1].

The step to a hyperplane, ``to_plane``, solves  min ||d||_p  subject to  <w, d> = gap  and, in a room, low <= d <= high.
Its solutions are all of one form, d = clip(t * shape(w)): by the KKT conditions of the convex problem the coordinates
that do not touch the room are those of the free problem (Moosavi-Dezfooli et al. 2016, arXiv:1511.04599, eq. 8 and
section 3.3, has the free case), and one scale t >= 0 per row is left to find. L1 fills coordinates one after another.
"""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Protocol, TypeAlias, TypeGuard, final

import torch
from torch import Tensor

from brittle.devices import doubled, is_due
from brittle.errors import BrittleError, Unsupported, did_you_mean
from brittle.geometry import _l1
from brittle.geometry._lp_ball import project_lp
from brittle.geometry.box import Room

_TINY = torch.finfo(torch.float32).tiny
_HUGE = 1e30  # a step beyond every box, and finite: infinity times a zero gradient would be NaN
_NEWTON_STEPS = 50  # a bound for rows where rounding stalls; 2 or 3 are usual


class Norm(Protocol):
    """A norm on perturbations; the instances are ``L0, L1, L2, LINF`` and ``Lp(p)``."""

    @property
    def name(self) -> str:
        """``"l2"``, ``"linf"``, ``"l1.5"``."""

    @property
    def dual(self) -> "Norm":
        """The norm ``||w||_* = max <w, v>`` over the unit ball."""

    def measure(self, delta: Tensor) -> Tensor:
        """``||delta||`` of each row, ``[B]``."""

    def steepest(self, gradient: Tensor) -> Tensor:
        """The unit-norm step with the largest ``<gradient, step>``; zero rows stay zero."""

    def project(self, delta: Tensor, radius: float | Tensor) -> Tensor:
        """The nearest point (Euclidean) of the ball of ``radius`` (a number or ``[B]``); inside, unchanged."""

    def to_plane(self, gap: Tensor, w: Tensor, room: Room | None = None, enough: Tensor | None = None) -> Tensor:
        """The smallest step with ``<w, step> = gap`` (``gap`` ``[B]``, >= 0), inside ``room``.

        Where the room is too small to reach the plane, the step goes as near as it can. Zero ``w`` gives a zero step.
        enough: ``[B]``, at most gap: where the step for no room, clipped, still has ``<w, step> >= enough``, that is
        the step. For callers who aim beyond what they need, and lose nothing if the room takes a little of it away.
        """

    def approach(self, delta: Tensor, gap: Tensor, w: Tensor, room: Room, pace: float) -> Tensor:
        """From ``delta`` a part of the way to ``to_plane(gap, w, room)``, for planes that change as delta moves.

        pace: in (0, 1]. In L2, L-infinity and Lp the way is straight and pace is the part of it. In L1, where solutions
        jump from pixel to pixel, it is a proximal step onto the plane, ``argmin ||e||_1 + ||e - delta||^2 / (2 t)`` of
        its points, with t = pace / 3 times the plane's distance. Where the plane stays, so does ``to_plane``.
        """


NormLike: TypeAlias = Norm | str | float
"""A norm, its name, or its number: 2 and ``float("inf")`` are L2 and L-infinity."""


def norm_named(name: str) -> Norm:
    """The norm called ``l0``, ``l1``, ``l2``, ``linf``, or ``lP`` for a number P >= 1, such as ``l1.5``.

    ``2``, ``inf``, ``Linf`` and ``L_inf`` mean what everyone means.
    """
    named: dict[str, Norm] = {norm.name: norm for norm in (L0, L1, L2, LINF)}
    text = name.strip().lower().replace("\u221e", "inf").removeprefix("l").removeprefix("_")
    try:
        p = float(text.replace("_", "?"))  # float would read "1_5" as 15
        return L0 if p == 0 else Lp(p)
    except ValueError:
        raise BrittleError(f"unknown norm {name!r}{did_you_mean(name, [*named, 'l1.5'])}") from None


def is_norm(value: object) -> TypeGuard[Norm]:
    """Whether a value has a norm's operations; asks its class, because L0's ``dual`` raises when it is looked at."""
    return hasattr(type(value), "to_plane")


def norm_of(norm: object) -> Norm:
    """The norm itself, or the one with that name or number; BrittleError for anything else."""
    if is_norm(norm):
        return norm
    if isinstance(norm, bool) or not isinstance(norm, str | Real):
        raise BrittleError(f"expected a norm as l0, l1, l2, linf, lP or a number, got {norm!r}")
    return norm_named(str(norm))


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """``[B]`` shaped to broadcast over ``[B, ...]``."""
    return values.reshape(-1, *[1] * (like.ndim - 1))


def each(value: float | Tensor, like: Tensor) -> Tensor:
    """A number, or ``[B]``, for each row, typed and placed as ``like``; a number is not copied to the device."""
    if isinstance(value, Tensor):
        return value.to(like).expand(len(like))
    return like.new_full((len(like),), value)


def inner(a: Tensor, b: Tensor) -> Tensor:
    """``<a, b>`` of each row, ``[B]``."""
    return (a * b).flatten(1).sum(1)


def _scale(gap: Tensor, w: Tensor, shape: Tensor, room: Room | None, enough: Tensor) -> Tensor:
    """``clip(t * shape, room)`` with the smallest t for which ``<w, .> = gap``, row by row; the free t if it is enough.

    h(t) = <w, clip(t * shape)> is concave, increasing and piecewise linear, so Newton's method started at the free
    solution approaches the root from below and ends after as many steps as there are kinks on the way: exact, and two
    or three steps in practice. Rows that are there (or can move no further) no longer change.
    """
    slope = inner(w, shape)
    t = torch.where(slope > 0, gap / slope.clamp_min(_TINY), 0).clamp_max(_HUGE)
    step = per_row(t, w) * shape
    if room is None:
        return step
    clipped = torch.clamp(step, room.low, room.high)
    gained = inner(w, clipped)
    short = gained < enough
    for turn in range(_NEWTON_STEPS):
        missing = gap - gained
        free = inner(w, shape * (clipped == step))
        open_rows = short & (missing > 1e-6 * gap) & (free > 0) & (t < _HUGE)
        if is_due(turn, _NEWTON_STEPS, w.device) and not open_rows.any():
            break
        t = torch.where(open_rows, t + missing / free.clamp_min(_TINY), t).clamp_max(_HUGE)
        step = per_row(t, w) * shape
        clipped = torch.clamp(step, room.low, room.high)
        gained = inner(w, clipped)
    return clipped


@final
@dataclass(frozen=True, slots=True)
class Lp:
    """``(sum |d|^p)^(1/p)`` for 1 < p < inf; 1 and inf give the limits by their own formulas."""

    p: float

    def __post_init__(self) -> None:
        if isinstance(self.p, bool) or not isinstance(self.p, Real):
            raise BrittleError(f"expected a norm lP with P as a number, got P = {self.p!r}")
        if not self.p >= 1:
            raise BrittleError(f"expected a norm lP with P >= 1, got P = {self.p:g}")

    @property
    def name(self) -> str:
        return "linf" if math.isinf(self.p) else f"l{self.p:g}"

    def __str__(self) -> str:
        return self.name

    @property
    def dual(self) -> Norm:
        if self.p == 1:
            return LINF
        return L1 if math.isinf(self.p) else Lp(self.p / (self.p - 1))

    def measure(self, delta: Tensor) -> Tensor:
        flat = delta.flatten(1)
        size: Tensor
        if self.p == 1 or math.isinf(self.p):
            size = torch.linalg.vector_norm(flat, ord=self.p, dim=1)
            return size
        # In units of the largest entry: powers of small or large entries would leave the range of float32.
        unit = flat.abs().amax(1)
        size = unit * torch.linalg.vector_norm(flat / per_row(unit.clamp_min(_TINY), flat), ord=self.p, dim=1)
        return size

    def _shape(self, w: Tensor) -> Tensor:
        """The direction of the free solution: ``sign(w) |w|^(1 / (p - 1))``, scaled against under- and overflow."""
        if self.p == 2:
            return w
        if math.isinf(self.p):
            return w.sign()
        largest = per_row(w.flatten(1).abs().amax(1), w).clamp_min(_TINY)
        relative = w.abs() / largest
        if self.p == 1:
            return _one_hot_largest(relative) * w.sign()
        return w.sign() * relative ** (1 / (self.p - 1))

    def steepest(self, gradient: Tensor) -> Tensor:
        if math.isinf(self.p):
            return gradient.sign()
        # Scaled by the largest entry first: the squares of a small gradient would underflow.
        largest = per_row(gradient.flatten(1).abs().amax(1), gradient)
        shape = self._shape(gradient / largest.clamp_min(_TINY))
        return shape / per_row(self.measure(shape).clamp_min(_TINY), shape)

    def project(self, delta: Tensor, radius: float | Tensor) -> Tensor:
        if math.isinf(self.p) and not isinstance(radius, Tensor):
            return delta.clamp(-radius, radius)  # in a seventh of the time that a bound for each row takes
        r = per_row(each(radius, delta), delta)
        if math.isinf(self.p):
            return torch.clamp(delta, -r, r)
        if self.p == 2:
            size = per_row(self.measure(delta), delta)
            return torch.where(size > r, delta * (r / size.clamp_min(_TINY)), delta)
        if self.p == 1:
            return _l1.project(delta, r)
        return project_lp(delta, r, self.p)

    def approach(self, delta: Tensor, gap: Tensor, w: Tensor, room: Room, pace: float) -> Tensor:
        if self.p == 1:
            distance = gap / LINF.measure(w).clamp_min(_TINY)
            return _l1.proximal(delta, gap, w, room, distance * (pace / 3))
        return torch.lerp(delta, self.to_plane(gap, w, room), pace)

    def to_plane(self, gap: Tensor, w: Tensor, room: Room | None = None, enough: Tensor | None = None) -> Tensor:
        if self.p == 1 and room is not None:
            return _l1.fill(gap, w, room)
        # In units of the largest entry, as in measure. For p < 2 the shape has powers of w that float32 cannot hold.
        largest = w.flatten(1).abs().amax(1).clamp_min(_TINY)
        wide = doubled if 1 < self.p < 2 else _same
        unit, limits = wide(w / per_row(largest, w)), room and Room(wide(room.low), wide(room.high))
        gap, enough = (wide(goal) / wide(largest) for goal in (gap, gap if enough is None else enough))
        return _scale(gap, unit, self._shape(unit), limits, enough).to(w)


def _same(values: Tensor) -> Tensor:
    return values


def _one_hot_largest(values: Tensor) -> Tensor:
    flat = values.flatten(1)
    return torch.zeros_like(flat).scatter_(1, flat.argmax(1, keepdim=True), 1.0).view_as(values)


@final
@dataclass(frozen=True, slots=True)
class PixelCount:
    """L0: the number of changed pixels, a pixel being all channels of one position (dimension 1 is the channel)."""

    @property
    def name(self) -> str:
        return "l0"

    def __str__(self) -> str:
        return self.name

    @property
    def dual(self) -> Norm:
        raise Unsupported("l0 is not a norm in the strict sense and has no dual; expected l1, l2, linf or lP")

    def measure(self, delta: Tensor) -> Tensor:
        return (delta != 0).flatten(2).any(1).sum(1).to(delta.dtype)

    def steepest(self, gradient: Tensor) -> Tensor:
        raise Unsupported("l0 has no steepest step, its ball is unbounded; expected l1, l2, linf or lP")

    def project(self, delta: Tensor, radius: float | Tensor) -> Tensor:
        """Keeps the ``floor(radius)`` pixels that changed most in L2 (the Euclidean projection); ties to the first."""
        size = delta.flatten(2).square().sum(1)
        rank = size.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        limit = each(radius, delta).unsqueeze(1)
        return delta * (rank < limit.floor()).view(len(delta), 1, *delta.shape[2:])

    def to_plane(self, gap: Tensor, w: Tensor, room: Room | None = None, enough: Tensor | None = None) -> Tensor:
        raise Unsupported("l0 has no smallest step to a plane in closed form; expected l1, l2, linf or lP")

    def approach(self, delta: Tensor, gap: Tensor, w: Tensor, room: Room, pace: float) -> Tensor:
        raise Unsupported("l0 has no smallest step to a plane in closed form; expected l1, l2, linf or lP")


L0: Norm = PixelCount()
L1: Norm = Lp(1.0)
L2: Norm = Lp(2.0)
LINF: Norm = Lp(math.inf)
