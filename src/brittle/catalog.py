"""The registry: what there is. CLI options, docs, contract tests and report labels all come from it."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from brittle.geometry.norms import NormLike, is_norm, norm_of
from brittle.types import BrittleError, did_you_mean

Kind = Literal["budget", "minimal"]
Access = Literal["gradient", "score", "decision"]
C = TypeVar("C", bound=type)


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered attack: its class and what its author declares about it."""

    name: str
    attack: type
    paper: str
    kind: Kind
    norms: tuple[str, ...]
    goals: tuple[str, ...]
    access: Access
    cost: str
    summary: str

    def fields(self) -> dict[str, tuple[Any, Any, str]]:
        """Option name -> (type, default, help), straight from the dataclass."""
        hints = get_type_hints(self.attack)
        return {
            field.name: (hints[field.name], field.default, field.metadata.get("help", ""))
            for field in dataclasses.fields(self.attack)
        }


ATTACKS: dict[str, Entry] = {}


def register(
    name: str,
    *,
    paper: str,
    kind: Kind,
    norms: tuple[str, ...],
    goals: tuple[str, ...] = ("untargeted", "targeted"),
    access: Access = "gradient",
    cost: str,
) -> Callable[[C], C]:
    """Enrol an attack class: from here on it has a CLI name, a docs row, a report label and every law as a test.

    access: what it asks the classifier for: the gradient, the scores (logits or probabilities), or the decision alone.
    cost: passes for one image at the defaults, F forward and B backward, as in ``"steps * (F + B)"``.
    """

    def enrol(attack: C) -> C:
        if name in ATTACKS:
            raise ValueError(f"two attacks are called {name!r}: {ATTACKS[name].attack} and {attack}")
        summary = (attack.__doc__ or "").strip().split("\n")[0]
        ATTACKS[name] = Entry(name, attack, paper, kind, norms, goals, access, cost, summary)
        return attack

    return enrol


def option(default: Any, help: str) -> Any:  # noqa: A002 - the field's own word
    """A dataclass field with a default and the line of help that the CLI and the docs print."""
    return dataclasses.field(default=default, metadata={"help": help})


def entry_of(attack: object) -> Entry:
    """The registry entry of an attack instance; a ``BrittleError`` for anything else."""
    for entry in ATTACKS.values():
        if type(attack) is entry.attack:
            return entry
    raise BrittleError(f"expected a registered attack such as DeepFool(), got {attack!r}")


def config_of(attack: Any) -> dict[str, Any]:
    """Every field of an attack as plain JSON values, defaults included."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(attack):
        value = getattr(attack, field.name)
        plain[field.name] = value.name if is_norm(value) else value
    return plain


def label_of(attack: Any) -> str:
    """How records and reports call an attack: its name with the fields that differ from the defaults."""
    entry = entry_of(attack)
    defaults = config_of(entry.attack()) if _has_defaults(entry.attack) else {}
    changed = [f"{key}={_short(value)}" for key, value in config_of(attack).items() if defaults.get(key, ...) != value]
    return f"{entry.name}({', '.join(changed)})" if changed else entry.name


def _has_defaults(attack: type) -> bool:
    return all(field.default is not dataclasses.MISSING for field in dataclasses.fields(attack))


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


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
    """Attacks from CLI text: ``NAME[,field=value...]``; ``eps=0.01:0.02`` sweeps, one attack for each value."""
    name, *pairs = [part.strip() for part in text.split(",")]
    sweeps: list[dict[str, str]] = [{}]
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or not value:
            raise BrittleError(f"expected field=value after the attack's name, got {pair!r} in {text!r}")
        if key in sweeps[0]:
            raise BrittleError(f"option {key!r} is given twice in {text!r}")
        sweeps = [{**sweep, key: one} for sweep in sweeps for one in value.split(":")]
    return [build(name, sweep) for sweep in sweeps]


def _parse(name: str, key: str, hint: Any, value: Any) -> Any:
    if hint == NormLike:
        return norm_of(value if is_norm(value) else str(value))
    if isinstance(value, str):
        if value.strip().lower() == "none" and NoneType in get_args(hint):
            return None
        value = _quotient(value)
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise BrittleError(f"option {key!r} of attack {name!r}: got {value!r}; {reason}") from None


def _quotient(text: str) -> float | str:
    """``"8/255"`` as a number; any other text as it is."""
    above, slash, below = text.partition("/")
    try:
        return float(above) / float(below) if slash else text
    except (ValueError, ZeroDivisionError):
        return text
