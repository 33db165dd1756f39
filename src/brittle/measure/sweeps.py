"""Sweeps: budget attacks of a run that differ in nothing but their budget, and belong on one curve."""

from dataclasses import dataclass
from typing import final

from brittle.records import AttackSpec, View


@final
@dataclass(frozen=True, slots=True)
class Family:
    """One attack, or one budget attack at several budgets, smallest first; ``label`` names the whole."""

    label: str
    attacks: tuple[AttackSpec, ...]


def families(manifest: View) -> list[Family]:
    """The attacks of a run with sweeps gathered, in order of first appearance."""
    gathered: dict[str, list[AttackSpec]] = {}
    for spec in manifest.attacks:
        gathered.setdefault(_but_for_budget(spec), []).append(spec)
    return [_family(specs) for specs in gathered.values()]


def _but_for_budget(spec: AttackSpec) -> str:
    if spec.kind != "budget" or not isinstance(spec.config.get("eps"), (int, float)):
        return spec.label
    return f"{spec.name} {sorted((key, repr(value)) for key, value in spec.config.items() if key != 'eps')}"


def _family(specs: list[AttackSpec]) -> Family:
    if len(specs) == 1:
        return Family(specs[0].label, (specs[0],))
    ordered = tuple(sorted(specs, key=lambda spec: float(spec.config["eps"])))
    name, _, options = ordered[0].label.rstrip(")").partition("(")
    shared = ", ".join(one for one in options.split(", ") if not one.startswith("eps="))
    stem = f"{name}({shared})" if shared else name
    low, high = (ordered[end].config["eps"] for end in (0, -1))
    return Family(f"{stem}, {len(ordered)} eps from {low:.4g} to {high:.4g}", ordered)
