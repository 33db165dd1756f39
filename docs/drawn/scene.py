"""Pictures by name. Whatever draws one puts itself here."""

from collections.abc import Callable
from typing import TypeAlias

from drawn.canvas import Canvas

Scene: TypeAlias = Callable[[], Canvas]

SCENES: dict[str, Scene] = {}


def scene(draw: Scene) -> Scene:
    """A picture that pages name as its function is called, with hyphens."""
    SCENES[draw.__name__.replace("_", "-")] = draw
    return draw
