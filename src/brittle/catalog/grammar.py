"""The one grammar of things in text: ``NAME,option=value``, ``NAME(option=value, ...)``, sums with +, sweeps with :."""

from typing import NamedTuple

from brittle.errors import BrittleError


class Call(NamedTuple):
    """One thing as written: its name, and its values as text, by option or in order."""

    name: str
    named: dict[str, str]
    in_order: tuple[str, ...] = ()


def calls_in(text: str, noun: str, *, in_order: bool = False) -> list[Call]:
    """What a text calls for: one thing, or with ``option=a:b`` one for each value of the sweep.

    noun: what messages call a thing. in_order: values may come without their options.
    """
    name, *pairs = split(_opened(text), ",")
    sweeps: list[dict[str, str]] = [{}]
    bare = []
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key, value = key.strip(), value.strip()
        if in_order and not equals and pair and not sweeps[0]:
            bare.append(pair)
            continue
        if not equals or not key or not value:
            raise BrittleError(f"expected field=value after the {noun}'s name, got {pair!r} in {text!r}")
        if key in sweeps[0]:
            raise BrittleError(f"option {key!r} is given twice in {text!r}")
        sweeps = [{**sweep, key: one} for sweep in sweeps for one in split(value, ":")]
    return [Call(name, sweep, tuple(bare)) for sweep in sweeps]


def split(text: str, separator: str) -> list[str]:
    """The parts between separators that are not within parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == separator and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def number_of(text: str) -> float:
    """``0.5`` or ``8/255``; ValueError or ZeroDivisionError for what is no number."""
    above, slash, below = text.partition("/")
    return float(above) / float(below) if slash else float(text)


def _opened(text: str) -> str:
    """``name(a=1, b=2)`` as ``name,a=1, b=2``; any other text as it is."""
    text, depth = text.strip(), 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            break
    if depth:
        raise BrittleError(f"expected as many closing as opening parentheses, got {text!r}")
    name, bracket, inside = text.partition("(")
    if not bracket or not inside.endswith(")") or "," in name:
        return text
    return f"{name},{inside[:-1]}" if inside[:-1].strip() else name
