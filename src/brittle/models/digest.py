"""What a Python object is made of, as a digest: equal content, equal digest, in any process.

Not its pickle: that has other bytes after storing and loading, when a call has been counted inside, and wherever two
equal strings are one object.
"""

import functools
import hashlib
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from torch import Tensor

from brittle.errors import BrittleError

# What answers do not depend on: the mode of a module, which is always run in eval mode; how long a search has taken.
_NEUTRAL = {"training", "n_jobs", "verbose", "_sklearn_version", "cv_results_", "refit_time_"}
_PLAIN = (bool, int, float, complex, str, bytes, bytearray, np.generic, np.dtype)
_NAMED = (type, types.FunctionType, types.BuiltinFunctionType, np.ufunc)


def digest_of(value: object) -> bytes:
    """sha256 over numbers, texts, arrays, containers and whatever objects would be stored as.

    Where a random generator stands does not count. Raises BrittleError for an object that cannot be stored.
    """
    sha = hashlib.sha256()
    for part in _content(value, ()):
        sha.update(part)
    return sha.digest()


def _content(value: Any, above: tuple[int, ...]) -> Iterator[bytes]:
    """The parts of a value, in an order of their own; ``above``: the objects that this one is a part of."""
    if id(value) in above:
        return
    above = (*above, id(value))
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if value is None or isinstance(value, _PLAIN):
        yield f"{type(value).__name__} {value!r}\0".encode()
    elif isinstance(value, np.ndarray):
        yield from _array(value, above)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            if key not in _NEUTRAL:
                yield f"{key!r}\0".encode()
                yield from _content(value[key], above)
    elif isinstance(value, (set, frozenset)):
        yield from sorted(b"".join(_content(one, above)) for one in value)
    elif isinstance(value, (list, tuple)):
        yield f"{len(value)}\0".encode()
        for one in value:
            yield from _content(one, above)
    elif isinstance(value, functools.partial):
        yield from _content((value.func, value.args, value.keywords), above)
    elif isinstance(value, _NAMED):
        yield f"{getattr(value, '__module__', '')} {getattr(value, '__qualname__', value)}\0".encode()
        yield from _code(getattr(value, "__code__", None))
        yield from _content(_bound_by(value), above)
    elif not type(value).__module__.startswith("numpy.random"):
        yield f"{type(value).__module__} {type(value).__qualname__}\0".encode()
        yield from _state(value, above)


def _bound_by(function: Any) -> tuple[object, ...]:
    """What a function has of its own beside its code: defaults, and the values that it closes over."""
    closed = []
    for cell in getattr(function, "__closure__", None) or ():
        with suppress(ValueError):  # not filled yet
            closed.append(cell.cell_contents)
    return (getattr(function, "__defaults__", None), getattr(function, "__kwdefaults__", None), tuple(closed))


def _array(value: Any, above: tuple[int, ...]) -> Iterator[bytes]:
    yield f"{value.dtype.str} {value.shape}\0".encode()
    if value.dtype.names:  # field by field: between them there may be bytes that mean nothing
        for name in value.dtype.names:
            yield from _array(np.asarray(value[name]), above)
    elif value.dtype.hasobject:
        yield from _content(value.tolist(), above)
    else:
        yield np.ascontiguousarray(value).tobytes()


def _code(code: types.CodeType | None) -> Iterator[bytes]:
    """What a function does, constants and inner functions included."""
    if code is not None:
        yield code.co_code + f"{code.co_names}\0".encode()
        for constant in code.co_consts:
            yield from _code(constant) if isinstance(constant, types.CodeType) else (f"{constant!r}\0".encode(),)


def _state(value: Any, above: tuple[int, ...]) -> Iterator[bytes]:
    """What an object would be stored as. Of compiled ones that list their state, only the arrays: k-d trees count."""
    try:
        stored = value.__reduce_ex__(2)
    except Exception as error:  # whatever an object of the user's raises
        raise BrittleError(
            f"a {type(value).__name__} in what is to be attacked cannot be stored, so that nobody could tell it from"
            f" another ({type(error).__name__}: {' '.join(str(error).split())[:100]})"
        ) from None
    if isinstance(stored, str):  # the name of something global
        yield stored.encode()
        return
    made, given, state = (*stored, None)[:3]
    yield from _content(made, above)
    if isinstance(state, tuple) and not isinstance(state[0], Mapping | None):
        yield from _content([one for one in state if isinstance(one, np.ndarray)], above)
    else:
        yield from _content((given, state), above)
