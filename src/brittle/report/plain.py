"""A page for any study: what it tells of a run, as sentences, a chart, a table and pictures. Needs no template."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from brittle.errors import BrittleError
from brittle.measure import Curve, Told
from brittle.measure.told import Cell, Shelf
from brittle.pages.html import LIMIT, page
from brittle.pages.pictures import PIXELATED, embedded
from brittle.places import content_of, place_of
from brittle.records import FlagRecord, Manifest
from brittle.report.blind import BLIND, blind_page
from brittle.report.charts import javascript, plain_chart
from brittle.report.page import HERE, write_page
from brittle.report.sections import flag_cards, repeat_facts, told_cell

_AROUND = 900  # characters of what stands around a picture


def write_told(directory: Path, manifest: Manifest, told: Told) -> Path:
    """Write ``report.html`` into the run directory of any study, from what it tells of the run; return its path."""
    names = ", ".join([model.name for model in manifest.models] or manifest.settings.get("networks", []))
    if told.blind is not None:
        write_page(directory / BLIND, blind_page(told.blind, directory))
    html = plain_page(
        f"{manifest.study.capitalize()}: {names}",
        told.sentences,
        about=(names, manifest.data),
        curves=told.curves,
        x=told.x,
        y=told.y,
        tables=((told.heads, told.rows),),
        pictures=tuple((caption, directory / name) for caption, name in told.pictures),
        shelves=tuple(
            Shelf(shelf.title, tuple(one._replace(file=str(directory / one.file)) for one in shelf.tiles))
            for shelf in told.shelves
        ),
        facts=[*([("Command", manifest.command)] if manifest.command else []), *repeat_facts(manifest)],
        flags=[flag for model in manifest.models for flag in model.flags],
        beside=() if told.blind is None else ((BLIND, f"{told.blind.question} Judge without being told"),),
    )
    return write_page(directory / "report.html", html)


def plain_page(
    title: str,
    sentences: Sequence[str],
    *,
    about: tuple[str, str] = ("", ""),
    curves: Sequence[Curve] = (),
    x: str = "",
    y: str = "",
    tables: Sequence[tuple[Sequence[str], Sequence[Sequence[Cell]]]] = (),
    pictures: Sequence[tuple[str, Path]] = (),
    shelves: Sequence[Shelf] = (),
    facts: Sequence[tuple[str, str]] = (),
    flags: Sequence[FlagRecord] = (),
    beside: Sequence[tuple[str, str]] = (),
) -> str:
    """One HTML file. sentences: the headline, and what else there is to say. about: what, on what.

    curves, x, y: a chart and the titles of its axes; one that ends in "accuracy", "rate" or "share" has fractions.
    tables: (heads, rows), the first column naming the rows; rates come as ``Measured``. pictures: (caption, file).
    shelves: with their files as they are found from here. facts: (term, value) at the end. flags: reasons to doubt it.
    beside: other pages in its folder, (file, what it is).
    """
    chart = plain_chart(curves, x, y)
    shown = [{"heads": list(heads), "rows": [list(map(told_cell, row)) for row in rows]} for heads, rows in tables]
    context: dict[str, Any] = {
        "title": title,
        "about": about,
        "sentences": list(sentences),
        "chart": chart,
        "tables": shown,
        "pictures": [],
        "shelves": [],
        "facts": facts,
        "flags": flag_cards(flags),
        "beside": beside,
    }
    scripts = [javascript()] if chart else []
    scripts.append((HERE / "page.js").read_text(encoding="utf-8"))

    def rendered(shown: list[dict[str, Any]], tiles: list[dict[str, Any]]) -> str:
        filled = context | {"pictures": shown, "shelves": tiles}
        return page(HERE, "plain.html.j2", filled, styles=["page.css"], scripts=scripts)

    count = len(pictures) + sum(len(shelf.tiles) for shelf in shelves)
    room = LIMIT - len(rendered([], []).encode("utf-8")) - _AROUND * count
    each = room // max(count, 1)
    return rendered(
        [_picture(caption, path, each) for caption, path in pictures],
        [
            {
                "title": shelf.title,
                "tiles": [one._asdict() | _picture(one.caption, place_of(one.file), each) for one in shelf.tiles],
            }
            for shelf in shelves
        ],
    )


def _picture(caption: str, path: Path, room: int) -> dict[str, Any]:
    try:
        with Image.open(BytesIO(content_of(path))) as image:
            small = embedded(image.convert("RGB"), room)
    except OSError as error:
        raise BrittleError(f"cannot read {str(path)!r} ({error}); the same command makes it again") from None
    return {"caption": caption, "small": small, "pixelated": max(small.width, small.height) <= PIXELATED}
