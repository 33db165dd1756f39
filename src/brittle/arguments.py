"""What is typed on the command line, read; a mistake is answered with what was expected. torch waits."""

from collections.abc import Callable
from typing import Any

import typer


def at_least(least: int) -> Callable[[Any], int]:
    """Reads a whole number, and says what was expected and what was got."""

    def read(value: Any) -> int:
        text = str(value)
        if not text.removeprefix("-").isdecimal() or int(text) < least:
            raise typer.BadParameter(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return read


def numbers(option: str, text: str | None) -> list[float] | None:
    """``0.5,0.5,0.5``, or None where nothing was given."""
    from brittle.errors import BrittleError

    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise BrittleError(f"expected {option} as numbers such as 0.5,0.5,0.5, got {text!r}") from None


def batch_size_of(text: str) -> int | None:
    """A number, or None for auto."""
    from brittle.errors import BrittleError

    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise BrittleError(f"expected --batch-size as a number of at least 1, or auto, got {text!r}")
    return int(text)


def device_of(name: str) -> str:
    """The device itself: auto is a GPU where there is one."""
    import torch

    from brittle.errors import BrittleError

    if name not in ("auto", "cpu", "cuda"):
        raise BrittleError(f"expected --device auto, cpu or cuda, got {name!r}")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name
