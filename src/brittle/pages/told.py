"""What a study has to say of a run, in plain values: sentences, a chart, and the same as a table."""

from typing import NamedTuple


class Curve(NamedTuple):
    """A line of a chart: its name, and its points."""

    name: str
    x: list[float]
    y: list[float]


class Table(NamedTuple):
    """heads: of the columns. rows: numbers, or text; the first column names them."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str | float, ...], ...]
    caption: str = ""


class Told(NamedTuple):
    """What is said of a run: sentences, a chart, and the same as a table. heads, rows: numbers, or text.

    x, y: titles of the axes. more: further tables. An axis or head that ends in "accuracy" or "rate" has fractions.
    """

    sentences: list[str]
    x: str = ""
    y: str = ""
    curves: tuple[Curve, ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str | float, ...], ...] = ()
    more: tuple[Table, ...] = ()
