"""Sweeps: budget attacks of a run that differ in nothing but their budget, and belong on one curve."""

import re
from dataclasses import dataclass
from typing import final

from brittle.records import AttackSpec, View
from brittle.text import size

_BUDGET = re.compile(r"\(eps=[^,)]*(, )?")  # which a label has first


@final
@dataclass(frozen=True, slots=True)
class Family:
    """One attack, or one budget attack at several budgets, smallest first; ``title`` names the whole."""

    title: str
    attacks: tuple[AttackSpec, ...]


def families(view: View) -> list[Family]:
    """The attacks of a run with sweeps gathered, in order of first appearance."""
    gathered: dict[str, list[AttackSpec]] = {}
    for spec in view.attacks:
        gathered.setdefault(_but_for_budget(spec), []).append(spec)
    return [_family(specs) for specs in gathered.values()]


def _but_for_budget(spec: AttackSpec) -> str:
    if spec.eps is None or "eps" not in spec.config:
        return spec.label
    return f"{spec.name} {sorted((key, repr(value)) for key, value in spec.config.items() if key != 'eps')}"


def _family(specs: list[AttackSpec]) -> Family:
    if len(specs) == 1:
        return Family(specs[0].label, (specs[0],))
    ordered = tuple(sorted(specs, key=lambda spec: spec.eps or 0.0))
    low, high = (size(ordered[end].eps or 0.0) for end in (0, -1))
    stem = _BUDGET.sub("(", ordered[0].label, count=1).removesuffix("()")
    return Family(f"{stem}, {len(ordered)} eps from {low} to {high}", ordered)
