"""Steps that round: what they round, and what a jump of it makes of the images behind."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, final

import torch
from torch import Tensor

from brittle.types import Images

Rounder: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""Values ``[B, ...]`` and the distances of their levels, which broadcast -> what stands in the values' place."""


def unrounded(values: Tensor, unit: Tensor) -> Tensor:
    """The values themselves: what stairs rise by on average, over many levels."""
    return values


@final
@dataclass(frozen=True, slots=True)
class Stairs:
    """A step that rounds once, by formulas: the gradient of a ``Front``, and more for attackers who count jumps.

    through: the step with any other rounding in place of its own; what it rounds is affine in the image. soft: the
    rounding that is differentiated where it is asked for a gradient. A unit is the distance of two levels.
    """

    through: Callable[[Images, Rounder], Images]
    soft: Rounder

    def __call__(self, images: Images) -> Images:
        return self.through(images, self.soft)

    def heights(self, images: Images) -> tuple[Tensor, Tensor]:
        """What is rounded, in units, ``[B, K]``, differentiable; and how long a unit is, of the same shape."""
        values, units = [], []

        def noted(height: Tensor, unit: Tensor) -> Tensor:
            values.append((height / unit).flatten(1))
            units.append(unit.expand_as(height).flatten(1))
            return height.detach()

        self.through(images, noted)
        return torch.cat(values, 1), torch.cat(units, 1)

    def gains(self, images: Images, gradient: Images) -> Tensor:
        """What a unit more of each of what is rounded gains, to first order, ``[B, K]``; gradient: behind the step."""
        whole: list[Tensor] = []

        def cut(height: Tensor, unit: Tensor) -> Tensor:
            whole.append((height.detach() / unit).round().requires_grad_())
            return whole[-1] * unit

        with torch.inference_mode(False), torch.enable_grad():
            made = self.through(images.detach().clone(), cut)
            pulled = torch.autograd.grad(made, whole, gradient)
        return torch.cat([one.flatten(1) for one in pulled], 1)
