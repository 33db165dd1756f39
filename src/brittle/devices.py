"""What differs between a CPU and an accelerator for those who write loops: what an answer costs, how wide numbers are.

A tensor on an accelerator is a promise. Whoever asks it for a number, or for the rows where a mask holds, waits until
all that the device was asked before is done, and then the device waits for what comes next. So loops keep what they
decide on the device, and ask now and then.
"""

import torch
from torch import Tensor

AT_ONCE = frozenset({"cpu"})
"""Types of device on which an answer costs nothing."""
EVERY = 4
"""Elsewhere, in one of so many steps a loop asks: which rows have nothing left to do, or whether any row goes on."""

WITHOUT_FLOAT64 = frozenset({"mps"})


def answers_at_once(device: torch.device) -> bool:
    """Whether a loop may ask as often as it likes."""
    return device.type in AT_ONCE


def is_due(step: int, steps: int, device: torch.device) -> bool:
    """Whether a loop of so many steps asks in this one; on a CPU in all, and everywhere in the last."""
    return answers_at_once(device) or step % EVERY == EVERY - 1 or step == steps - 1


def doubled(values: Tensor) -> Tensor:
    """In float64, where the device has that; else on the CPU. What comes of it goes back by ``.to(values)``."""
    return values.to("cpu" if values.device.type in WITHOUT_FLOAT64 else values.device, torch.float64)


def seed_draws(device: torch.device, seed: int) -> None:
    """What draws from torch's own generators on a device, as dropout does, begins anew.

    ``torch.manual_seed`` prepares accelerators that nobody uses as well: each call writes down for each of them where
    it was made, which takes a third of a small network's training step, and is kept.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
