"""Analysis by synthesis: a decoder for each class, and the class whose own makes the image best."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, final

import torch
from torch import Tensor, nn

from brittle.models.company import rows_short
from brittle.types import Images, Logits

_RATE, _RADIUS = 0.2, 5.0
"""Of the search for a code: the first step, which falls to 0, and the farthest from the middle."""
_MEAN, _SQUARE = 0.9, 0.999
"""Of Adam (Kingma and Ba 2015): what stays of both means in a step."""


@final
class Synthesis(nn.Module):
    """One decoder for each class; a logit is how well it makes the image (Schott et al. 2018, arXiv:1805.09190).

    Images ``[B, C, H, W]`` of ``pixels`` values each -> logits ``[B, classes]``, each ``temperature * max_z bound(z)``
    with the decoder ``G`` of its class and ``bound(z) = -|x - G(z)|^2 - |z|^2 / 2``: that of the evidence, but for
    constants, where pixels have a variance of 1/2 and codes one of 1 (eq. 4 to 7). The maximum is looked for in each
    question anew: from the best of ``starts`` codes, which are always the same, by ``steps`` of Adam.

    At a maximum the bound does not change with the code. So the derivative of a logit in the image is that of the bound
    with its code held (the envelope theorem), and that is what is given: the search needs no graph. It is also the way
    from the image to what the decoder makes, which is where the paper's latent descent goes.

    hidden: sizes of a decoder's layers between code and pixels.
    """

    starts: Tensor

    def __init__(
        self, pixels: int, code: int, hidden: Sequence[int], *, starts: int, steps: int, classes: int = 10
    ) -> None:
        super().__init__()
        self.pixels, self.code, self.hidden, self.steps, self.classes = pixels, code, tuple(hidden), steps, classes
        self.decoders = nn.Sequential(*one_for_each(classes, code, *hidden, pixels), nn.Sigmoid())
        self.tempered = Tempered(classes)
        drawn = torch.randn(starts, code, generator=torch.Generator().manual_seed(0))
        self.register_buffer("starts", drawn * (_RADIUS / drawn.norm(dim=1, keepdim=True)).clamp_max(1))
        self._kept: tuple[list[tuple[int, int, torch.Size]], Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what is made of the starts, which is made again where it is needed."""
        return {**self.__dict__, "_kept": None}

    def extra_repr(self) -> str:
        return f"starts={len(self.starts)}, steps={self.steps}"

    def forward(self, images: Images) -> Logits:
        """Logits ``[B, classes]``."""
        pixels = images.flatten(1)
        short = rows_short(len(pixels))  # a row's search is the same in any batch
        pixels = torch.cat([pixels, pixels[-1:].expand(short, -1)]) if short else pixels
        logits: Logits = self.tempered(bounds_of(self.decoders, pixels, self.codes(pixels)))
        return logits[: len(images)]

    def codes(self, pixels: Tensor) -> Tensor:
        """The best codes that are found for pixels ``[B, pixels]``: ``[classes, B, code]``."""
        with torch.inference_mode(False):
            pixels = pixels.detach().clone()
            code = self._best_starts(pixels)
            mean, square = torch.zeros_like(code), torch.zeros_like(code)
            for step in range(self.steps):
                slope = self._slope(pixels, code)
                mean, square = mean.lerp(slope, 1 - _MEAN), square.lerp(slope.square(), 1 - _SQUARE)
                size = (square / (1 - _SQUARE ** (step + 1))).sqrt() + 1e-8
                rate = _RATE * (1 - step / self.steps) / (1 - _MEAN ** (step + 1))
                code = code + rate * mean / size
                code = code / (code.norm(dim=2, keepdim=True) / _RADIUS).clamp_min(1)
        return code

    def _slope(self, pixels: Tensor, code: Tensor) -> Tensor:
        """Of the bounds, in the codes."""
        with torch.enable_grad():
            leaf = code.clone().requires_grad_()
            # Not by autograd.grad, which what counts operations cannot follow into a leaf.
            torch.autograd.backward(bounds_of(self.decoders, pixels, leaf).sum(), inputs=[leaf])
        assert leaf.grad is not None
        return leaf.grad

    @torch.no_grad()
    def _best_starts(self, pixels: Tensor) -> Tensor:
        made = self._made()
        # -|x - G|^2 without the |x|^2 that all have, and without [classes, B, starts, pixels] in memory
        bounds = 2 * pixels @ made.mT - (made.square().sum(2) + self.starts.square().sum(1) / 2).unsqueeze(1)
        return self.starts[bounds.argmax(2)]

    def _made(self) -> Tensor:
        """What each decoder makes of the starts, ``[classes, starts, pixels]``; kept as long as no weight changes."""
        version = [(one.data_ptr(), one._version, one.shape) for one in (self.starts, *self.decoders.parameters())]
        if self._kept is None or self._kept[0] != version:
            self._kept = version, self.decoders(self.starts.expand(self.classes, -1, -1))
        return self._kept[1]


def bounds_of(decoders: nn.Module, pixels: Tensor, codes: Tensor) -> Tensor:
    """Pixels ``[B, pixels]`` and codes ``[classes, B, code]`` -> bounds ``[B, classes]``."""
    lost = (decoders(codes) - pixels).square().sum(2)
    bounds: Tensor = -(lost + codes.square().sum(2) / 2)
    return bounds.T


@final
class Tempered(nn.Module):
    """How much the bound of each class counts."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.temperatures = nn.Parameter(torch.ones(classes))

    def forward(self, bounds: Tensor) -> Logits:
        """Bounds ``[B, classes]`` -> logits ``[B, classes]``."""
        return self.temperatures * bounds


def one_for_each(classes: int, *sizes: int) -> nn.Sequential:
    """Dense layers of these sizes with ELUs between them, of every class its own: ``[classes, B, N]`` -> the same."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.ELU()] * bool(layers) + [OneForEach(classes, inputs, outputs)]
    return nn.Sequential(*layers)


@final
class OneForEach(nn.Module):
    """A linear layer for each class, with the first weights of ``nn.Linear``, in one product."""

    def __init__(self, classes: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(classes, 1, outputs))
        for one in (self.weight, self.bias):
            nn.init.uniform_(one, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))

    def forward(self, rows: Tensor) -> Tensor:
        """``[classes, B, inputs]`` -> ``[classes, B, outputs]``."""
        return torch.baddbmm(self.bias, rows, self.weight)
