"""Pages of the documentation that are written from the registry."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, get_args, get_origin

import brittle.attacks
from brittle.catalog import ATTACKS, Entry, Kind, Method, is_attack, label_of
from brittle.geometry.norms import NormLike
from brittle.types import Access

_ = brittle.attacks  # imported for its registrations

_HEAD = """# Attacks

Every registered attack with its options, as `brittle attacks NAME` shows them. A *minimal* attack looks for the
smallest perturbation that makes the classifier wrong; a *budget* attack does what it can within `eps`. On the command
line an attack is `NAME[,option=value...]`, and `eps=0.01:0.02` makes one attack for each value; an option that holds
another attack has it in parentheses: `restarts,attack=pgd(eps=0.1)`. In Python it is a class with the same options:
`brittle.DeepFool(norm="linf")`. Costs are passes for one image, F forward and B backward.
`brittle.docs.attacks_markdown()` writes this page.

For just the answer take `minimal`: it is the strongest minimal attack for the norm that you name, at its recommended
settings.
"""

_ASKS: dict[Access, str] = {"gradient": "gradients", "score": "scores only", "decision": "decisions only"}
_NORMS = ("l0", "l1", "l2", "linf", "lp")


def attacks_markdown() -> str:
    """docs/attacks.md: which attack serves which norm, and then all of them in groups."""
    head, *rows = chooser()
    table = "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
    sections = [
        f"## {title}\n\n" + "\n".join(_section(entry) for entry in entries) for title, entries in groups().items()
    ]
    return "\n".join([_HEAD, table, "", *sections])


def groups() -> dict[str, list[Entry]]:
    """All attacks by kind and by what they ask the classifier for, in alphabetical order within a group."""
    wanted: dict[str, Callable[[Entry], bool]] = {
        f"{kind.capitalize()} attacks that ask for {asks}": partial(_is, kind=kind, access=access)
        for kind in get_args(Kind)
        for access, asks in _ASKS.items()
    }
    wanted["One perturbation for many images"] = lambda entry: entry.fits
    wanted["Wrappers around other attacks"] = lambda entry: entry.kind is None
    found = {title: [entry for entry in _ordered() if belongs(entry)] for title, belongs in wanted.items()}
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


def _ordered() -> list[Entry]:
    return [ATTACKS[name] for name in sorted(ATTACKS)]


def _is(entry: Entry, kind: Kind, access: Access) -> bool:
    return (entry.kind, entry.access, entry.fits) == (kind, access, False)


def facts(entry: Entry) -> str:
    """Kind, norms, goals, access, cost and paper of an attack, in one line."""
    norms, goals = ", ".join(entry.norms), " and ".join(entry.goals)
    if entry.kind is None:
        return f"kind, norm, goals and access of what it holds; cost {entry.cost}; {entry.paper}"
    many = "s" if len(entry.norms) > 1 else ""
    return f"{entry.kind}; norm{many} {norms}; {goals}; needs the {entry.access}; cost {entry.cost}; {entry.paper}"


def options(entry: Entry) -> list[tuple[str, str, str, str]]:
    """(name, type, default, help) of every option of an attack, as text."""
    return [(name, _type(hint), _text(default), help_) for name, (hint, default, help_) in entry.fields().items()]


def _section(entry: Entry) -> str:
    rows = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in options(entry))
    return (
        f"### {entry.name}\n\n{entry.summary}\n\n*{facts(entry)}; `brittle.{entry.attack.__name__}`*\n\n"
        f"| option | type | default | what it is |\n|---|---|---|---|\n{rows}"
    )


def _text(default: Any) -> str:
    if is_attack(default):
        return label_of(default)
    if isinstance(default, tuple):
        return " + ".join(map(_text, default))
    return f"{default:.4g}" if isinstance(default, float) else str(default).lower()


def _type(hint: Any) -> str:
    if hint == NormLike:
        return "norm"
    if hint is Method or Method in get_args(hint):
        return "attack" if hint is Method else "attacks"
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    kinds = [part.__name__ for part in get_args(hint) if part is not type(None)]
    return " or ".join(kinds) if kinds else str(hint.__name__)
