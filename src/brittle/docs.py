"""Pages of the documentation that are written from the registry."""

from typing import Any, get_args

import brittle.attacks
from brittle.catalog import ATTACKS, Entry
from brittle.geometry.norms import NormLike

_ = brittle.attacks  # imported for its registrations

_HEAD = """# Attacks

Every registered attack with its options, as `brittle attacks NAME` shows them. A *minimal* attack looks for the
smallest perturbation that makes the classifier wrong; a *budget* attack does what it can within `eps`. On the command
line an attack is `NAME[,option=value...]`, and `eps=0.01:0.02` makes one attack for each value; in Python it is a class
with the same options: `brittle.DeepFool(norm="linf")`. `brittle.docs.attacks_markdown()` writes this page.
"""


def attacks_markdown() -> str:
    """docs/attacks.md: all attacks, in alphabetical order."""
    return "\n".join([_HEAD, *(_section(ATTACKS[name]) for name in sorted(ATTACKS))])


def facts(entry: Entry) -> str:
    """Kind, norms, goals, access and paper of an attack, in one line."""
    norms, goals = ", ".join(entry.norms), " and ".join(entry.goals)
    return f"{entry.kind}; norms {norms}; {goals}; needs the {entry.access}; {entry.paper}"


def options(entry: Entry) -> list[tuple[str, str, str, str]]:
    """(name, type, default, help) of every option of an attack, as text."""
    return [(name, _type(hint), _text(default), help_) for name, (hint, default, help_) in entry.fields().items()]


def _section(entry: Entry) -> str:
    rows = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in options(entry))
    return (
        f"## {entry.name}\n\n{entry.summary}\n\n*{facts(entry)}; `brittle.{entry.attack.__name__}`*\n\n"
        f"| option | type | default | what it is |\n|---|---|---|---|\n{rows}"
    )


def _text(default: Any) -> str:
    return f"{default:.4g}" if isinstance(default, float) else str(default).lower()


def _type(hint: Any) -> str:
    if hint == NormLike:
        return "norm"
    kinds = [part.__name__ for part in get_args(hint) if part is not type(None)]
    return " or ".join(kinds) if kinds else str(hint.__name__)
