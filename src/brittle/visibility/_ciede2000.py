"""The pieces of CIEDE2000, each with its slope, and the difference with its gradient, worked out by hand.

Equations are those of Sharma, Wu and Dalal 2005 (doi:10.1002/col.20070). A hue is a unit vector here and not an angle:
the mean hue is the sum of two of them, which holds on either side of the full circle, and cosines of its multiples are
polynomials. By hand, because the way back through a hundred recorded operations takes several times as long.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

NO_HUE = 1e-9  # the chroma below which a colour is a grey
_TINY = 1e-30  # added to what a square root is taken of, so that one can divide by it
_DEGREE = math.pi / 180
_WAVES = ((-0.17, -30), (0.24, 0), (0.32, 6), (-0.20, -63))  # of T: size and shift by multiple of the hue


class Hue(NamedTuple):
    """C', and cosine and sine of h', both zero where there is no chroma (equations 6 and 7)."""

    chroma: Tensor
    cos: Tensor
    sin: Tensor


class Slope(NamedTuple):
    """A function's value, and its derivative."""

    value: Tensor
    slope: Tensor


class Difference(torch.autograd.Function):
    """CIEDE2000 ``[N, H, W]`` of two CIELAB images; its gradient is made along with it: they share most of the work."""

    @staticmethod
    def forward(ctx: Any, lab1: Tensor, lab2: Tensor) -> Tensor:
        terms = _terms(lab1, lab2)
        root = terms.squared.clamp_min(0).sqrt()
        needed = ctx.needs_input_grad
        if any(needed):
            # d sqrt(q) = dq / (2 sqrt(q)), and zero where the colours are equal.
            half = (0.5 * root / (root.square() + _TINY)).unsqueeze(1)
            gradients = _gradients(lab1, lab2, terms)
            ctx.save_for_backward(*[g.mul_(half) if need else None for g, need in zip(gradients, needed, strict=True)])
        return root

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return tuple(None if saved is None else gradient.unsqueeze(1) * saved for saved in ctx.saved_tensors)


class _Terms(NamedTuple):
    """What the difference and its gradient share; light, chroma and hue are the differences over their weights."""

    squared: Tensor
    light: Tensor
    chroma: Tensor
    hue: Tensor
    turn: Tensor  # R_T
    star1: Tensor  # C* and C'
    star2: Tensor
    first: Hue
    second: Hue
    root_chroma: Tensor  # sqrt(C'1 C'2)
    cos: Tensor  # of the mean hue, and of half the difference of hues
    sin: Tensor
    half_cos: Tensor
    stretch: Slope
    light_weight: Slope
    saturation: Slope
    wave: Slope
    bend: Slope


def _terms(lab1: Tensor, lab2: Tensor) -> _Terms:
    light1, a1, b1 = lab1.unbind(1)
    light2, a2, b2 = lab2.unbind(1)
    star1, star2 = length(a1, b1), length(a2, b2)
    stretched = stretch((star1 + star2) / 2)
    first, second = hue_of(stretched.value * a1, b1), hue_of(stretched.value * a2, b2)
    cos, sin = _mean_hue(first, second)
    size = length(cos, sin)
    # The sine of half the hue difference, equations 10 and 11, is that of the angle from the mean hue to the second.
    half_sin = (cos * second.sin - sin * second.cos) / size
    cos, sin = cos / size, sin / size
    mean_chroma = (first.chroma + second.chroma) / 2
    light_weight, saturated = lightness_weight((light1 + light2) / 2), saturation(mean_chroma)
    wave, bend = hue_wave(cos, sin), blue_bend(cos, sin)
    root_chroma = (first.chroma * second.chroma + _TINY).sqrt()
    light = (light2 - light1) / light_weight.value
    chroma = (second.chroma - first.chroma) / (1 + 0.045 * mean_chroma)
    hue = 2 * root_chroma * half_sin / (1 + 0.015 * mean_chroma * wave.value)
    turn = -2 * saturated.value * bend.value
    squared = light.square() + chroma.square() + hue * (hue + turn * chroma)
    kept = (star1, star2, first, second, root_chroma, cos, sin, size / 2)
    return _Terms(squared, light, chroma, hue, turn, *kept, stretched, light_weight, saturated, wave, bend)


