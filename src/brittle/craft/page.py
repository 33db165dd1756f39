"""Several photographs and several wishes on one page."""

import base64
import hashlib
import statistics
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from brittle.craft.crafted import Crafted
from brittle.craft.pictures import noise_picture, photograph

HERE = Path(__file__).parent
_SIDES = (176, 144, 112, 80, 56)  # of the pictures: the largest with which the page stays below the limit
_LIMIT = 4_800_000
_MEASURES = (
    ("confidence", "confidence", "{:.1%}"),
    ("CIEDE2000, mean over the pixels", "visibility.colour_mean", "{:.2f}"),
    ("CIEDE2000, 99th percentile", "visibility.colour_p99", "{:.2f}"),
    ("SSIM", "visibility.ssim", "{:.4f}"),
    ("steps", "steps", "{:.0f}"),
    ("seconds", "seconds", "{:.1f}"),
)


class Compared(NamedTuple):
    """One way of crafting, for a page that compares several."""

    space: str
    penalty: str
    optimiser: str
    crafted: Crafted


def matrix_page(crafted: Sequence[Crafted]) -> str:
    """One self-contained HTML page without scripts: a row for each photograph, a cell for each wish, at most 5 MB."""
    photos: dict[str, list[Crafted]] = {}
    for one in crafted:
        photos.setdefault(one.photo, []).append(one)
    return _smallest(lambda side: {"photos": [_row(name, cells, side) for name, cells in photos.items()]}, crafted)


def comparison_page(rows: Sequence[Compared]) -> str:
    """The same for several ways of crafting: for each photograph and wish a table of spaces, penalties, optimisers."""
    groups: dict[tuple[str, str], list[Compared]] = {}
    for row in rows:
        groups.setdefault((row.crafted.photo, row.crafted.wish), []).append(row)

    def context(side: int) -> dict[str, Any]:
        return {
            "groups": [
                {
                    "photo": photo,
                    "wish": ways[0].crafted.target_name or wish,
                    "original": _uri(photograph(ways[0].crafted.original), side),
                    "ways": [{"way": way, "cell": _cell(way.crafted, side)} for way in ways],
                }
                for (photo, wish), ways in groups.items()
            ]
        }

    return _smallest(context, [row.crafted for row in rows])


def _smallest(context: Any, crafted: Sequence[Crafted]) -> str:
    """The page with the largest pictures that leave it within the limit."""
    page = ""
    for side in _SIDES:
        page = _page(context(side) | {"headline": _headline(crafted), "summary": _summary(crafted)})
        if len(page.encode("utf-8")) <= _LIMIT:
            break
    return page


def _headline(crafted: Sequence[Crafted]) -> str:
    reached, wanted = sum(one.reached for one in crafted), crafted[0].wanted
    change = statistics.median(one.visibility.colour_mean for one in crafted)
    return (
        f"{reached} of {len(crafted)} wishes came true at {wanted:.0%} confidence or more; the median change is"
        f" {change:.2f} CIEDE2000, where about 1 is what can just be seen."
    )


def _summary(crafted: Sequence[Crafted]) -> list[tuple[str, ...]]:
    rows = []
    for name, path, form in _MEASURES:
        values = [_value(one, path) for one in crafted]
        rows.append((name, *(form.format(of(values)) for of in (min, statistics.median, max))))
    return rows


def _value(one: Any, path: str) -> float:
    for name in path.split("."):
        one = getattr(one, name)
    return float(one)


def _row(name: str, cells: Sequence[Crafted], side: int) -> dict[str, Any]:
    label, likely = cells[0].before[0]
    return {
        "name": name,
        "label": label,
        "likely": likely,
        "original": _uri(photograph(cells[0].original), side),
        "cells": [_cell(one, side) for one in cells],
    }


def _cell(one: Crafted, side: int) -> dict[str, Any]:
    noise, factor = noise_picture(one.original, one.perturbed)
    return {
        "one": one,
        "picture": _uri(photograph(one.perturbed), side),
        "noise": _uri(noise, side),
        "factor": factor,
        "now": one.after[0][0],
    }


def _uri(image: Image.Image, side: int) -> str:
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    small.save(buffer, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _page(context: dict[str, Any]) -> str:
    """Every text is escaped; the policy lets the page load nothing and run nothing."""
    style = (HERE / "page.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'"
    template = environment.get_template("page.html.j2")
    return template.render(context, style=Markup(style), policy=policy)
