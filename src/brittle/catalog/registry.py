"""A registry: the things of one kind by name, made from text and written back as text. Nothing here knows a kind."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, final

from brittle.catalog.foreign import option_here
from brittle.catalog.grammar import Call, calls_in, split
from brittle.catalog.options import Option, checking, options_of
from brittle.errors import BrittleError, did_you_mean
from brittle.geometry.norms import is_norm
from brittle.text import article, size

C = TypeVar("C", bound=type)


class Listed(Protocol):
    """What each entry of a registry says, beside what its kind needs: a name, a class, a source, a line about it."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> type: ...
    @property
    def paper(self) -> str: ...
    @property
    def summary(self) -> str: ...


E = TypeVar("E", bound=Listed)


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """What a registry says of a thing that needs no more words."""

    name: str
    type: type
    paper: str
    summary: str


BUDGET = "eps"
"""The option that is the budget, in all that have one."""
SIZES = (BUDGET, "step_size")
"""Options in pixels of [0, 1], which people say in grey levels."""

_REGISTRIES: "list[Registry[Any]]" = []


@final
class Registry(Mapping[str, E], Generic[E]):
    """Frozen dataclasses of one kind, by name; each checks and converts its options from when it is enrolled.

    noun: what messages call one. example: of one, for messages. advice: where a name of this registry is given in
    place of another's, what to do instead; ``{name}`` stands for it. in_order: values may be written without the names
    of their options, as in ``band(0, 0.25)``. foreign: what to say of a name that others have for one of these.
    """

    def __init__(
        self,
        noun: str,
        *,
        example: str,
        advice: str = "",
        in_order: bool = False,
        foreign: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        self.noun, self.example, self.advice, self.in_order = noun, example, advice, in_order
        self.foreign = foreign
        self._entries: dict[str, E] = {}
        self._guests: dict[str, E] = {}
        self._welcome: dict[str, Callable[[str], None]] = {}
        self._names: dict[type, str] = {}
        _REGISTRIES.append(self)

    def __getitem__(self, name: str) -> E:
        return self._guests[name] if name in self._guests else self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def enrol(
        self,
        entry: E,
        after: Callable[[Any], None] | None = None,
        instead: Callable[[Option, Any], str] = lambda option, value: "",
    ) -> None:
        """From here on the name belongs to the class.

        after: refuses what no single option could. instead: what to add where an option refuses a value.
        """
        if entry.name in self._entries:
            raise ValueError(f"two {self.noun}s are called {entry.name!r}: {self[entry.name].type} and {entry.type}")
        checking(entry.type, lambda values: self._check_options(entry.name, values), after, instead)
        self._entries[entry.name] = entry
        self._names[entry.type] = entry.name

    def welcome(self, prefix: str, entry: Callable[[str], E], after: Callable[[Any], None] | None = None) -> None:
        """From here on ``prefix:NAME`` is one, too, and in no list: ``entry`` of a name says what, when it is asked."""

        def enrolled(name: str) -> None:
            made = entry(name)
            checking(made.type, lambda values: self._check_options(made.name, values), after, lambda option, value: "")
            self._guests[made.name] = made
            self._names[made.type] = made.name

        self._welcome[prefix] = enrolled

    def holds(self, value: object) -> bool:
        """Whether a value is an instance of one of its classes."""
        return type(value) in self._names

    def entry_of(self, value: object) -> E:
        """What is said of an instance's class; a ``BrittleError`` for what is none of these."""
        name = self._names.get(type(value))
        if name is not None:
            return self[name]
        for other in _REGISTRIES:
            if other.holds(value):
                self._refuse_other(other, other.entry_of(value).name)
        raise BrittleError(
            f"expected a registered {self.noun} such as {self.example}, got {value!r}{self._made(value)}"
        )

    def _made(self, value: object) -> str:
        """How to make an instance of what somebody has named, or has given the class of."""
        name = next((name for made, name in self._names.items() if made is value or name == value), None)
        if name is not None:
            return f"; {self[name].type.__name__}() makes one"
        said = self.foreign(value if isinstance(value, str) else getattr(value, "__name__", ""))
        return f"; {said}" if said else ""

    def named(self, name: str) -> E:
        """What is said of the class with this name; a ``BrittleError`` with the nearest name for any other."""
        prefix, colon, rest = name.partition(":")
        if colon and prefix in self._welcome and name not in self._guests:
            self._welcome[prefix](rest)
        if name in self:
            return self[name]
        if colon and self._welcome:
            raise BrittleError(f"unknown {self.noun} {name!r}{did_you_mean(prefix, self._welcome)}")
        for other in _REGISTRIES:
            if name in other and other.advice:
                self._refuse_other(other, name)
        said = None if name.lower() in self else self.foreign(name)
        raise BrittleError(f"unknown {self.noun} {name!r}{f'; {said}' if said else did_you_mean(name, self)}")

    def _refuse_other(self, other: "Registry[Any]", name: str) -> None:
        advice = f"; {other.advice.format(name=name)}" if other.advice else ""
        raise BrittleError(f"expected {article(self.noun)}, got the {other.noun} {name}{advice}")

    def build(self, name: str, values: Mapping[str, Any]) -> Any:
        """A thing from its name and the values of its options, which may be text as typed (``"8/255"``, ``"linf"``)."""
        made = self.named(name).type
        options = options_of(made)
        self._check_options(name, values)
        return made(**{key: _read(options[key], one) for key, one in values.items()})

    def _check_options(self, name: str, given: Collection[str]) -> None:
        """Refuses an option that this one has not, and too few of them."""
        options = options_of(self[name].type)
        for key in given:
            if key not in options:
                said = option_here(key, options, {other: options_of(one.type) for other, one in self.items()})
                known = f"; {said}" if said else did_you_mean(key, options) if options else "; it has none"
                raise BrittleError(f"{self.noun} {name!r} has no option {key!r}{known}")
        for key, one in options.items():
            if one.required and key not in given:
                raise BrittleError(f"expected {name},{key}=..., got no {key}")

    def read(self, text: str) -> list[Any]:
        """What a text names: ``NAME[,option=value...]`` or, as labels are written, ``NAME(option=value, ...)``.

        ``eps=0.01:0.02`` sweeps: one thing for each value. An option that holds another thing has one in parentheses
        as its value, ``attack=pgd(eps=0.1)``, and one that holds several joins them: ``attacks=deepfool + fmn``.
        """
        return [self._built(call) for call in calls_in(text, self.noun, in_order=self.in_order)]

    def _built(self, call: Call) -> Any:
        values = dict(call.named)
        if call.in_order:
            options = list(options_of(self.named(call.name).type))
            if len(call.in_order) > len(options):
                raise BrittleError(f"expected at most {len(options)} values for {call.name}, got {len(call.in_order)}")
            values |= dict(zip(options, call.in_order, strict=False))
        return self.build(call.name, values)

    def one(self, value: object) -> Any:
        """The thing that a value is, or the only one that a text names."""
        if not isinstance(value, str):
            self.entry_of(value)
            return value
        things = self.read(value)
        if len(things) > 1:
            raise BrittleError(f"expected one {self.noun}, not a sweep; got {value!r}")
        return things[0]


def listed(thing: object) -> Listed:
    """What the registry that knows a thing says of it; a ``BrittleError`` for what none knows."""
    entry: Listed = (_registry_of(thing) or _REGISTRIES[0]).entry_of(thing)
    return entry


def is_listed(thing: object) -> bool:
    """Whether some registry knows a thing."""
    return _registry_of(thing) is not None


def register_in(registry: Registry[Entry], name: str, *, paper: str) -> Callable[[C], C]:
    """Enrols a class of which there is no more to say."""

    def enrol(made: C) -> C:
        registry.enrol(Entry(name, made, paper, summary_of(made)))
        return made

    return enrol


def summary_of(made: type) -> str:
    """The first line of a class's docstring."""
    return (made.__doc__ or "").strip().split("\n")[0]


def config_of(thing: Any) -> dict[str, Any]:
    """Every option of a thing as plain JSON values, defaults included; a held thing has its ``name`` beside them."""
    return {field.name: _plain(getattr(thing, field.name)) for field in dataclasses.fields(thing)}


def label_of(thing: Any) -> str:
    """How records and reports call a thing: its name, its budget, and the options that differ from their defaults.

    Registry.read makes the same of it. A budget is said where it is the default, too, also that of what a thing holds.
    BrittleError for what is not registered.
    """
    name, options, registry = listed(thing).name, options_of(type(thing)), _registry_of(thing)
    values = {key: getattr(thing, key) for key in options}
    said = [
        key
        for key, one in options.items()
        if one.required or _plain(one.default) != _plain(values[key]) or _has_budget(key, values[key])
    ]
    if not said:
        return name
    if registry is not None and registry.in_order:
        *_, last = said
        return (
            f"{name}({', '.join(_short(key, values[key]) for key in list(options)[: list(options).index(last) + 1])})"
        )
    said.sort(key=lambda key: key != BUDGET)
    return f"{name}({', '.join(f'{key}={_short(key, values[key])}' for key in said)})"


def _has_budget(key: str, value: Any) -> bool:
    """Whether an option is a budget, or holds what has one."""
    held = [one for one in (value if isinstance(value, tuple) else (value,)) if _registry_of(one) is not None]
    return (key == BUDGET and value is not None) or any(
        _has_budget(name, getattr(one, name)) for one in held for name in options_of(type(one))
    )


def _registry_of(value: object) -> Registry[Any] | None:
    return next((one for one in _REGISTRIES if one.holds(value)), None)


def _plain(value: Any) -> Any:
    registry = _registry_of(value)
    if registry is not None:
        return {"name": registry.entry_of(value).name, **config_of(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if is_norm(value):
        return str(value.name)
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _short(key: str, value: Any) -> str:
    if _registry_of(value) is not None:
        return label_of(value)
    if isinstance(value, tuple):
        return " + ".join(_short(key, one) for one in value)
    if isinstance(value, float):
        return size(value) if key in SIZES and value < 1 else f"{value:.6g}"
    return str(value)


def _read(one: Option, value: Any) -> Any:
    """The value of an option from what was typed, where it is text."""
    if one.of is not None and one.several and isinstance(value, str):
        return tuple(split(value, "+"))
    return one.read(value.strip()) if isinstance(value, str) else value
