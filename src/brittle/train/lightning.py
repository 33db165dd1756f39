"""Lightning's Fabric, which does what is hard about devices, precision and several processes."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from brittle.errors import BrittleError
from brittle.types import Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_PRECISIONS = {"fp32": "32-true", "bf16": "bf16-mixed"}
_SAYS = ("lightning_fabric", "lightning.fabric", "lightning_utilities")


def fabric_of(precision: Precision, device: str, devices: int = 1) -> "Fabric":
    """One or several devices of a kind. Raises BrittleError where Lightning is missing."""
    try:
        from lightning_fabric import Fabric
    except ImportError:
        raise BrittleError("training needs Lightning, which is not installed: pip install 'brittle[train]'") from None
    with quiet():
        return Fabric(
            accelerator=device,
            devices=devices,
            strategy="auto" if devices == 1 else "ddp_spawn",
            precision=_PRECISIONS[precision],  # type: ignore[arg-type]
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Without remarks on settings that were chosen here."""
    loggers = [logging.getLogger(name) for name in _SAYS]
    levels = [one.level for one in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning_fabric")
        for one in loggers:
            one.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for one, level in zip(loggers, levels, strict=True):
                one.setLevel(level)
