"""bfloat16, for what can do with 8 bits of precision in less time: who multiplies it, and networks that do."""

import copy
from collections.abc import Iterator
from typing import final, get_args

import torch
from torch import nn

from brittle.checks import brief
from brittle.errors import BrittleError
from brittle.models.depthwise import depthwise_in_float32
from brittle.models.modes import evaluating
from brittle.types import Images, Precision

BFLOAT16 = torch.finfo(torch.bfloat16).eps


def quick_precision(device: str) -> Precision:
    """bf16 where the processor multiplies such numbers itself, in less time; elsewhere that would be slower."""
    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device != "cpu":
        return "fp32"
    return "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "fp32"


def checked_precision(precision: Precision, device: torch.device) -> Precision:
    """Itself; BrittleError for what is none, and for one with which the device would only take longer."""
    if precision not in get_args(Precision):
        raise BrittleError(f"expected precision as {' or '.join(get_args(Precision))}, got {brief(precision)}")
    if precision == "bf16" and quick_precision(device.type) != "bf16":
        raise BrittleError(
            f"expected precision fp32, as this {device.type} does not multiply bf16 itself, and would take longer with"
            " it, got bf16"
        )
    return precision


def in_bfloat16(net: nn.Module, folded: nn.Module | None) -> Iterator[nn.Module]:
    """Networks that do in bfloat16 what ``net`` does, the quicker first: the folded copy with weights of that type;
    and the folded copy, or else the network itself, with all that autocast knows in that type."""
    if folded is not None:
        yield Coarse(copy.deepcopy(folded).bfloat16(), autocast=False)
    yield Coarse(net if folded is None else folded, autocast=True)


@final
class Coarse(nn.Module):
    """A network in eval mode that multiplies bfloat16: by its weights' type, or by autocast, with which that which it
    computes more finely on purpose stays as it is."""

    def __init__(self, net: nn.Module, *, autocast: bool) -> None:
        super().__init__()
        self.net, self.autocast = net, autocast

    def forward(self, images: Images) -> object:
        casting = torch.autocast(images.device.type, torch.bfloat16, enabled=self.autocast)
        with evaluating(self.net), depthwise_in_float32([self.net]), casting:
            return self.net(images)
