"""Pages of the documentation that are written from the registries."""

from collections.abc import Iterable

import brittle.attacks
from brittle.catalog import Registry
from brittle.catalog.describe import chooser, facts, groups, options
from brittle.catalog.foreign_attacks import ATTACKS_THERE, LIBRARIES
from brittle.catalog.foreign_options import OPTIONS_THERE
from brittle.catalog.registry import Listed
from brittle.defend import DEFENCES
from brittle.studies.levels import CUSTOMARY, LEVELS, LEVELS_IN_L0
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
    table = _rows(*head, of=map(tuple, rows)).rstrip()
    sections = [
        f"## {title}\n\n" + "\n".join(_section(entry, facts(entry)) for entry in entries)
        for title, entries in groups().items()
    ]
    parts: dict[str, Registry[Listed]] = {"Spaces": SPACES, "Penalties": PENALTIES}  # type: ignore[dict-item]
    sections += [f"## {title}\n\n{_PARTS[title]}\n\n{_table_of(registry)}" for title, registry in parts.items()]
    return "\n".join([_HEAD, table, "", _LEVELS, _levels(), *sections])


_LEVELS = """## Levels

Which attacks, for who does not want to choose: `brittle audit --level quick --norm linf --eps 8/255`, in a spec
`level = "quick"`, in Python `brittle.level("quick", norm="linf", eps=8 / 255)`, a list of attacks. An audit that names
no attack takes `standard`. Without `--norm` it is L-infinity and L2, and without `--eps` the budget, E below, is the
customary one. A level stands for its attacks: those are what a run and its spec have. docs/bench.md says how strong
each is.
"""


def _levels() -> str:
    rows = [
        (
            f"`{name}`",
            *(", ".join(f"`{one.format(norm='N', eps='E')}`" for one in of[name]) for of in (LEVELS, LEVELS_IN_L0)),
        )
        for name in LEVELS
    ]
    head, *budgets = CUSTOMARY[0]._fields, *CUSTOMARY
    return f"{_rows('level', 'in L-infinity, L2 and L1', 'in L0', of=rows)}\n{_rows(*head, of=budgets)}"


def _rows(*head: str, of: Iterable[tuple[str, ...]]) -> str:
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ["---"] * len(head), *of))


_PARTS = {
    "Spaces": "Where `craft` and `penalised` may change a photograph; joined by `+` the last is the innermost.",
    "Penalties": "What being visible costs `penalised`.",
}


def _table_of(registry: Registry[Listed]) -> str:
    rows = [
        (entry.name, entry.summary, "; ".join(_option(*one) for one in options(entry))) for entry in registry.values()
    ]
    return _rows("name", "what it is", "options", of=rows)


def _option(name: str, expected: str, default: str, explanation: str) -> str:
    return f"{name} ({expected}; {default}): {explanation}"


def _section(entry: Listed, said: str, home: str = "brittle.attacks") -> str:
    rows = "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in options(entry))
    return (
        f"### {entry.name}\n\n{entry.summary}\n\n*{said}; `{home}.{entry.type.__name__}`*\n\n"
        f"| option | what it may be | default | what it is |\n|---|---|---|---|\n{rows}"
    )


_DEFENCES = """# Defences

What stands between an image and a classifier's answer, as `brittle defences` shows it. On the command line a defence is
`--defence NAME[,option=value...]` beside any `--model`; several are met in the order given, and `quality=50:75` makes a
defended model for each value. In a spec it is `defences = ["jpeg"]` of a model, in Python
`defended(classifier, JPEG(quality=50))` of `brittle.defend`. The same image always gets the same answer: what is drawn
at random is a function of the seed and of the image. `brittle.docs.defences_markdown()` writes this page.

Some are *fitted on clean images*: `--defence-data SPEC` names them (`defence_data = "SPEC"` in a spec, `clean=` in
Python). They need no labels, and must not be those that are attacked. A detector rejects what it suspects by one class
more, which no untargeted attack succeeds with; `fpr` is the share of clean images that it may cost, and `fpr=0.01:0.05`
makes two.

An audit judges a defended model beside the bare one, and by the worst of all that attacks find who do not know of the
defence, who do, and who ask for no gradients. Below, *attacker* is what one who knows of it does.
"""


def defences_markdown() -> str:
    """docs/defences.md: every defence with its options, and what an attacker does about it."""
    return "\n".join(
        [_DEFENCES, *(_section(DEFENCES[name], DEFENCES[name].facts, "brittle.defend") for name in sorted(DEFENCES))]
    )


_NAMES = """# Names elsewhere, and here

What AutoAttack, torchattacks, foolbox, ART, adv_lib, CleverHans and papers call an attack or an option, and what it is
called here. `brittle audit --attack autoattack` and `brittle.PGD(alpha=2 / 255)` say the same. One thing has one name:
none of those is accepted as a second one.

A norm may be written as anybody does: `linf`, `Linf`, `inf`, `float("inf")` and `numpy.inf` are one, so are `l2`, `L2`
and `2`. Images are in [0, 1], and the network's mean and std are given to `brittle.Network`. Labels or a target are
given as the goal, the seed to the run: an attack is made of its options alone. `brittle.docs.names_markdown()` writes
this page.
"""


def names_markdown() -> str:
    """docs/names.md: the names of papers and of each library beside ours, then those of options."""
    tables = {"Papers": [(row.field.split(), row.here, row.why) for row in ATTACKS_THERE]}
    tables |= {one: [(row.by_library[one], row.here, row.why) for row in ATTACKS_THERE] for one in LIBRARIES}
    tables["Options"] = [(row.there.split(), row.here.replace(" ", "` or `"), row.why) for row in OPTIONS_THERE]
    return "\n".join([_NAMES, *(f"## {title}\n\n{_names_table(rows)}" for title, rows in tables.items())])


def _names_table(rows: list[tuple[list[str], str, str]]) -> str:
    named = [(", ".join(f"`{one}`" for one in names), here, why) for names, here, why in rows if names]
    return _rows("there", "here", "", of=[(names, f"`{here}`" if here else "none", why) for names, here, why in named])
