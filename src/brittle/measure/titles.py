"""What attacks are called where people read: their labels with budgets as people say them."""

import re
from collections import Counter

from brittle.records import AttackSpec, View
from brittle.text import size

_EPS = re.compile(r"(?<![\w.])eps=([-+.\deE]+)")


def titles(view: View) -> dict[str, str]:
    """The title of every attack by its label: ``fgsm(eps=0.00784314)`` -> ``"fgsm(eps=2/255)"``.

    A budget is said where it is the default, too; no two attacks have one title.
    """
    made = {spec.label: title_of(spec) for spec in view.attacks}
    count = Counter(made.values())
    return {label: title if count[title] == 1 else label for label, title in made.items()}


def title_of(spec: AttackSpec, *, budget: bool = True) -> str:
    """The title of an attack; without its budget it is that of a whole sweep."""
    name, bracket, inside = spec.label.partition("(")
    if bracket and not inside.endswith(")"):
        return spec.label  # which no attack of ours has
    options = [one for one in _split(inside.removesuffix(")")) if one]
    if spec.eps is not None and "eps" in spec.config:  # and not in an attack that it holds
        options = [one for one in options if not one.startswith("eps=")]
        options = [f"eps={size(spec.eps)}", *options] if budget else options
    said = _EPS.sub(lambda found: f"eps={_said(found[1])}", ", ".join(options))
    return f"{name}({said})" if said else name


def _said(number: str) -> str:
    try:
        return size(float(number))
    except ValueError:
        return number


def _split(text: str) -> list[str]:
    """The options of a label; commas within parentheses belong to one."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
