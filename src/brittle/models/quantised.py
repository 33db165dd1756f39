"""Layers that compute with few bits: rounded as hardware would round them, with gradients that go straight through."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.errors import BrittleError


class Range(NamedTuple):
    """Between what values a layer's inputs are rounded, as numbers."""

    low: float
    high: float


def rounded(values: Tensor, low: Tensor, high: Tensor, bits: int) -> Tensor:
    """The nearest of ``2^bits`` levels that are evenly spaced from low to high.

    The gradient is that of the identity within the range, and 0 beyond it (straight-through: Bengio et al. 2013,
    arXiv:1308.3432; with a range, Hubara et al. 2016, arXiv:1602.02830).
    """
    most = (1 << bits) - 1
    step = ((high - low) / most).clamp_min(1e-12)
    inside = (values >= low) & (values <= high)
    nearest = values.detach().clamp(low, high)  # whose gradient would be halved at both ends
    exact = low + ((nearest - low) / step).round() * step
    return torch.where(inside, values + (exact - values.detach()), exact)


class _Rounding(nn.Module):
    """What both kinds of layer have beside their own: how their weights, and what they are given, are rounded.

    range: of the inputs; None: that of each batch, as in training. first: the layer sees the image, which has 8 bits
    already and is left as it is. told: what the ranges come from, which a fingerprint reads.
    """

    weight: Tensor
    bits: int
    weight_bits: int
    range: Range | None
    first: bool
    told: str

    def inputs(self, values: Tensor) -> Tensor:
        if self.first:
            return values
        least, most = values.detach().aminmax() if self.range is None else map(values.new_tensor, self.range)
        zero = least.new_zeros(())  # which padding is made of
        return rounded(values, least.minimum(zero), most.maximum(zero), self.bits)

    def weights(self) -> Tensor:
        """Rounded between the extremes of each output."""
        flat = self.weight.detach().flatten(1)
        shape = (-1, *(1 for _ in self.weight.shape[1:]))
        return rounded(self.weight, flat.amin(1).view(shape), flat.amax(1).view(shape), self.weight_bits)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, bits={self.bits}, weights={self.weight_bits}{self.told}"


class QuantisedConv2d(_Rounding, nn.Conv2d):
    """A convolution with rounded weights of rounded inputs."""

    def forward(self, values: Tensor) -> Tensor:
        convolved: Tensor = self._conv_forward(self.inputs(values), self.weights(), self.bias)
        return convolved


class QuantisedLinear(_Rounding, nn.Linear):
    """A linear layer with rounded weights of rounded inputs."""

    def forward(self, values: Tensor) -> Tensor:
        return functional.linear(self.inputs(values), self.weights(), self.bias)


_KINDS: Mapping[type[nn.Module], type[_Rounding]] = {nn.Conv2d: QuantisedConv2d, nn.Linear: QuantisedLinear}


def layers_to_quantise(net: nn.Module) -> dict[str, nn.Module]:
    """The convolutions and linear layers, by name, in order; BrittleError where there are none."""
    found = {name: one for name, one in net.named_modules() if name and type(one) in _KINDS}
    if not found:
        raise BrittleError(
            f"expected a network with layers that are torch.nn.Conv2d or Linear to quantise, got {type(net).__name__}"
        )
    return found


def quantise(
    net: nn.Module, bits: int, weight_bits: int, ranges: Mapping[str, Range] | None = None, told: str = ""
) -> None:
    """Makes the layers of a network compute with few bits. Names, weights and state dict stay as they are.

    ranges: of each layer's inputs, by its name; None: those of each batch.
    """
    known = layers_to_quantise(net)
    made = dict[int, nn.Module]()  # a layer that stands in two places stays one
    for place, (name, layer) in enumerate(known.items()):
        kind = _KINDS[type(layer)]
        quantised: Any = kind.__new__(kind)
        quantised.__dict__.update(layer.__dict__)
        quantised.bits, quantised.weight_bits, quantised.told = bits, weight_bits, told
        quantised.first, quantised.range = place == 0, None if ranges is None else ranges[name]
        made[id(layer)] = quantised
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if id(child) in made:
                setattr(parent, name, made[id(child)])


def orthogonality(net: nn.Module) -> Tensor:
    """``sum ||W^T W - I||^2`` over the layers, W with a column for each output, up to a constant.

    Of the two products that a matrix has with itself the smaller one is taken: their distances from the identity differ
    by how many more rows than columns there are, which no weight changes.
    """
    terms = []
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            rows = layer.weight.flatten(1)
            wide = rows.shape[0] <= rows.shape[1]
            product = rows @ rows.T if wide else rows.T @ rows
            terms.append((product - torch.eye(len(product), device=rows.device)).square().sum())
    return torch.stack(terms).sum()
