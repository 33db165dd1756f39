"""What a caller hands over, checked: a wrong type is answered with what was expected. Nothing here waits for torch."""

import os
from collections.abc import Iterable
from numbers import Integral
from pathlib import Path
from typing import Any

from brittle.errors import BrittleError
from brittle.places import is_remote, place_of


def whole(name: str, value: Any, *, least: int) -> int:
    """A whole number of at least so much."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < least:
        raise BrittleError(f"expected {name} as a whole number of at least {least}, got {brief(value)}")
    return int(value)


def place(name: str, value: Any) -> Path:
    """A path, which may be text, and that an URL."""
    if not isinstance(value, str | os.PathLike) and not is_remote(value):
        raise BrittleError(f"expected {name} as a path, got {brief(value)}")
    return place_of(value)


def texts(name: str, value: Any) -> tuple[str, ...]:
    """Some texts; a single one is none, and neither is a mapping."""
    if isinstance(value, str | bytes | dict) or not isinstance(value, Iterable):
        raise BrittleError(f"expected {name} as a list of texts, got {brief(value)}")
    found = tuple(value)
    for one in found:
        if not isinstance(one, str):
            raise BrittleError(f"expected {name} as a list of texts, got {brief(one)} in it")
    return found


def distinct(values: list[Any]) -> list[Any]:
    """Each of them once; what is asked twice would count every image twice."""
    for one in values:
        if values.count(one) > 1:
            raise BrittleError(f"expected each once, got {brief(one)} {values.count(one)} times")
    return values


def text(name: str, value: Any, example: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise BrittleError(f"expected {name} as text such as {example!r}, got {brief(value)}")
    return value


def brief(value: object) -> str:
    """A value for a message in one line: what is long is told by its type."""
    said = repr(value)
    return said if len(said) <= 40 and "\n" not in said else f"a {type(value).__name__}"
