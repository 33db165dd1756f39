"""What is declared about attacks, and about what fits one perturbation to many images; and what follows from it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from functools import wraps as wraps_of
from numbers import Real
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, final

from brittle.catalog.foreign import attack_here
from brittle.catalog.options import Option, options_of
from brittle.catalog.registry import Registry, label_of, summary_of
from brittle.errors import BrittleError, Unsupported
from brittle.geometry.norms import L0, L2, LINF, Norm, is_norm, norm_named, norm_of
from brittle.types import Access

Kind = Literal["budget", "minimal", "faint"]
C = TypeVar("C", bound=type)

_GOALS = ("untargeted", "targeted")
_GUESS = 100.0
_MOST_FIRST: tuple[Access, ...] = ("gradient", "score", "decision")


class Method(Protocol):
    """The type of an option that holds another attack; ``tuple[Method, ...]`` holds several."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


@final
@dataclass(frozen=True, slots=True)
class AttackEntry:
    """One registered attack: its class and what its author declares about it.

    kind: budget: does what it can within ``eps``; minimal: makes the perturbation small, in a norm; faint: makes it
    hardly visible, whatever its norm; wrapper: is of the kind of the attacks that it holds, in their norm and for their
    goals. looks: it claims what it has fooled; False where it never looks at what it has made.
    """

    name: str
    type: type
    paper: str
    summary: str
    kind: Literal["budget", "minimal", "faint", "wrapper"]
    norms: tuple[str, ...]
    goals: tuple[str, ...]
    access: Access
    cost: str
    looks: bool

    def fields(self) -> dict[str, Option]:
        """Its options by name. Those called norm, eps and box mean the same in all attacks."""
        return options_of(self.type)


@final
@dataclass(frozen=True, slots=True)
class FitterEntry:
    """One that fits a perturbation to many images, with ``fit``."""

    name: str
    type: type
    paper: str
    summary: str
    norms: tuple[str, ...]
    access: Access
    cost: str

    def fields(self) -> dict[str, Option]:
        """Its options by name."""
        return options_of(self.type)


class Traits(NamedTuple):
    """What one attack, with its settings, is and promises; a wrapper's come from the attacks that it holds.

    norm: of a faint attack, that in which reports state its size. eps: of a budget attack. box: every pixel stays in
    [0, 1]. looks: as its entry says.
    """

    kind: Kind
    norm: Norm
    eps: float | None
    goals: tuple[str, ...]
    access: Access
    box: bool
    looks: bool


ATTACKS: Registry[AttackEntry] = Registry(
    "attack",
    example="DeepFool()",
    advice="it attacks each image: `brittle audit --attack {name}`",
    foreign=attack_here,
)
FITTERS: Registry[FitterEntry] = Registry(
    "fitter",
    example="Universal()",
    advice="it fits one perturbation to many images: run `brittle fit {name},...`, then `--attack"
    " perturbation,file=FILE`; in Python, .fit(classifier, examples) returns what AddPerturbation adds",
)


def register(
    name: str,
    *,
    paper: str,
    kind: Literal["budget", "minimal", "faint", "wrapper"],
    norms: tuple[str, ...] = (),
    goals: tuple[str, ...] = _GOALS,
    access: Access = "gradient",
    cost: str,
    looks: bool = True,
) -> Callable[[C], C]:
    """Enrol an attack class: from here on it has a CLI name, a docs row, a report label and every law as a test.

    norms: of an attack without an option ``norm``. access: what it asks the classifier for: the gradient, the scores
    (logits or probabilities), or the decision alone. cost: passes for one image at the defaults, F forward and B
    backward, as in ``"steps * (F + B)"``.
    """

    def enrol(attack: C) -> C:
        _refusing_goals(attack, goals, wraps=kind == "wrapper")
        entry = AttackEntry(
            name=name,
            type=attack,
            paper=paper,
            summary=summary_of(attack),
            kind=kind,
            norms=norms or _norms_of(attack),
            goals=goals,
            access=access,
            cost=cost,
            looks=looks,
        )
        ATTACKS.enrol(entry, after=check_budget, instead=partial(_with_norm, entry.kind))
        return attack

    return enrol


def register_fitter(name: str, *, paper: str, access: Access = "gradient", cost: str) -> Callable[[C], C]:
    """Enrol a class that fits one perturbation to many images; cost: passes for one of them."""

    def enrol(fitter: C) -> C:
        entry = FitterEntry(name, fitter, paper, summary_of(fitter), _norms_of(fitter), access, cost)
        FITTERS.enrol(entry, after=check_budget)
        return fitter

    return enrol


