"""What is said of a run of a study that has no page of its own: sentences, curves and a table."""

from dataclasses import dataclass
from typing import NamedTuple, final

from brittle.display import displayed
from brittle.measure.models import Measured


class Sized(NamedTuple):
    """A number that is no rate. unit: as in ``MEASURES``, or "points", by which two rates differ, or "times"."""

    measured: Measured
    unit: str
    norm: str = "l2"


Cell = str | float | Measured | Sized


class Curve(NamedTuple):
    """A line of a chart: its name, and its points."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


class Tile(NamedTuple):
    """A picture by itself. caption: whose it is. file: below the run directory. good: None where nothing is judged."""

    caption: str
    file: str
    lines: tuple[str, ...] = ()
    good: bool | None = None


class Shelf(NamedTuple):
    """Pictures that stand beside each other, as they are of one thing."""

    title: str
    tiles: tuple[Tile, ...]


class Trial(NamedTuple):
    """Two pictures, by their files below the run directory, of which somebody is to find the one.

    group: whose. left: on which side that is.
    """

    group: str
    one: str
    other: str
    left: bool


class Blind(NamedTuple):
    """What somebody may judge without being told which is which. one, other: what the pictures of each trial are."""

    question: str
    says: str
    one: str
    other: str
    trials: tuple[Trial, ...]


@final
@dataclass(frozen=True, slots=True)
class Told:
    """A run in words and numbers.

    x, y: what the axes of the curves mean. heads, rows: a table; rates come as ``Measured``, with their intervals.
    pictures: (caption, file below the run directory). shelves: many small pictures, which are shown as a grid.
    blind: a page of its own.
    """

    sentences: tuple[str, ...]
    x: str = ""
    y: str = ""
    curves: tuple[Curve, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    pictures: tuple[tuple[str, str], ...] = ()
    shelves: tuple[Shelf, ...] = ()
    blind: Blind | None = None

    def _repr_html_(self) -> str:
        return displayed(self)


@final
class Compared(tuple[Told, ...]):
    """What is said of the first of some audits beside each of the others."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return displayed(self)
