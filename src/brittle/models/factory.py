"""``python:package.module:factory``: the user's own classifier, the one case in which code is imported by name."""

import difflib
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from torch import nn

from brittle.errors import BrittleError
from brittle.models.classifier import is_classifier

_FORM = "python:package.module:factory"


def made_by(target: str) -> object:
    """What ``package.module:factory`` returns: a network, a fitted estimator or a Classifier (each may also stand there
    itself).

    The working directory is importable meanwhile. Whatever goes wrong in the user's code is quoted in a BrittleError.
    """
    module_name, _, attribute = target.partition(":")
    if not module_name or not attribute or ":" in attribute:
        raise BrittleError(f"expected {_FORM}, got 'python:{target}'")
    with _working_directory_importable():
        found = _attribute(_imported(module_name), attribute)
        made = found if _usable(found) else _called(found, target)
    if _usable(made):
        return made
    raise BrittleError(
        f"expected python:{target} to return a torch.nn.Module, a fitted estimator or a classifier of brittle, got"
        f" {type(made).__name__}"
    )


def _usable(made: object) -> bool:
    predicts = hasattr(made, "predict") and not isinstance(made, type)
    return isinstance(made, nn.Module) or is_classifier(made) or predicts


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            where = f"in {os.getcwd()} or among the installed packages"
            raise BrittleError(f"no module {missing!r} {where}; expected {_FORM}") from None
        raise BrittleError(f"importing {name} failed: the module {missing!r} it needs is not installed") from None
    except Exception as error:  # the user's code runs here: whatever it raises is quoted
        raise BrittleError(f"importing {name} failed: {_quoted(error)}") from None


def _attribute(module: ModuleType, name: str) -> object:
    if hasattr(module, name):
        found: object = getattr(module, name)
        return found
    near = difflib.get_close_matches(name, [known for known in dir(module) if not known.startswith("_")], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise BrittleError(f"module {module.__name__!r} has no {name!r}{hint}")


def _called(factory: object, target: str) -> object:
    if not callable(factory):
        raise BrittleError(
            f"expected python:{target} to be a function without arguments that returns the network, got"
            f" {type(factory).__name__}"
        )
    try:
        return factory()
    except Exception as error:  # the user's code again
        raise BrittleError(f"python:{target} raised {_quoted(error)}") from None


def _quoted(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    here = os.getcwd()
    importlib.invalidate_caches()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:  # the user's code may have rearranged it
            sys.path.remove(here)
