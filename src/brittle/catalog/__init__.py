"""What there is, and how to name it."""

from brittle.catalog.registry import (
    ATTACKS,
    Entry,
    Kind,
    Method,
    Traits,
    config_of,
    entry_of,
    held_by,
    is_attack,
    label_of,
    option,
    register,
    traits_of,
)
from brittle.catalog.text import attacks_from, build

__all__ = [
    "ATTACKS",
    "Entry",
    "Kind",
    "Method",
    "Traits",
    "attacks_from",
    "build",
    "config_of",
    "entry_of",
    "held_by",
    "is_attack",
    "label_of",
    "option",
    "register",
    "traits_of",
]