def _refusing_goals(attack: Any, goals: tuple[str, ...], *, wraps: bool) -> None:
    """From now on the class refuses goals that its paper, or what it holds, has no version for, before any work."""
    original = attack.__call__

    @wraps_of(original)
    def __call__(self: Any, classifier: Any, images: Any, goal: Any, *, rng: Any) -> Any:  # noqa: N807 - in its place
        refuse_goal(self, type(goal), traits_of(self).goals if wraps else goals)
        return original(self, classifier, images, goal, rng=rng)

    if wraps or len(goals) < len(_GOALS):
        attack.__call__ = __call__


def refuse_goal(attack: Any, kind: type, goals: tuple[str, ...]) -> None:
    """Refuses a kind of goal that is not among these."""
    name = kind.__name__.lower()
    if name in _GOALS and name not in goals:
        raise Unsupported(f"{label_of(attack)} supports {' and '.join(goals) or 'no'} goals, got {name}")


def _norms_of(made: type) -> tuple[str, ...]:
    norm = options_of(made).get("norm")
    return () if norm is None else norm.norms


def _with_norm(kind: str, one: Option, value: Any) -> str:
    """The attacks of a kind that have a norm which this one has not."""
    if not one.is_norm or not (is_norm(value) or isinstance(value, str | Real)):
        return ""
    norm = norm_of(value).name
    named = sorted(name for name, entry in ATTACKS.items() if entry.kind == kind and norm in entry.norms)
    return f"; {norm} is a norm of {', '.join(named)}" if named else ""


def check_budget(attack: Any) -> None:
    """Refuses what is no budget in its norm: in L-infinity beyond the range of a pixel, in L0 less than one."""
    eps, norm = getattr(attack, "eps", None), getattr(attack, "norm", None)
    if eps is None or norm is None:
        return
    if norm == LINF and eps > 1:
        raise BrittleError(f"expected eps <= 1 in linf, as pixels are in [0, 1] (8 grey levels are 8/255), got {eps}")
    if norm == L0 and eps < 1:
        raise BrittleError(f"expected eps >= 1 in l0, the number of pixels, got {eps}")


def attacks_from(text: str) -> list[Any]:
    """Attacks from text as typed on a command line; see ``Registry.read``."""
    return ATTACKS.read(text)


def is_attack(value: object) -> bool:
    """Whether a value is an instance of a registered attack."""
    return ATTACKS.holds(value)


def entry_of(attack: object) -> AttackEntry:
    """The registry entry of an attack instance; a ``BrittleError`` for anything else."""
    return ATTACKS.entry_of(attack)


def held_by(attack: Any) -> list[Any]:
    """The attacks that the options of an attack, or of a fitter, hold."""
    values = (getattr(attack, name) for name in options_of(type(attack)))
    return [one for value in values for one in (value if isinstance(value, tuple) else (value,)) if is_attack(one)]


def traits_of(attack: Any) -> Traits:
    """What a registered attack is with these settings; of a fitter, what it makes is, and what that asks for."""
    if FITTERS.holds(attack):
        asks = (FITTERS.entry_of(attack).access, *(traits_of(one).access for one in held_by(attack)))
        return Traits(
            kind="budget",
            norm=norm_of(attack.norm),
            eps=attack.eps,
            goals=("untargeted",),
            access=min(asks, key=_MOST_FIRST.index),
            box=True,
            looks=False,
        )
    entry = entry_of(attack)
    held = [traits_of(one) for one in held_by(attack)]
    access = min((entry.access, *(one.access for one in held)), key=_MOST_FIRST.index)
    if entry.kind == "wrapper":
        return held[0]._replace(
            goals=tuple(goal for goal in entry.goals if all(goal in one.goals for one in held)),
            access=access,
            box=all(one.box for one in held),
            looks=entry.looks,
        )
    norm = norm_of(attack.norm) if hasattr(attack, "norm") else norm_named(entry.norms[0]) if entry.norms else L2
    return Traits(
        kind=entry.kind,
        norm=norm,
        eps=float(attack.eps) if entry.kind == "budget" else None,
        goals=entry.goals,
        access=access,
        box=getattr(attack, "box", True),
        looks=entry.looks,
    )


def guessed_passes(attack: Any) -> float:
    """How many passes an attack may make for an image, by the names that options have everywhere.

    It only tells how carefully to begin; what is then seen counts.
    """
    if FITTERS.holds(attack) or entry_of(attack).kind == "wrapper":
        times = max(getattr(attack, name, 1) for name in ("times", "samples"))
        return float(times * sum(map(guessed_passes, held_by(attack))))
    if hasattr(attack, "population"):
        return float(attack.population * (attack.generations + 1))
    most = [float(getattr(attack, name)) for name in ("queries", "steps", "max_steps") if hasattr(attack, name)]
    return 2 * max(most, default=_GUESS)
