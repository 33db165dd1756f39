"""Classes as people name them: by name or by index."""

import difflib
from collections.abc import Sequence

from brittle.errors import BrittleError


def class_of(wish: str, class_names: Sequence[str] | None, classes: int) -> int:
    """The class that a text names: its index, or its name in any case."""
    if wish.strip().isdigit():
        if int(wish) >= classes:
            raise BrittleError(f"expected a class index below {classes}, got {wish}")
        return int(wish)
    names = [name.casefold() for name in class_names or ()]
    found = [index for index, name in enumerate(names) if name == wish.strip().casefold()]
    if len(found) > 1:
        raise BrittleError(f"{wish!r} names {len(found)} classes; say which by its index: {', '.join(map(str, found))}")
    if not found:
        if class_names is None:
            raise BrittleError(f"this network's classes have no names; expected an index below {classes}, got {wish!r}")
        raise BrittleError(f"no class is called {wish!r}{_nearest(wish.strip().casefold(), names, class_names)}")
    return found[0]


def reject_of(reject: object, class_names: Sequence[str] | None) -> int:
    """The index of the class with which a network refuses to answer, of its name or index; of text, or a number."""
    text = str(reject)
    if not isinstance(reject, str | int) or (class_names is None and not text.isdigit()):
        known = "an index from 0" if class_names is None else "a class name or an index"
        raise BrittleError(f"expected the reject class as {known}, got {reject!r}")
    return int(text) if class_names is None else class_of(text, class_names, len(class_names))


def _nearest(wish: str, names: list[str], class_names: Sequence[str]) -> str:
    """The names that hold the wish, or else are spelt like it."""
    holding = [index for index, name in enumerate(names) if wish and wish in name]
    alike = [names.index(name) for name in difflib.get_close_matches(wish, names, n=3, cutoff=0.6)]
    shown = [repr(class_names[index]) for index in (holding or alike)[:5]]
    return f"; did you mean {' or '.join(shown)}?" if shown else f"; there are {len(names)}, also known by index"
