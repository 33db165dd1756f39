"""Text with ``{names}`` in it, and values that depend on the scale."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from brittle.recipes.format import SCALES
from brittle.text import size

_NAME = re.compile(r"\{(\w+)\}")


def at_scale(value: Any, scale: str) -> Any:
    """The value with every table of scales, ``{smoke = 1, cpu = 2}``, replaced by its entry; None where it has none."""
    if isinstance(value, dict):
        if value and set(value) <= set(SCALES):
            return value.get(scale)
        chosen = {key: at_scale(one, scale) for key, one in value.items()}
        return {key: one for key, one in chosen.items() if one is not None}
    return [at_scale(one, scale) for one in value] if isinstance(value, list) else value


def names_of(text: str) -> list[str]:
    """The names that a text has in braces."""
    return _NAME.findall(text)


def filled(text: str, values: Mapping[str, Any]) -> str:
    """The text with names replaced by values, numbers as labels have them; other names stay."""
    return _NAME.sub(lambda found: written(values[found[1]]) if found[1] in values else found[0], text)


def put_in(value: Any, values: Mapping[str, Any]) -> Any:
    """The same in everything that a table holds; a text that is one name alone becomes the value itself."""
    if isinstance(value, dict):
        return {key: put_in(one, values) for key, one in value.items()}
    if isinstance(value, list):
        return [put_in(one, values) for one in value]
    if not isinstance(value, str):
        return value
    alone = _NAME.fullmatch(value)
    return values[alone[1]] if alone and alone[1] in values else filled(value, values)


def written(value: Any) -> str:
    """A value as labels have it: ``0.05``, ``8/255``."""
    return size(value) if isinstance(value, float) else str(value)


def combined(over: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of the values of some variables."""
    for values in itertools.product(*over.values()):
        yield dict(zip(over, values, strict=True))


def constants(over: Mapping[str, Any], scale: str) -> dict[str, Any]:
    """Of variables those that have one value at a scale, and it."""
    chosen: dict[str, Sequence[Any]] = at_scale(dict(over), scale)
    return {name: values[0] for name, values in chosen.items() if len(values) == 1}
