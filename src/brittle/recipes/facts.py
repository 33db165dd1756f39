"""What the registry knows of each method, as quantities, so that a table of properties is judged as any other."""

from brittle.catalog import ATTACKS, FITTERS, traits_of
from brittle.catalog.attacks import AttackEntry, FitterEntry
from brittle.errors import BrittleError, did_you_mean
from brittle.measure.models import exactly
from brittle.measure.quantities import Quantities

REGISTRY = "registry"
"""What their names begin with, in the place of a step: ``registry/deepfool/targeted``."""


def facts() -> Quantities:
    """1 or 0 for each fact of each method.

    targeted: a class can be asked for. gradients, scores: the most that it asks the classifier for. minimal: it looks
    for the smallest change; otherwise it keeps to a given size. box: by default every pixel stays in [0, 1].
    many-images: one change for many images. l0 ...: its norm may be this. option:NAME: it has this one.
    """
    return Quantities({name: exactly(float(value)) for name, value in _facts().items()})


def check_fact(name: str, at: str) -> None:
    """Refuses ``METHOD/FACT`` that nothing is known of; at: where it is named."""
    method, _, fact = name.partition("/")
    known = {*ATTACKS, *FITTERS}
    if method not in known and "{" not in method:
        raise BrittleError(f"{at}: no method is called {method!r}{did_you_mean(method, known)}")
    mine = {one.split("/")[2] for one in _facts() if "{" in method or one.split("/")[1] == method}
    if fact not in mine and "{" not in fact:
        raise BrittleError(f"{at}: nothing is known as {fact!r} of {method}{did_you_mean(fact, mine)}")


def _facts() -> dict[str, bool]:
    found: dict[str, bool] = {}
    entries: list[AttackEntry | FitterEntry] = [*ATTACKS.values(), *FITTERS.values()]
    for entry in entries:
        fits, box = entry.name in FITTERS, entry.fields().get("box")
        kind = "budget" if fits else ATTACKS[entry.name].kind
        access = traits_of(entry.type()).access if fits else entry.access  # with the attack that it holds
        known = {
            "targeted": not fits and "targeted" in ATTACKS[entry.name].goals,
            "gradients": access == "gradient",
            "scores": access == "score",
            "minimal": kind == "minimal",
            "box": box is None or bool(box.default),
            "many-images": fits,
            **{norm: norm in entry.norms for norm in ("l0", "l1", "l2", "linf")},
            **{f"option:{option}": True for option in entry.fields()},
        }
        found |= {f"{REGISTRY}/{entry.name}/{fact}": value for fact, value in known.items()}
    return found
