"""How an attack of another library becomes one of ours: a registered frozen dataclass, made when it is first named."""

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import Parameter, signature
from typing import Any, Literal, final, get_args

import torch

from brittle.attacks.foreign.asked import Asked, alone
from brittle.attacks.parts.contract import Outcome
from brittle.catalog import ATTACKS, AttackEntry, option
from brittle.catalog.attacks import check_budget
from brittle.errors import BrittleError, Unsupported, did_you_mean
from brittle.extras import needed
from brittle.geometry.norms import L2, LINF, NormLike, norm_named
from brittle.goals import Goal, Targeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng, hashed
from brittle.types import Access, Images, Labels

EPS, NORM = "eps", "norm"
_NUMBERS = (bool, int, float, str)
_NAMED = {one.__name__ for one in _NUMBERS}


@final
@dataclass(frozen=True, slots=True)
class Asking:
    """One image that a library is to attack: the module, ``[1, C, H, W]``, the class to leave or to reach, the options.

    classes: how many the classifier has. values: by our names.
    """

    module: Asked
    image: Images
    label: Labels
    targeted: bool
    classes: int
    values: Mapping[str, Any]


@final
@dataclass(frozen=True, slots=True)
class Guest:
    """What there is to know of an attack there. parameters: its settings. norms: among which it works; of several,
    it has an option. call: makes the adversarial image."""

    summary: str
    kind: Literal["budget", "minimal"]
    norms: tuple[str, ...]
    goals: tuple[str, ...]
    access: Access
    parameters: tuple[Parameter, ...]
    call: Callable[[Asking], Images]
    norm: str | None = None  # by default


@final
@dataclass(frozen=True, slots=True)
class Library:
    """One library. extra: with which it comes. names: of its attacks. guest: what there is to know of one."""

    prefix: str
    extra: str
    module: str
    names: Callable[[], Collection[str]]
    guest: Callable[[str], Guest]


def welcome(library: Library) -> None:
    """From here on ``prefix:NAME`` is an attack, where the library is installed and has one of that name."""
    ATTACKS.welcome(library.prefix, lambda name: _entry(library, name), after=check_budget)


def settings(called: Callable[..., Any], without: Collection[str]) -> tuple[Parameter, ...]:
    """The parameters of a function that are numbers, texts or truths, as their defaults or hints say."""
    found = signature(called).parameters.values()
    return tuple(one for one in found if one.name not in without and _hint(one) is not None)


def _entry(library: Library, name: str) -> AttackEntry:
    needed(library.extra, f"attacks called {library.prefix}:NAME are those of {library.prefix}")
    names = library.names()
    if name not in names:
        raise BrittleError(f"{library.prefix} has no attack {name!r}{did_you_mean(name, names)}")
    full = f"{library.prefix}:{name}"
    try:
        guest = library.guest(name)
    except (ImportError, AttributeError) as error:  # of what it needs itself
        raise BrittleError(f"{full} cannot be made: {error}") from None
    return AttackEntry(
        name=full,
        type=_made(full, guest),
        paper=f"as {library.prefix} {import_module(library.module).__version__} has it",
        summary=guest.summary,
        kind=guest.kind,
        norms=guest.norms,
        goals=guest.goals,
        access=guest.access,
        cost="as counted",
        looks=True,
    )


