"""Data of fewer classes: the first ones of other data."""

import dataclasses
import hashlib

from brittle.data.examples import Examples
from brittle.data.limit import chosen
from brittle.errors import BrittleError

FEW = "few:"


def parts_of(spec: str) -> tuple[int, str]:
    """``"few:2:digits"`` -> 2, ``"digits"``; BrittleError for what does not say how many, and of what."""
    count, colon, rest = spec.removeprefix(FEW).partition(":")
    if not (colon and rest and count.isdecimal() and int(count) >= 2):
        raise BrittleError(f"expected few:N:SPEC with at least 2 classes of other data, as few:2:digits, got {spec!r}")
    return int(count), rest


def first_classes(examples: Examples, count: int, limit: int | None) -> Examples:
    """Those of the first ``count`` classes; limit: so many of them. BrittleError where there are no more classes."""
    names = examples.class_names
    if examples.labels is None or names is None or len(names) < count:
        there = 0 if names is None else len(names)
        raise BrittleError(f"expected data of at least {count} classes with names, got {there} in {examples.source}")
    rows = (examples.labels < count).nonzero().squeeze(1)
    rows = rows[chosen(len(rows), limit)]
    ids = tuple(examples.ids[row] for row in rows.tolist())
    return dataclasses.replace(
        examples,
        ids=ids,
        labels=examples.labels[rows],
        class_names=names[:count],
        source=f"{examples.source}, the first {count} classes",
        fingerprint=hashlib.sha256("\0".join([f"{count} {examples.fingerprint}", *ids]).encode()).hexdigest(),
        read=lambda positions: examples.read(rows[list(positions)].tolist()),
    )
