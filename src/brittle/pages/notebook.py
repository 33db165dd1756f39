"""A piece of HTML for a notebook: a title, sentences, tables, flags and pictures, in the colours of where it stands."""

from collections.abc import Sequence
from typing import NamedTuple

from brittle.pages.html import HERE, rendered
from brittle.pages.pictures import Trio


class Cell(NamedTuple):
    """A text, and in small print what stands below it."""

    text: str
    under: str = ""
    last: str = ""


class Table(NamedTuple):
    """The first cell of a row names it. more: rows that are left out."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    more: int = 0


class Picture(NamedTuple):
    """An original, its change and the result, with a caption."""

    trio: Trio
    caption: str


def card(
    title: str,
    *,
    sentences: Sequence[str] = (),
    tables: Sequence[Table] = (),
    flags: Sequence[tuple[str, str]] = (),
    pictures: Sequence[Picture] = (),
) -> str:
    """HTML that needs nothing else. flags: (code, message)."""
    context = {"title": title, "sentences": sentences, "tables": tables, "flags": flags, "pictures": pictures}
    return rendered(HERE, "notebook.html.j2", context)
