"""Sweeps: budget attacks of a run that differ in nothing but their budget, and belong on one curve."""

from dataclasses import dataclass
from typing import final

from brittle.measure.titles import title_of, titles
from brittle.records import AttackSpec, View
from brittle.text import size


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
    named = titles(view)
    return [_family(specs, named) for specs in gathered.values()]


def _but_for_budget(spec: AttackSpec) -> str:
    if spec.eps is None or "eps" not in spec.config:
        return spec.label
    return f"{spec.name} {sorted((key, repr(value)) for key, value in spec.config.items() if key != 'eps')}"


def _family(specs: list[AttackSpec], named: dict[str, str]) -> Family:
    if len(specs) == 1:
        return Family(named[specs[0].label], (specs[0],))
    ordered = tuple(sorted(specs, key=lambda spec: spec.eps or 0.0))
    low, high = (size(ordered[end].eps or 0.0) for end in (0, -1))
    stem = title_of(ordered[0], budget=False)
    return Family(f"{stem}, {len(ordered)} eps from {low} to {high}", ordered)
