"""How different two colours look: CIELAB, CIEDE2000, and the metric that CIEDE2000 is at small differences.

Sharma, Wu and Dalal 2005 means "The CIEDE2000 Color-Difference Formula: Implementation Notes, Supplementary Test Data,
and Mathematical Observations", Color Research & Application 30(1), doi:10.1002/col.20070.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from brittle.types import Images
from brittle.visibility._ciede2000 import (
    NO_HUE,
    Difference,
    blue_bend,
    hue_of,
    hue_wave,
    length,
    lightness_weight,
    saturation,
    stretch,
)

# Linear sRGB to XYZ over that of white (IEC 61966-2-1: primaries of ITU-R BT.709, white D65). Rows are divided by their
# sums, so that greys have a = b = 0 and not what seven printed digits make of it.
_PRIMARIES = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
_TO_XYZ = tuple(tuple(value / sum(row) for value in row) for row in _PRIMARIES)
_TO_LAB = ((0.0, 116.0, 0.0), (500.0, -500.0, 0.0), (0.0, 200.0, -200.0))  # of the cube roots; L is 16 less

# IEC 61966-2-1 says 0.04045; here are line and power equal to the last digit. No 8-bit value lies between.
_BEND = 0.0404482362771082
_KINK = 2.4 / 1.055 * ((_BEND + 0.055) / 1.055) ** 1.4 - 1 / 12.92  # by how much the power is steeper there
_JOIN = 6 / 29  # of CIE 15: the cube root ends where it is this, and a line goes on


def lab(images: Images) -> Tensor:
    """CIELAB under D65 of sRGB ``[N, 3, H, W]`` in [0, 1]: L* in [0, 100], a*, b*, in the images' type.

    IEC 61966-2-1 undoes the transfer curve, CIE 15:2004 (section 8.2.1) makes Lab. Differentiable once, with a finite
    slope everywhere, black included: both curves start with a line.
    """
    result: Tensor = _Lab.apply(images)
    return result


def ciede2000(lab1: Tensor, lab2: Tensor) -> Tensor:
    """CIEDE2000 ``[N, H, W]`` of two CIELAB ``[N, 3, H, W]``, with k_L = k_C = k_H = 1; 1 is about just visible.

    Sharma, Wu and Dalal 2005, equations 2 to 22. Symmetric. Differentiable once, in either colour, and the gradient is
    finite everywhere: zero at equal colours, where there is none, and one of many at a grey, which has no hue.
    """
    result: Tensor = Difference.apply(lab1, lab2)
    return result


def colour_frame(images: Images) -> Tensor:
    """K ``[N, 3, 3, H, W]``, for which ``|K d|`` is the CIEDE2000 of a small step d from sRGB ``[N, 3, H, W]``.

    Its rows give lightness, chroma with what the rotation term adds to it, and hue, each over its weight. The squared
    difference ``l^2 + c^2 + h^2 + R c h`` is ``l^2 + (c + R/2 h)^2 + (1 - R^2/4) h^2``; as |R| < 2, K has an inverse.
    Without a gradient.
    """
    with torch.no_grad():
        light, slope = _linear(images)
        root, root_slope = _cube_root(_mix(_TO_XYZ, light))
        to_xyz, to_lab = (torch.tensor(rows, dtype=images.dtype, device=images.device) for rows in (_TO_XYZ, _TO_LAB))
        jacobian = torch.einsum("ik,kj,nkhw,njhw->nijhw", to_lab, to_xyz, root_slope, slope)
        star, a, b = _mix(_TO_LAB, root).unbind(1)
        # Both colours of a pair share one G, that of their mean: it stretches the step and has no derivative in it.
        stretched = stretch(length(a, b)).value
        hue = hue_of(stretched * a, b)
        # Where there is no chroma every direction is as good: S_C = S_H = 1 and R_T = 0.
        grey = hue.chroma < NO_HUE
        cos, sin = hue.cos.masked_fill(grey, 1.0), hue.sin.masked_fill(grey, 0.0)
        half_turn = -saturation(hue.chroma).value * blue_bend(cos, sin).value
        by_light, by_a, by_b = jacobian.unbind(1)
        light = by_light / lightness_weight(star - 16).value.unsqueeze(1)
        by_a = by_a * stretched.unsqueeze(1)
        chroma_weight, hue_weight = 1 + 0.045 * hue.chroma, 1 + 0.015 * hue.chroma * hue_wave(cos, sin).value
        along = (cos / chroma_weight).unsqueeze(1) * by_a + (sin / chroma_weight).unsqueeze(1) * by_b
        across = (cos / hue_weight).unsqueeze(1) * by_b - (sin / hue_weight).unsqueeze(1) * by_a
        half_turn = half_turn.unsqueeze(1)
        return torch.stack((light, along + half_turn * across, (1 - half_turn.square()).sqrt() * across), 1)


def colour_metric(images: Images) -> Tensor:
    """G ``[N, 3, 3, H, W]`` of sRGB ``[N, 3, H, W]``, with ``CIEDE2000(x, x + d)^2 = d^T G d + o(|d|^2)``.

    Symmetric and positive definite as it comes, without a floor: over the whole cube no eigenvalue is below 2.5, nor
    below 1.6e-4 of the trace. See ``colour_frame``.
    """
    down = colour_frame(images).unbind(1)
    product = torch.zeros_like(images).unsqueeze(1).repeat(1, 3, 1, 1, 1)
    for row in down:
        product.addcmul_(row.unsqueeze(1), row.unsqueeze(2))
    return product


def inverse_metric(metric: Tensor) -> Tensor:
    """The inverse ``[N, 3, 3, H, W]`` of a metric, by cofactors; what it makes of a gradient is the steepest step."""
    first, second, third = metric.unbind(1)
    cofactors = [torch.linalg.cross(*pair, dim=1) for pair in ((second, third), (third, first), (first, second))]
    determinant: Tensor = (first * cofactors[0]).sum(1)
    return torch.stack(cofactors, 1) / determinant[:, None, None]


def small_difference(metric: Tensor, step: Tensor) -> Tensor:
    """``d^T G d``, the squared CIEDE2000 ``[N, H, W]`` of small steps d ``[N, 3, H, W]`` from where G was made.

    A twentieth of the work of ``ciede2000``, smooth where it has a cusp. Its root is half a percent off in the median
    and 4 in the 99th percentile, for two grey levels of noise on random colours. Differentiable once, in the step.
    """
    result: Tensor = _Quadratic.apply(metric, step)
    return result


class _Lab(torch.autograd.Function):
    """Slopes follow from the values, so the way back needs no powers: autograd would compute all of them again."""

    @staticmethod
    def forward(ctx: Any, images: Tensor) -> Tensor:
        light, slope = _linear(images)
        root, root_slope = _cube_root(_mix(_TO_XYZ, light))
        ctx.save_for_backward(slope, root_slope)
        result = _mix(_TO_LAB, root)
        result[:, 0] -= 16
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        slope, root_slope = ctx.saved_tensors
        back = _mix(tuple(zip(*_TO_LAB, strict=True)), gradient).mul_(root_slope)
        return _mix(tuple(zip(*_TO_XYZ, strict=True)), back).mul_(slope)


def _linear(images: Images) -> tuple[Tensor, Tensor]:
    """Linear light of sRGB, and its slope: a power 2.4 above a line."""
    base = images.clamp_min(_BEND).add_(0.055).div_(1.055)
    power = base.log().mul_(2.4).exp_()
    slope = power.div(base).mul_(2.4 / 1.055)
    slope.sub_((images < _BEND).to(images.dtype), alpha=_KINK)
    # Below the bend the power stays what it is there, and the line goes down from it.
    return power.add_(images.clamp_max(_BEND).sub_(_BEND).div_(12.92)), slope


def _cube_root(t: Tensor) -> tuple[Tensor, Tensor]:
    """The f(t) of CIE 15, and its slope: a cube root above (6/29)^3 and its tangent below."""
    base = t.clamp_min(_JOIN**3)
    root = base.log().div_(3).exp_()
    # Where the base was clamped its root is the join, and the slope there is the line's.
    slope = root.div(base).div_(3)
    return root.add_((t - base).mul_(1 / (3 * _JOIN**2))), slope


def _mix(matrix: tuple[tuple[float, ...], ...], channels: Tensor) -> Tensor:
    """Each pixel's three channels times a 3 x 3 matrix."""
    weights = torch.tensor(matrix, dtype=channels.dtype, device=channels.device)
    return (weights @ channels.flatten(2)).view_as(channels)


class _Quadratic(torch.autograd.Function):
    """Half of its gradient is made on the way to its value."""

    @staticmethod
    def forward(ctx: Any, metric: Tensor, step: Tensor) -> Tensor:
        pulled = metric[:, 0] * step[:, :1]
        pulled.addcmul_(metric[:, 1], step[:, 1:2]).addcmul_(metric[:, 2], step[:, 2:])
        ctx.save_for_backward(pulled)
        return (pulled * step).sum(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, ctx.saved_tensors[0] * (2 * gradient).unsqueeze(1)