def _gradients(lab1: Tensor, lab2: Tensor, t: _Terms) -> tuple[Tensor, Tensor]:
    """Of the squared difference, in both colours: by its terms, by chroma and hue, by a' and b, and at last by lab."""
    by_chroma, by_hue = 2 * t.chroma + t.turn * t.hue, 2 * t.hue + t.turn * t.chroma
    by_turn, hue_sized = t.chroma * t.hue, by_hue * t.hue
    mean = (t.first.chroma + t.second.chroma) / 2
    chroma_weight, hue_weight = 1 + 0.045 * mean, 1 + 0.015 * mean * t.wave.value

    by_chroma = by_chroma / chroma_weight
    waned = 0.015 * hue_sized / hue_weight
    by_mean_chroma = -0.045 * by_chroma * t.chroma - waned * t.wave.value
    by_mean_chroma -= 2 * by_turn * t.saturation.slope * t.bend.value
    by_mean_hue = -waned * mean * t.wave.slope - 2 * by_turn * t.saturation.value * t.bend.slope
    by_angle = by_hue * t.root_chroma * t.half_cos / hue_weight

    by_light = 2 * t.light / t.light_weight.value
    by_mean_light = by_light * t.light * t.light_weight.slope / 2

    made, by_stretch = [], torch.zeros_like(t.light)
    for sign, side, hue in ((-1, lab1, t.first), (1, lab2, t.second)):
        along = sign * by_chroma + (by_mean_chroma + hue_sized / hue.chroma) / 2
        across = (sign * by_angle + by_mean_hue / 2) / hue.chroma
        made.append([along * hue.cos - across * hue.sin, along * hue.sin + across * hue.cos])
        by_stretch += made[-1][0] * side[:, 1]
    by_stretch *= t.stretch.slope / 2
    gradients = []
    for sign, side, star, (by_a, by_b) in ((-1, lab1, t.star1, made[0]), (1, lab2, t.star2, made[1])):
        shared = by_stretch / star
        by_a, by_b = by_a * t.stretch.value + shared * side[:, 1], by_b + shared * side[:, 2]
        gradients.append(torch.stack((sign * by_light - by_mean_light, by_a, by_b), 1))
    return gradients[0], gradients[1]


def length(a: Tensor, b: Tensor) -> Tensor:
    """Of the vector (a, b), and never zero."""
    return (a * a + b * b).add_(_TINY).sqrt_()


def hue_of(a: Tensor, b: Tensor) -> Hue:
    """Of a' and b."""
    chroma = length(a, b)
    return Hue(chroma, a / chroma, b / chroma)


def stretch(mean_star: Tensor) -> Slope:
    """``1 + G``, which makes a' of a*, at a mean C* (equations 4 and 5)."""
    saturated = saturation(mean_star)
    return Slope(1.5 - 0.5 * saturated.value, -0.5 * saturated.slope)


def saturation(chroma: Tensor) -> Slope:
    """``sqrt(C^7 / (C^7 + 25^7))``; below a chroma of 0.01 as there, which is 1e-12."""
    chroma = chroma.clamp_min(0.01)
    squared = (7 * (chroma / 25).log()).sigmoid_()
    value = squared.sqrt()
    return Slope(value, 3.5 * value * (1 - squared) / chroma)


def lightness_weight(mean_light: Tensor) -> Slope:
    """S_L (equation 16)."""
    offset = mean_light - 50
    squared = offset.square()
    root = (20 + squared).sqrt()
    return Slope(1 + 0.015 * squared / root, 0.015 * offset * (40 + squared) / (root * (20 + squared)))


def hue_wave(cos: Tensor, sin: Tensor) -> Slope:
    """T, at a mean hue (equation 15)."""
    value, slope = torch.ones_like(cos), torch.zeros_like(cos)
    c, s = cos, sin
    for multiple, (size, shift) in enumerate(_WAVES, start=1):
        even, odd = size * math.cos(shift * _DEGREE), size * math.sin(shift * _DEGREE)
        value.add_(c, alpha=even).add_(s, alpha=-odd)
        slope.add_(s, alpha=-multiple * even).add_(c, alpha=-multiple * odd)
        c, s = c * cos - s * sin, s * cos + c * sin
    return Slope(value, slope)


def blue_bend(cos: Tensor, sin: Tensor) -> Slope:
    """The sine of twice delta theta, at a mean hue (equation 20): a bump around 275 degrees."""
    down, over = math.cos(275 * _DEGREE), math.sin(275 * _DEGREE)
    from_blue = torch.atan2(down * sin - over * cos, down * cos + over * sin) / (25 * _DEGREE)
    # Hues are in [0, 360): one a little above 0 is 275 degrees from blue, not 85.
    angle = 60 * _DEGREE * (-from_blue.square()).exp_() * (from_blue < 85 / 25)
    return Slope(angle.sin(), angle.cos() * angle * from_blue * (-2 / (25 * _DEGREE)))


def _mean_hue(first: Hue, second: Hue) -> tuple[Tensor, Tensor]:
    """Along the middle of the smaller arc between two hues (equation 14)."""
    cos, sin = first.cos + second.cos, first.sin + second.sin
    tied = 8 * torch.finfo(cos.dtype).eps
    size = cos.abs().add_(sin.abs())
    if cos.numel() and bool(size.amin() < tied):
        # Opposite: as angles in [0, 360) have it, a right angle onwards from the one that is below 180 degrees.
        opposite = (size < tied) & (first.chroma > NO_HUE)
        upper = (second.sin > 0) | ((second.sin == 0) & (second.cos > 0))
        cos = torch.where(opposite, torch.where(upper, -second.sin, -first.sin), cos)
        sin = torch.where(opposite, torch.where(upper, second.cos, first.cos), sin)
    return cos, sin
