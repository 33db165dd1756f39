"""Errors that tell the user what to do, and reasons to doubt a result. Nothing here waits for torch."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class BrittleError(Exception):
    """A mistake its user can mend: one line with what was expected, what was got and what to do."""


class Unsupported(BrittleError):
    """An attack was asked for a goal, norm or access that it cannot serve; raised before any work."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A reason to doubt a result. ``code`` is explained in docs/flags.md, ``message`` has the figures."""

    code: str
    message: str


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``"; did you mean 'deepfool'?"`` for a near miss, otherwise the list of known names."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(names)}"
