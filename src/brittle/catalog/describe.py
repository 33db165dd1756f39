"""What is registered, in words for a terminal and a page, and as a JSON schema."""

from collections.abc import Callable
from functools import partial
from typing import Any, get_args

from brittle.catalog.attacks import ATTACKS, FITTERS, AttackEntry, FitterEntry, Kind
from brittle.catalog.options import Option, options_of
from brittle.catalog.registry import Listed, is_listed, label_of
from brittle.types import Access

_ASKS: dict[Access, str] = {"gradient": "gradients", "score": "scores only", "decision": "decisions only"}
_NORMS = ("l0", "l1", "l2", "linf", "lp")
_JSON = {int: "integer", float: "number", bool: "boolean", str: "string"}


def groups() -> dict[str, list[AttackEntry | FitterEntry]]:
    """All attacks by kind and by what they ask the classifier for, in alphabetical order within a group; fitters."""
    wanted: dict[str, Callable[[AttackEntry], bool]] = {
        f"{kind.capitalize()} attacks that ask for {asks}": partial(_is, kind=kind, access=access)
        for kind in get_args(Kind)
        for access, asks in _ASKS.items()
    }
    wanted["Wrappers around other attacks"] = lambda entry: entry.kind == "wrapper"
    found: dict[str, list[AttackEntry | FitterEntry]] = {
        title: [entry for entry in _ordered() if belongs(entry)] for title, belongs in wanted.items()
    }
    found["Fitters: one perturbation for many images"] = [FITTERS[name] for name in sorted(FITTERS)]
    return {title: entries for title, entries in found.items() if entries}


def chooser() -> list[list[str]]:
    """A table of names: a row for each norm, a column for each kind of attack and what it asks for; headings first."""
    columns = [(kind, access) for kind in get_args(Kind) for access in _ASKS]
    table = [
        [
            norm,
            *(", ".join(entry.name for entry in _ordered() if norm in entry.norms and _is(entry, *c)) for c in columns),
        ]
        for norm in _NORMS
    ]
    used = [0, *(at for at in range(1, len(columns) + 1) if any(row[at] for row in table))]
    head = ["norm", *(f"{kind}, {_ASKS[access]}" for kind, access in columns)]
    return [[row[at] for at in used] for row in (head, *table)]


def _ordered() -> list[AttackEntry]:
    return [ATTACKS[name] for name in sorted(ATTACKS)]


def _is(entry: AttackEntry, kind: Kind, access: Access) -> bool:
    return (entry.kind, entry.access) == (kind, access)


def facts(entry: Listed) -> str:
    """What is declared about an attack or a fitter, in one line: kind, norms, goals, access, cost and paper."""
    if isinstance(entry, FitterEntry):
        return f"fitter; {_norms(entry.norms)}; untargeted; cost {entry.cost}; {entry.paper}"
    if not isinstance(entry, AttackEntry):
        return entry.paper
    if entry.kind == "wrapper":
        return f"kind, norm, goals and access of what it holds; cost {entry.cost}; {entry.paper}"
    said = [entry.kind, *([_norms(entry.norms)] if entry.norms else []), " and ".join(entry.goals)]
    return "; ".join([*said, f"needs the {entry.access}", f"cost {entry.cost}", entry.paper])


def _norms(names: tuple[str, ...]) -> str:
    return f"norm{'s' if len(names) > 1 else ''} {', '.join(names)}"


def options(entry: Listed) -> list[tuple[str, str, str, str]]:
    """(name, what it may be, default, help) of every option, as text."""
    return [(one.name, one.expected, _text(one), one.help) for one in options_of(entry.type).values()]


def _text(one: Option) -> str:
    return "needed" if one.required else _said(one.default)


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return " + ".join(map(_said, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    return label_of(value) if is_listed(value) else str(value)


def schema_of(entry: Listed) -> dict[str, Any]:
    """The JSON schema of a thing's options as a run's specification may give them; text stands for what it names."""
    options = options_of(entry.type)
    schema: dict[str, Any] = {
        "title": entry.name,
        "description": entry.summary,
        "type": "object",
        "properties": {name: _property(one) for name, one in options.items()},
        "additionalProperties": False,
    }
    required = [name for name, one in options.items() if one.required]
    return schema | ({"required": required} if required else {})


def _property(one: Option) -> dict[str, Any]:
    kind = _JSON.get(one.type, "string")
    bounds = {
        "minimum": one.at_least,
        "exclusiveMinimum": one.above,
        "maximum": one.at_most,
        "exclusiveMaximum": one.below,
    }
    said: dict[str, Any] = {"description": one.help, "type": [kind, "null"] if one.optional else kind}
    said |= {name: bound for name, bound in bounds.items() if bound is not None}
    if one.choices:
        said["enum"] = [*one.choices, *([None] if one.optional else [])]
    if one.is_norm:
        said["pattern"] = "|".join(r"l[0-9.]+" if norm == "lp" else norm for norm in one.norms)
    if not one.required:
        said["default"] = one.default if one.default is None or kind != "string" else _said(one.default)
    return said
