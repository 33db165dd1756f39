"""Class names: what the data calls class 3 need not be what the network calls class 3."""

import dataclasses
import difflib
import hashlib
import re
from collections.abc import Sequence
from itertools import islice

import torch

from brittle.data.examples import Examples
from brittle.errors import BrittleError
from brittle.text import counted


def in_classes_of(names: Sequence[str] | None, examples: Examples) -> Examples:
    """The examples with their labels counted as the network counts its classes.

    names: the network's class names by index, or None where unknown. Where both sides have names: if all of the data's
    are found among the network's, labels are mapped by name; otherwise, if there are as many, they keep their order,
    unless names that both have contradict it. A name is found regardless of case, with spaces, underscores and hyphens
    alike, and by any one of the synonyms in an ImageNet-style ``"tench, Tinca tinca"``. Mapped labels give the
    examples another fingerprint. Raises BrittleError where data and network cannot belong together.
    """
    if names is None or examples.class_names is None or examples.labels is None:
        return examples
    own = examples.class_names
    highest = int(examples.labels.max()) if len(examples.labels) else 0
    if highest >= len(own):
        raise BrittleError(
            f"expected labels from 0 to {len(own) - 1}, as the data names {counted(len(own), 'class')}, got {highest}"
        )
    found = _places(own, names)
    same_count = len(own) == len(names)
    moved = [(place, k) for k, place in enumerate(found) if place is not None and place != k]
    if same_count and not moved:
        return examples
    if None not in found:
        return _mapped(examples, [place for place in found if place is not None], names)
    unknown = own[found.index(None)]
    if same_count:
        place, k = moved[0]
        raise BrittleError(
            f"expected the data's classes in the network's order, got {own[k]!r} as class {k} of the data and class"
            f" {place} of the network, which has no {unknown!r}{_near(unknown, names)}; rename the data's classes"
        )
    raise BrittleError(
        f"expected classes that the network knows: the data has {len(own)} ({_some(own)}), the network {len(names)}"
        f" ({_some(names)}), among them no {unknown!r}{_near(unknown, names)}"
    )


def check_class_count(names: Sequence[str] | None, outputs: int, examples: Examples, reject: int | None = None) -> None:
    """Refuses labelled data with another number of classes than a network whose classes have no names to go by.

    reject: the output by which it refuses to answer, which may be one behind all classes of the data.
    """
    own = examples.class_names
    counts = (outputs, outputs - (reject == outputs - 1))
    if names is None and own is not None and examples.labels is not None and len(own) not in counts:
        raise BrittleError(
            f"expected data of {counted(outputs, 'class')}, as the network has outputs, got {len(own)}"
            f" ({_some(own)}); which"
            " outputs these are cannot be told: give the Classifier its class_names, and labels are matched by name"
        )


def _places(own: Sequence[str], names: Sequence[str]) -> list[int | None]:
    """For each of the data's classes the one place among the network's; None where there is none, or more than one."""
    whole: dict[str, set[int]] = {}
    part: dict[str, set[int]] = {}
    for index, name in enumerate(names):
        whole.setdefault(_plain(name), set()).add(index)
        for synonym in _synonyms(name):
            part.setdefault(synonym, set()).add(index)
    places: list[int | None] = []
    for name in own:
        at = whole.get(_plain(name)) or set().union(*(part.get(synonym, set()) for synonym in _synonyms(name)))
        places.append(next(iter(at)) if len(at) == 1 else None)
    return places


def _mapped(examples: Examples, places: list[int], names: Sequence[str]) -> Examples:
    labels = torch.tensor(places, dtype=torch.int64)[examples.labels]
    fingerprint = hashlib.sha256(f"{examples.fingerprint}\0{places}".encode()).hexdigest()
    return dataclasses.replace(examples, labels=labels, class_names=tuple(names), fingerprint=fingerprint)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _synonyms(name: str) -> list[str]:
    return [_plain(synonym) for synonym in name.split(",")]


def _near(name: str, names: Sequence[str]) -> str:
    plain = {synonym: known for known in names for synonym in _synonyms(known)}
    near = difflib.get_close_matches(_plain(name), plain, n=1)
    return f"; did you mean {plain[near[0]]!r}?" if near else ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(islice(names, 3)) + (", ..." if len(names) > 3 else "")
