"""What there is, and how to name it."""

from brittle.catalog.attacks import (
    ATTACKS,
    FITTERS,
    AttackEntry,
    FitterEntry,
    Kind,
    Method,
    Traits,
    attacks_from,
    entry_of,
    held_by,
    is_attack,
    refuse_goal,
    register,
    register_fitter,
    traits_of,
)
from brittle.catalog.options import Option, option, options_of
from brittle.catalog.registry import Entry, Registry, config_of, label_of, listed, register_in

__all__ = [
    "ATTACKS",
    "FITTERS",
    "AttackEntry",
    "Entry",
    "FitterEntry",
    "Kind",
    "Method",
    "Option",
    "Registry",
    "Traits",
    "attacks_from",
    "config_of",
    "entry_of",
    "held_by",
    "is_attack",
    "label_of",
    "listed",
    "option",
    "options_of",
    "refuse_goal",
    "register",
    "register_fitter",
    "register_in",
    "traits_of",
]
