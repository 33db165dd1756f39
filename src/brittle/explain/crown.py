"""Certified radii: how far every image around one keeps its class, by bounds of the logits' differences."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from brittle.errors import Unsupported
from brittle.explain.chain import Chain

Ball = Literal["l2", "linf"]
Margins = Callable[["Chain", "Around", int], Tensor]

_STEPS = 14  # halvings: the radius is certified to 1 in 16,000 of where the search begins
_RELATIVE = 1e-6  # of the logits' differences, that a bound has to be above 0: far beyond rounding in float64


class Around(NamedTuple):
    """The images within ``eps`` of one ``[n]`` of pixels in [0, 1]; in L-infinity those of the box."""

    pixels: Tensor
    eps: float
    norm: Ball

    def bounds(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """The least and the largest of each of ``weight x + bias``, exactly."""
        if self.norm == "l2":
            centre, radius = self.pixels, self.eps * weight.norm(dim=1)
        else:
            low, high = (self.pixels - self.eps).clamp_min(0), (self.pixels + self.eps).clamp_max(1)
            centre, radius = (low + high) / 2, weight.abs() @ ((high - low) / 2)
        middle = weight @ centre + bias
        return middle - radius, middle + radius


def differences(chain: Chain, label: int) -> tuple[Tensor, Tensor]:
    """The last matrix and bias, as those of the label's logit minus each other one."""
    weight, bias = chain.weights[-1], chain.biases[-1]
    others = [row for row in range(len(bias)) if row != label]
    return weight[label] - weight[others], bias[label] - bias[others]


def ibp(chain: Chain, around: Around, label: int) -> Tensor:
    """Lower bounds of the differences by intervals, layer by layer (Gowal et al. 2018, arXiv:1810.12715)."""
    low, high = around.bounds(chain.weights[0], chain.biases[0])
    if len(chain.weights) == 1:
        return around.bounds(*differences(chain, label))[0]
    last = differences(chain, label)
    for number, activation in enumerate(chain.activations):
        weight, bias = last if number == len(chain.activations) - 1 else _affine(chain, number + 1)
        low, high = _interval(weight, bias, _curve(activation)(low), _curve(activation)(high))
    return low


def crown(chain: Chain, around: Around, label: int) -> Tensor:
    """Lower bounds of the differences by linear bounds that are led back to the pixels (Zhang et al. 2018,
    arXiv:1811.00866, with the lower line of slope 0 or 1 that loses less area; of ReLU networks).

    Units whose interval already tells their sign need no such bounds; intervals are the tighter of both.
    """
    if set(chain.activations) - {"relu"}:
        raise Unsupported(f"CROWN is for ReLU here, got {', '.join(sorted(set(chain.activations)))}")
    intervals = list[tuple[Tensor, Tensor]]()
    for number in range(len(chain.weights) - 1):
        weight, bias = _affine(chain, number)
        if number == 0:
            intervals.append(around.bounds(weight, bias))
            continue
        before = intervals[-1]
        low, high = _interval(weight, bias, before[0].relu(), before[1].relu())
        open_ = ((low < 0) & (high > 0)).nonzero().squeeze(1)
        if len(open_):
            sides = torch.cat([weight[open_], -weight[open_]]), torch.cat([bias[open_], -bias[open_]])
            below, above = _led_back(chain, around, number, *sides, intervals).view(2, -1)
            low[open_], high[open_] = torch.maximum(low[open_], below), torch.minimum(high[open_], -above)
        intervals.append((low, high))
    last = differences(chain, label)
    if not intervals:
        return around.bounds(*last)[0]
    return _led_back(chain, around, len(chain.weights) - 1, *last, intervals)


def certified_radius(margins: Margins, chain: Chain, pixels: Tensor, label: int, norm: Ball, start: float) -> float:
    """The largest radius at which all differences are proven positive, by halving from ``start``; 0 where none is.

    What is proven at a radius is proven at any smaller one, whether or not the bounds say so.
    """

    def is_certain(eps: float) -> bool:
        found = margins(chain, Around(pixels, eps, norm), label)
        scale = float(chain.biases[-1].abs().max() + chain.weights[-1].abs().max())
        return bool((found > _RELATIVE * scale).all())

    if is_certain(start):
        return start
    low, high = 0.0, start
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_certain(middle) else (low, middle)
    return low


def _led_back(
    chain: Chain,
    around: Around,
    number: int,
    weight: Tensor,
    bias: Tensor,
    intervals: list[tuple[Tensor, Tensor]],
) -> Tensor:
    """Lower bounds of ``weight a + bias``, of the activations a before the matrix of this number."""
    for layer in reversed(range(number)):
        low, high = intervals[layer]
        upper = torch.where(low >= 0, 1.0, torch.where(high <= 0, 0.0, high / (high - low).clamp_min(1e-300)))
        shift = torch.where((low < 0) & (high > 0), -upper * low, 0.0)
        lower = torch.where(low >= 0, 1.0, torch.where(high <= 0, 0.0, (high > -low).to(low)))
        up, down = weight.clamp_min(0), weight.clamp_max(0)
        bias = bias + down @ shift
        weight = up * lower + down * upper
        bias = bias + weight @ chain.biases[layer]
        weight = weight @ chain.weights[layer]
    return around.bounds(weight, bias)[0]


def _affine(chain: Chain, number: int) -> tuple[Tensor, Tensor]:
    return chain.weights[number], chain.biases[number]


def _interval(weight: Tensor, bias: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    middle, radius = weight @ ((low + high) / 2) + bias, weight.abs() @ ((high - low) / 2)
    return middle - radius, middle + radius


def _curve(activation: str) -> Callable[[Tensor], Tensor]:
    found: Callable[[Tensor], Tensor] = getattr(torch, activation)
    return found
