"""Where a classifier runs."""

import torch

from brittle.checks import brief
from brittle.errors import BrittleError


def usable(device: str | torch.device) -> torch.device:
    """The device of that name; BrittleError for a name that is none, and for a GPU where there is none."""
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError):
        raise BrittleError(f"expected a device such as cpu or cuda, got {brief(device)}") from None
    missing = {"cuda": torch.cuda, "mps": torch.backends.mps}.get(place.type)
    if missing is not None and not missing.is_available():
        raise BrittleError(f"the device {str(device)!r} is not available here; use cpu")
    return place
