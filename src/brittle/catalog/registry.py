"""The registry: what there is. CLI options, docs, contract tests and report labels all come from it."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, get_type_hints

from brittle.errors import BrittleError
from brittle.geometry.norms import Norm, is_norm, norm_named, norm_of
from brittle.types import Access

Kind = Literal["budget", "minimal"]
C = TypeVar("C", bound=type)

_MOST_FIRST: tuple[Access, ...] = ("gradient", "score", "decision")


class Method(Protocol):
    """The type of a field that holds another attack; ``tuple[Method, ...]`` holds several."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """One registered attack: its class and what its author declares about it.

    kind ``None``: a wrapper, which is of the kind of the attacks that it holds, in their norm and for their goals.
    minimises: what a minimal attack keeps small: "norm", or "visibility", of which its norm is only a report.
    looks: it claims what it has fooled; False where it never looks at what it has made.
    """

    name: str
    attack: type
    paper: str
    kind: Kind | None
    norms: tuple[str, ...]
    goals: tuple[str, ...]
    access: Access
    cost: str
    summary: str
    minimises: Literal["norm", "visibility"] = "norm"
    looks: bool = True

    def fields(self) -> dict[str, tuple[Any, Any, str]]:
        """Option name -> (type, default, help), straight from the dataclass."""
        hints = get_type_hints(self.attack)
        return {
            field.name: (hints[field.name], field.default, field.metadata.get("help", ""))
            for field in dataclasses.fields(self.attack)
        }

    @property
    def fits(self) -> bool:
        """Whether it makes one perturbation for many examples, with ``fit``, instead of attacking each."""
        return hasattr(self.attack, "fit")


class Traits(NamedTuple):
    """What one attack, with its settings, is and promises; a wrapper's come from the attacks that it holds.

    eps: of a budget attack. box: every pixel stays in [0, 1]. minimises, looks: as its entry says.
    """

    kind: Kind
    norm: Norm
    eps: float | None
    goals: tuple[str, ...]
    access: Access
    box: bool
    minimises: Literal["norm", "visibility"]
    looks: bool


ATTACKS: dict[str, Entry] = {}


def register(
    name: str,
    *,
    paper: str,
    kind: Kind | None,
    norms: tuple[str, ...],
    goals: tuple[str, ...] = ("untargeted", "targeted"),
    access: Access = "gradient",
    cost: str,
    minimises: Literal["norm", "visibility"] = "norm",
    looks: bool = True,
) -> Callable[[C], C]:
    """Enrol an attack class: from here on it has a CLI name, a docs row, a report label and every law as a test.

    access: what it asks the classifier for: the gradient, the scores (logits or probabilities), or the decision alone.
    cost: passes for one image at the defaults, F forward and B backward, as in ``"steps * (F + B)"``.
    """

    def enrol(attack: C) -> C:
        if name in ATTACKS:
            raise ValueError(f"two attacks are called {name!r}: {ATTACKS[name].attack} and {attack}")
        summary = (attack.__doc__ or "").strip().split("\n")[0]
        ATTACKS[name] = Entry(name, attack, paper, kind, norms, goals, access, cost, summary, minimises, looks)
        return attack

    return enrol


def option(default: Any, help: str) -> Any:  # noqa: A002 - the field's own word
    """A dataclass field with a default and the line of help that the CLI and the docs print."""
    return dataclasses.field(default=default, metadata={"help": help})


def is_attack(value: object) -> bool:
    """Whether a value is an instance of a registered attack."""
    return any(type(value) is entry.attack for entry in ATTACKS.values())


def entry_of(attack: object) -> Entry:
    """The registry entry of an attack instance; a ``BrittleError`` for anything else."""
    for entry in ATTACKS.values():
        if type(attack) is entry.attack:
            return entry
    raise BrittleError(f"expected a registered attack such as DeepFool(), got {attack!r}")


def held_by(attack: Any) -> list[Any]:
    """The attacks that the fields of an attack hold."""
    return [one for field in dataclasses.fields(attack) for one in _attacks_in(getattr(attack, field.name))]


def _attacks_in(value: object) -> Iterator[object]:
    for one in value if isinstance(value, tuple) else (value,):
        if is_attack(one):
            yield one


def traits_of(attack: Any) -> Traits:
    """What a registered attack is with these settings."""
    entry = entry_of(attack)
    held = [traits_of(one) for one in held_by(attack)]
    access = min((entry.access, *(one.access for one in held)), key=_MOST_FIRST.index)
    if entry.kind is None:
        goals = tuple(goal for goal in entry.goals if all(goal in one.goals for one in held))
        box = all(one.box for one in held)
        return Traits(held[0].kind, held[0].norm, held[0].eps, goals, access, box, held[0].minimises, entry.looks)
    norm = norm_of(attack.norm) if hasattr(attack, "norm") else norm_named(entry.norms[0])
    eps = float(attack.eps) if entry.kind == "budget" else None
    box = bool(getattr(attack, "box", True))
    return Traits(entry.kind, norm, eps, entry.goals, access, box, entry.minimises, entry.looks)


def config_of(attack: Any) -> dict[str, Any]:
    """Every field of an attack as plain JSON values, defaults included; a held attack has its ``name`` beside them."""
    return {field.name: _plain(getattr(attack, field.name)) for field in dataclasses.fields(attack)}


def _plain(value: Any) -> Any:
    if is_attack(value):
        return {"name": entry_of(value).name, **config_of(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value.name if is_norm(value) else value


def label_of(attack: Any) -> str:
    """How records and reports call an attack: its name with the fields that differ from the defaults."""
    entry = entry_of(attack)
    defaults = config_of(entry.attack()) if _has_defaults(entry.attack) else {}
    config = config_of(attack)
    changed = [
        f"{field.name}={_short(getattr(attack, field.name))}"
        for field in dataclasses.fields(attack)
        if defaults.get(field.name, ...) != config[field.name]
    ]
    return f"{entry.name}({', '.join(changed)})" if changed else entry.name


def _has_defaults(attack: type) -> bool:
    return all(field.default is not dataclasses.MISSING for field in dataclasses.fields(attack))


def _short(value: Any) -> str:
    if is_attack(value):
        return label_of(value)
    if isinstance(value, tuple):
        return " + ".join(map(_short, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
