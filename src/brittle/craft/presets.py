"""Which attack crafts: a registered one with its settings, or a preset by name."""

import dataclasses
from typing import Any

from brittle.catalog import attacks_from
from brittle.types import BrittleError

PRESETS = {
    "notes-v1": "penalised,optimiser=sgd,lr=0.1,weight=1,penalty=l2,space=pixels,steps=100",
    "notes-v2": "penalised,optimiser=sgd,lr=1,weight=30,penalty=l2,space=pixels,steps=100",
}
"""The two runs that this tool set out from: the first left visible traces, the second stopped short of being sure."""


def crafting_attack(text: str, confidence: float) -> Any:
    """The attack that a text names, aiming at this confidence if it can aim at one."""
    if not 0 < confidence < 1:
        raise BrittleError(f"expected a confidence between 0 and 1, got {confidence:g}")
    attacks = attacks_from(PRESETS.get(text, text))
    if len(attacks) > 1:
        raise BrittleError(f"expected one attack to craft with, not a sweep; got {text!r}")
    (attack,) = attacks
    fields = {field.name for field in dataclasses.fields(attack)}
    return dataclasses.replace(attack, confidence=confidence) if "confidence" in fields else attack
