"""A big number with a sentence below it."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class Figure:
    """``bar``, ``low`` and ``high`` in [0, 1] draw it as a length with its interval, ``interval`` says that."""

    title: str
    big: str
    text: str
    unit: str = ""
    bar: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""
