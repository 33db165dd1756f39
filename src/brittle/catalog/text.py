"""Attacks from text, as typed on a command line: ``pgd,norm=l2,eps=0.1:0.2`` or ``restarts(attack=pgd(eps=0.1))``."""

from collections.abc import Mapping
from types import NoneType
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from brittle.catalog.registry import ATTACKS, Method, is_attack
from brittle.errors import BrittleError, did_you_mean
from brittle.geometry.norms import NormLike, is_norm, norm_of


def build(name: str, values: Mapping[str, Any]) -> Any:
    """An attack from its registered name and field values, which may be text as typed (``"8/255"``, ``"linf"``)."""
    entry = ATTACKS.get(name)
    if entry is None:
        raise BrittleError(f"unknown attack {name!r}{did_you_mean(name, ATTACKS)}")
    fields = entry.fields()
    for key in values:
        if key not in fields:
            raise BrittleError(f"attack {name!r} has no option {key!r}{did_you_mean(key, fields)}")
    return entry.attack(**{key: _parse(name, key, fields[key][0], value) for key, value in values.items()})


def attacks_from(text: str) -> list[Any]:
    """Attacks from CLI text: ``NAME[,field=value...]`` or, as labels are written, ``NAME(field=value, ...)``.

    ``eps=0.01:0.02`` sweeps: one attack for each value. A field that holds an attack has one in parentheses as its
    value, ``attack=pgd(eps=0.1)``, and one that holds several joins them: ``attacks=deepfool + fmn(steps=50)``.
    """
    name, *pairs = _split(_opened(text), ",")
    sweeps: list[dict[str, str]] = [{}]
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key or not value:
            raise BrittleError(f"expected field=value after the attack's name, got {pair!r} in {text!r}")
        if key in sweeps[0]:
            raise BrittleError(f"option {key!r} is given twice in {text!r}")
        sweeps = [{**sweep, key: one} for sweep in sweeps for one in _split(value, ":")]
    return [build(name, sweep) for sweep in sweeps]


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


def _split(text: str, separator: str) -> list[str]:
    """The parts between separators that are not within parentheses."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == separator and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def _parse(name: str, key: str, hint: Any, value: Any) -> Any:
    if hint == NormLike:
        return norm_of(value if is_norm(value) else str(value))
    if hint is Method:
        return value if is_attack(value) else _only(name, key, str(value))
    if Method in get_args(hint):
        return value if isinstance(value, tuple) else tuple(_only(name, key, one) for one in _split(str(value), "+"))
    if isinstance(value, str):
        if value.strip().lower() == "none" and NoneType in get_args(hint):
            return None
        value = _quotient(value)
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise BrittleError(f"option {key!r} of attack {name!r}: got {value!r}; {reason}") from None


def _only(name: str, key: str, text: str) -> Any:
    """The one attack that a text names, within another's options."""
    attacks = attacks_from(text)
    if len(attacks) > 1:
        raise BrittleError(f"option {key!r} of attack {name!r} holds one attack, not a sweep; got {text!r}")
    return attacks[0]


def _quotient(text: str) -> float | str:
    """``"8/255"`` as a number; any other text as it is."""
    above, slash, below = text.partition("/")
    try:
        return float(above) / float(below) if slash else text
    except (ValueError, ZeroDivisionError):
        return text
