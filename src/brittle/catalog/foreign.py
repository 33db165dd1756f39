"""Foreign names: what other libraries and papers call an attack or an option.

None of them is a second name of ours: they make a message that says the right one, and docs/names.md.
"""

import re
from collections.abc import Collection, Mapping

from brittle.catalog.foreign_attacks import ATTACKS_THERE
from brittle.catalog.foreign_options import OPTIONS_THERE, Option


def attack_here(name: str) -> str | None:
    """What to say of a name that another library, or a paper, has for an attack; None for any other."""
    found = _ATTACKS.get(_bare(name))
    if found is None:
        return None
    return f"here it is {found.here} ({found.why})" if found.here else f"there is none here: {found.why}"


def option_here(name: str, mine: Collection[str], others: Mapping[str, Collection[str]]) -> str | None:
    """What to say of an option that others have; None for any other.

    mine: the options of the attack that was to have it. others: those of each attack that there is, by its name.
    """
    found = _OPTIONS.get(_bare(name), Option(name, name))
    known = found.here.split()
    ours = next((one for one in known if one in mine), None)
    if ours is not None:
        return f"{ours} is what you mean"
    if found.why:
        return found.why
    having = sorted(attack for attack, options in others.items() if known[0] in options)
    return f"it has {', '.join(sorted(mine))}; {known[0]} belongs to {', '.join(having)}" if having else None


def _bare(name: str) -> str:
    """A name without what spellings differ in: ``"Boundary-Attack"`` -> ``"boundary"``."""
    return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("attack")


_ATTACKS = {
    _bare(name): row
    for row in reversed(ATTACKS_THERE)  # of a name that stands in several rows the first counts
    for name in (*row.field.split(), *(one for names in row.by_library.values() for one in names))
}
_OPTIONS = {_bare(name): row for row in reversed(OPTIONS_THERE) for name in row.there.split()}