def _made(name: str, guest: Guest) -> type:
    """The dataclass: an option for each setting, the norm and the budget under our names."""
    fields: list[tuple[str, Any, Any]] = []
    if len(guest.norms) > 1:
        among = [norm_named(one) for one in guest.norms]
        default: Any = ... if guest.norm is None else norm_named(guest.norm)
        fields.append((NORM, NormLike, option(default, "norm", among=among)))
    for one in guest.parameters:
        default = ... if one.default is Parameter.empty else one.default
        hint = _hint(one)
        if isinstance(default, int) and hint is float:
            default = float(default)
        least = 0 if one.name == EPS else None
        words = "budget, in pixels of [0, 1]" if one.name == EPS else f"as {name.partition(':')[0]} has it"
        fields.append((one.name, hint, option(default, words, at_least=least)))
    numbers = {one.name: one.default for one in guest.parameters}

    def __call__(self: Any, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:  # noqa: N807
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        whole = {key for key, value in numbers.items() if type(value) is int}
        values = {key: int(one) if key in whole and one == int(one) else one for key, one in values.items()}
        return _attacked(guest, name, values, classifier, images, goal, rng)

    def __reduce__(self: Any) -> Any:  # noqa: N807 - another process makes the class anew
        return _again, (name, {field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    members = {"__call__": __call__, "__reduce__": __reduce__, "__doc__": guest.summary}
    return dataclasses.make_dataclass(name.partition(":")[2], fields, namespace=members, frozen=True, kw_only=True)


def _again(name: str, values: dict[str, Any]) -> Any:
    return ATTACKS.build(name, values)


def _hint(one: Parameter) -> Any:
    """Its type: a whole number only where it is said to be one, as ``0`` may be the default of any number."""
    if isinstance(one.default, float) and not math.isfinite(one.default):
        return None
    hint = one.annotation
    said = _NAMED & set(hint.replace("|", " ").split()) if isinstance(hint, str) else {*(get_args(hint) or (hint,))}
    optional = one.default is None
    kinds = [kind for kind in _NUMBERS if kind in said or kind.__name__ in said]
    if not kinds and one.default is not Parameter.empty and type(one.default) in _NUMBERS:
        kinds = [float if type(one.default) is int else type(one.default)]
    given = not (optional or one.default is Parameter.empty)
    if not kinds or (given and not isinstance(one.default, (*kinds, int))):
        return None
    kind: Any = float if float in kinds else kinds[0]
    return kind | None if optional else kind


def _attacked(
    guest: Guest, name: str, values: Mapping[str, Any], classifier: Classifier, images: Images, goal: Goal, rng: Rng
) -> Outcome:
    """Image by image, so that what is drawn for one, and when a library stops, are no matter of its batch.

    That costs time beside larger batches, but not passes. An image that meets the goal as it is comes back as it is.
    steps: gradients asked for, or passes where there are none, as libraries do not say what they count as one.
    """
    targeted = isinstance(goal, Targeted)
    if ("targeted" if targeted else "untargeted") not in guest.goals:
        raise Unsupported(f"{name} supports {' and '.join(guest.goals)} goals, got {type(goal).__name__.lower()}")
    module = Asked(classifier)
    found, claimed = images.clone(), torch.zeros(len(images), dtype=torch.bool, device=images.device)
    forwards, backwards = (torch.zeros(len(images), dtype=torch.int64, device=images.device) for _ in range(2))
    for row in range(len(images)):
        before = classifier.forwards, classifier.backwards
        one, image = goal[slice(row, row + 1)], images[row : row + 1]
        logits = classifier.logits(image)
        if not bool(one.is_surely_met(logits)):
            asked = Asking(module, image.clone(), one.labels, targeted, logits.shape[1], values)
            with alone(hashed(f"{rng.seed}\0{rng.ids[row]}\0{name}") % 2**63), torch.enable_grad():
                made = _called(guest, name, asked)
            found[row] = made.detach().to(images)[0]
            logits = classifier.logits(found[row : row + 1])
        claimed[row] = one.is_surely_met(logits)[0]
        forwards[row], backwards[row] = classifier.forwards - before[0], classifier.backwards - before[1]
    return Outcome(found, claimed, torch.where(backwards > 0, backwards, forwards), forwards, backwards)


def _called(guest: Guest, name: str, asked: Asking) -> Images:
    try:
        made = guest.call(asked)
    except BrittleError:
        raise
    except Exception as error:  # a library may raise anything, and says of which of its settings
        said = " ".join(str(error).split())[:160] or type(error).__name__
        raise BrittleError(f"{name} stopped with an error of its own: {said}") from error
    if made.shape != asked.image.shape:
        raise BrittleError(f"{name} was given an image of shape {tuple(asked.image.shape)}, gave {tuple(made.shape)}")
    return made


def order_of(norm: Any) -> float:
    """0, 1, 2 or infinity, as most libraries say a norm."""
    return {"l0": 0, "l1": 1, "l2": 2, "linf": math.inf}[norm.name]


BALLS = (LINF.name, L2.name, "l1")
"""The norms of most budgets."""
