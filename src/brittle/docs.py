"""Pages of the documentation that are written from the registries."""

import brittle.attacks
from brittle.catalog import Registry
from brittle.catalog.describe import chooser, facts, groups, options
from brittle.catalog.registry import Listed
from brittle.visibility.penalties import PENALTIES
from brittle.visibility.spaces import SPACES

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


def attacks_markdown() -> str:
    """docs/attacks.md: which attack serves which norm, then all of them in groups, then spaces and penalties."""
    head, *rows = chooser()
    table = "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
    sections = [
        f"## {title}\n\n" + "\n".join(_section(entry) for entry in entries) for title, entries in groups().items()
    ]
    parts: dict[str, Registry[Listed]] = {"Spaces": SPACES, "Penalties": PENALTIES}  # type: ignore[dict-item]
    sections += [f"## {title}\n\n{_PARTS[title]}\n\n{_table_of(registry)}" for title, registry in parts.items()]
    return "\n".join([_HEAD, table, "", *sections])


_PARTS = {
    "Spaces": "Where `craft` and `penalised` may change a photograph; joined by `+` the last is the innermost.",
    "Penalties": "What being visible costs `penalised`.",
}


def _table_of(registry: Registry[Listed]) -> str:
    rows = [
        (entry.name, entry.summary, "; ".join(_option(*one) for one in options(entry))) for entry in registry.values()
    ]
    return "| name | what it is | options |\n|---|---|---|\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _option(name: str, expected: str, default: str, explanation: str) -> str:
    return f"{name} ({expected}; {default}): {explanation}"


def _section(entry: Listed) -> str:
    rows = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in options(entry))
    return (
        f"### {entry.name}\n\n{entry.summary}\n\n*{facts(entry)}; `brittle.attacks.{entry.type.__name__}`*\n\n"
        f"| option | what it may be | default | what it is |\n|---|---|---|---|\n{rows}"
    )
