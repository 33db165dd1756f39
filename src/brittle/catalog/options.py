"""Options: the fields of what is registered, with their bounds and choices. They are checked here, and nowhere else."""

import dataclasses
import math
import types
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, Protocol, Union, final, get_args, get_origin, get_type_hints

from brittle.catalog.grammar import number_of
from brittle.checks import brief
from brittle.errors import BrittleError, did_you_mean
from brittle.geometry.norms import L1, L2, LINF, Lp, Norm, NormLike, is_norm, norm_of

_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class Held(Protocol):
    """Where the values of an option come from that holds registered things: a registry."""

    noun: str

    def one(self, value: object) -> Any:
        """The registered thing that a value is, or that a text names; BrittleError for any other."""


@final
@dataclass(frozen=True, slots=True)
class Option:
    """One option of something registered: what may stand there, what stands there by default, and what it is for.

    at_least, above, at_most, below: of a number. among: norms (the class ``Lp`` for all of its kind), or names. of: the
    registry whose things it holds; one, or as ``tuple[...]`` several. reads: makes its value of a text or of itself.
    """

    name: str
    hint: Any
    default: Any
    help: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None
    among: Iterable[Any] | None = None
    of: Held | None = None
    reads: Callable[[Any], Any] | None = None

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is dataclasses.MISSING

    @property
    def optional(self) -> bool:
        """Whether it may be None."""
        return type(None) in get_args(self.hint)

    @property
    def type(self) -> Any:
        """The type of a value that is not None."""
        if get_origin(self.hint) in (Union, types.UnionType) and not self.is_norm:
            kinds = [part for part in get_args(self.hint) if part is not type(None)]
            return kinds[0] if len(kinds) == 1 else self.hint
        return self.hint

    @property
    def is_norm(self) -> bool:
        return bool(self.hint == NormLike)

    @property
    def several(self) -> bool:
        """Whether it holds any number of things, but at least one."""
        return get_origin(self.type) is tuple

    @property
    def norms(self) -> tuple[str, ...]:
        """The names of the norms among which it may choose; ``lp`` for all others."""
        named = (L1, L2, LINF, Lp) if self.among is None else self.among
        return tuple(dict.fromkeys("lp" if one is Lp else one.name for one in named))

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that it may be; none where it is free."""
        if get_origin(self.type) is Literal:
            return tuple(map(str, get_args(self.type)))
        return () if self.among is None or self.is_norm else tuple(self.among)

    def read(self, text: str) -> Any:
        """The value that a text stands for, as typed: ``8/255``, ``yes``, ``none``; not checked yet."""
        if self.optional and text.lower() == "none":
            return None
        try:
            if self.type is bool:
                return _WORDS[text.lower()]
            if self.type is int:
                return int(text)
            if self.type is float:
                return number_of(text)
        except (ValueError, KeyError, ZeroDivisionError):
            raise self._refused(text) from None
        return text

    def accept(self, value: Any) -> Any:
        """The value as the attack will have it, checked; BrittleError where it is not what the option says."""
        if value is None and self.optional:
            return None
        if self.reads is not None:
            if not isinstance(value, self.hint):
                raise self._refused(value)
            return self.reads(value)
        if self.of is not None:
            return self._held(value, self.of)
        if self.is_norm:
            return self._norm(value)
        if self.choices:
            if value not in self.choices:
                near = did_you_mean(value, self.choices) if isinstance(value, str) else ""
                raise BrittleError(f"expected {self.name} {self.expected}, got {value!r}{near}")
            return value
        if self.type in (int, float):
            return self._number(value)
        if not isinstance(value, get_origin(self.type) or self.type):
            raise self._refused(value)
        return value

    def _number(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, Integral if self.type is int else Real):
            raise self._refused(value)
        number = self.type(value)
        inside = (
            (self.at_least is None or number >= self.at_least)
            and (self.above is None or number > self.above)
            and (self.at_most is None or number <= self.at_most)
            and (self.below is None or number < self.below)
        )
        if not (inside and math.isfinite(number)):
            unbounded = self.type is float and self.at_most is None and self.below is None
            between = f" {self.bounds}" if self.bounds else ""
            raise BrittleError(f"expected {'a finite ' if unbounded else ''}{self.name}{between}, got {number}")
        return number

    def _norm(self, value: Any) -> Norm:
        if isinstance(value, bool) or not (is_norm(value) or isinstance(value, str | Real)):
            raise self._refused(value)
        norm = norm_of(value)
        among = (L1, L2, LINF, Lp) if self.among is None else tuple(self.among)
        # What is no norm of ours, such as a planted fault, may pass for one of the family.
        if norm not in among and not (Lp in among and norm.name != "l0"):
            raise BrittleError(f"expected {self.name} {self.expected}, got {norm.name}")
        return norm

    def _held(self, value: Any, registry: Held) -> Any:
        if not self.several:
            return registry.one(value)
        if not isinstance(value, tuple | list) or not value:
            raise BrittleError(f"expected {self.name} as at least one {registry.noun}, got {value!r}")
        return tuple(registry.one(one) for one in value)

    def _refused(self, value: object) -> BrittleError:
        return BrittleError(f"expected {self.name} as {self.expected}, got {value!r}")

    @property
    def bounds(self) -> str:
        """``>= 1``, ``from 0 to below 1``; nothing where there is none."""
        return "".join(_bounds(self))

    @property
    def expected(self) -> str:
        """What may stand there, in words: ``a whole number >= 1``, ``l2 or linf``."""
        if self.reads is not None:
            words = "text"
        elif self.of is not None:
            words = f"{self.of.noun}s" if self.several else self.of.noun
        elif self.is_norm:
            words = _listed(["lP" if one == "lp" else one for one in self.norms])
        elif self.choices:
            words = _listed(self.choices)
        else:
            named = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
            words = f"{named.get(self.type, self.type)} {self.bounds}".strip()
        return f"{words}, or none" if self.optional else words


def _bounds(one: Option) -> Iterator[str]:
    low = one.at_least if one.above is None else one.above
    high = one.at_most if one.below is None else one.below
    if low is not None and high is not None:
        if one.above is not None and one.below is not None:
            yield f"between {low:g} and {high:g}"
            return
        yield f"above {low:g}" if one.above is not None else f"from {low:g}"
        yield f" to below {high:g}" if one.below is not None else f" to {high:g}"
    elif low is not None:
        yield f"{'>' if one.above is not None else '>='} {low:g}"
    elif high is not None:
        yield f"{'<' if one.below is not None else '<='} {high:g}"


def _listed(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def option(
    default: Any,
    help: str,  # noqa: A002 - the field's own word
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    among: Iterable[Any] | None = None,
    of: Held | None = None,
    reads: Callable[[Any], Any] | None = None,
) -> Any:
    """A dataclass field with its default (``...`` for none), a line of help, and what it may be: see ``Option``."""
    says = {
        "help": help,
        "at_least": at_least,
        "above": above,
        "at_most": at_most,
        "below": below,
        "among": among,
        "of": of,
        "reads": reads,
    }
    return dataclasses.field(default=dataclasses.MISSING if default is ... else default, metadata=says)


def options_of(made: type) -> dict[str, Option]:
    """Option name -> option, straight from the dataclass."""
    return _options(made)


@cache
def _options(made: Any) -> dict[str, Option]:
    hints = get_type_hints(made)
    return {
        field.name: Option(field.name, hints[field.name], field.default, **(_SILENT | field.metadata))
        for field in dataclasses.fields(made)
    }


_SILENT: dict[str, Any] = {"help": ""}


def checking(
    made: type,
    before: Callable[[Collection[str]], None],
    after: Callable[[Any], None] | None,
    instead: Callable[[Option, Any], str],
) -> None:
    """From now on the dataclass converts and checks what it is made of; defaults too, at once.

    before: checks the names of the options that are given. after: checks a whole one. instead: what is added to the
    message where an option refuses a value.
    """
    options = options_of(made)
    for one in options.values():
        if not one.required:
            one.accept(one.default)
    original = made.__init__  # type: ignore[misc]

    in_order = [field.name for field in dataclasses.fields(made) if not field.kw_only]

    def accepted(one: Option, value: Any) -> Any:
        try:
            return one.accept(value)
        except BrittleError as error:
            raise BrittleError(f"{error}{instead(one, value)}") from None

    def __init__(self: Any, *args: Any, **values: Any) -> None:  # noqa: N807 - it takes its place
        if len(args) > len(in_order):
            example = f"{made.__name__}({next(iter(options), '')}=...)"
            raise BrittleError(
                f"expected options of {made.__name__} by name, as in {example}, got {brief(args[0])}; a classifier and"
                " images are given to brittle.attack"
            )
        values |= dict(zip(in_order, args, strict=False))
        before(values)
        original(self, **{name: accepted(options[name], value) for name, value in values.items()})
        if after is not None:
            after(self)

    __init__.__wrapped__ = original  # type: ignore[attr-defined]  # for those who ask for its signature
    made.__init__ = __init__  # type: ignore[misc]
