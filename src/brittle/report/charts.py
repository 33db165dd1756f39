"""The curves as data for Vega-Lite, whose specification is chart.vl.json; the browser draws them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import vl_convert

from brittle.measure import NORMS, Curve, Summary, accuracy_at, curve, families, thin
from brittle.pages.colours import colours, dash
from brittle.pages.words import NORM_NAMES
from brittle.records import View
from brittle.text import percent

HERE = Path(__file__).parent
VEGA_LITE = "6.4"
POINTS = 40_000
"""Points that all curves together may have: about a third of a megabyte."""


@dataclass(frozen=True, slots=True)
class Chart:
    """What the page needs to draw the curves, and to say the same in a table."""

    data: dict[str, Any]  # for the script
    spec: dict[str, Any]  # for Vega-Lite
    legend: list[dict[str, Any]]  # label, colour, dash
    tables: list[dict[str, Any]]  # one per norm: name, attacks, rows of (size, heights)
    style: str  # that the colours need


@cache
def javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed in one classic script without any further request."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE))


def chart_of(view: View, summary: Summary, records: pd.DataFrame, points: int = POINTS) -> Chart | None:
    """The chart of a view, with the budgets of a sweep as one curve; None where no attack has a record."""
    members = {family.title: [spec.label for spec in family.attacks] for family in families(view)}
    exact = {(norm, title): curve(records, members[title], norm) for norm in NORMS for title in members}
    titles = [title for title in members if any(len(exact[norm, title][0]) for norm in NORMS)]
    if not titles:
        return None
    limit = max(20, min(200, points // len(exact)))
    series, tables = [], []
    for norm in NORMS:
        drawn = {title: exact[norm, title] for title in titles if len(exact[norm, title][0])}
        ends = np.concatenate([x for x, _ in drawn.values()])
        right = float(ends.max()) * 1.03 or 1.0
        floor = max(float(ends[ends > 0].min(initial=right)), right / 1e4) * 0.8
        for title, (x, y) in drawn.items():
            x, y = thin(x, y, limit)
            distance = [float(f"{value:.5g}") for value in [*x, right]]  # carried on to the edge of the chart
            accuracy = [round(float(value), 4) for value in [*y, y[-1]]]
            line = {"name": title, "norm": norm, "floor": floor, "distance": distance, "accuracy": accuracy}
            series.append(line)
        tables.append(_table(norm, drawn, right))
    data, legend, style = _lines(titles)
    data |= {
        "series": series,
        "titles": {norm: f"size of the change, {NORM_NAMES[norm].axis}" for norm in NORMS},
        "still": "still classified correctly" if summary.labelled else "answer unchanged",
    }
    return Chart(data, _specification("chart.vl.json"), legend, tables, style)


def plain_chart(curves: Sequence[Curve], x: str, y: str) -> Chart | None:
    """Any curves on two axes; None without points."""
    drawn = [curve for curve in curves if curve.x]
    if not drawn:
        return None
    data, legend, style = _lines([curve.name for curve in drawn])
    data |= {
        "series": [{"name": curve.name, "x": list(curve.x), "y": list(curve.y)} for curve in drawn],
        "x": x,
        "y": y,
        "format": ".0%" if is_fraction(y) else "~r",
    }
    return Chart(data, _specification("plain.vl.json"), legend, [], style)


def drawing_of(chart: Chart) -> str:
    """The SVG of a ``plain_chart``, in the page's own colours, for pages without the script that draws it."""
    data = chart.data
    points = [
        {"name": one["name"], "x": x, "y": y} for one in data["series"] for x, y in zip(one["x"], one["y"], strict=True)
    ]
    names = data["names"]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": 640,
        "height": 280,
        "background": "transparent",
        "data": {"values": points},
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": {"field": "x", "type": "quantitative", "title": data["x"]},
            "y": {"field": "y", "type": "quantitative", "title": data["y"], "axis": {"format": data["format"]}},
            "order": {"field": "x"},
            "color": {"field": "name", "scale": {"domain": names, "range": data["colours"]}, "legend": None},
            "strokeDash": {"field": "name", "scale": {"domain": names, "range": data["dashes"]}, "legend": None},
        },
        "config": {
            "view": {"stroke": None},
            "font": "system-ui, sans-serif",
            "axis": {
                "gridOpacity": 0.2,
                **{f"{one}Color": "currentColor" for one in ("label", "title", "domain", "tick", "grid")},
            },
        },
    }
    return str(vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE))


def is_fraction(title: str) -> bool:
    """Whether a column or an axis of this title has fractions, to be read as percentages."""
    return title.lower().endswith(("accuracy", "rate", "share"))


def _lines(names: Sequence[str]) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    used, style = colours(len(names))
    legend = [
        {"label": name, "colour": colour, "dash": dash(number, len(names))}
        for number, (name, colour) in enumerate(zip(names, used, strict=True))
    ]
    return {"names": list(names), "colours": used, "dashes": [line["dash"] for line in legend]}, legend, style


def _specification(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / name).read_text(encoding="utf-8"))
    return found


def _table(norm: str, drawn: dict[str, tuple[Any, Any]], right: float) -> dict[str, Any]:
    """Heights of the curves at round sizes: what the chart says, for those who cannot see or hover."""
    rows = []
    for size in _round_sizes(right, whole=norm == "l0"):
        heights = [accuracy_at(x, y, size) for x, y in drawn.values()]
        rows.append((f"{size:,.6g}", [percent(height) if height is not None else "" for height in heights]))
    return {"name": NORM_NAMES[norm].long, "attacks": list(drawn), "rows": rows}


def _round_sizes(right: float, *, whole: bool) -> list[float]:
    """1, 2, 5, 10... times a power of ten, over the two decades below ``right``."""
    decade = int(np.floor(np.log10(right)))
    sizes = [m * 10.0**e for e in range(decade - 2, decade + 1) for m in (1, 2, 5)]
    return [size for size in sizes if right / 100 <= size <= right and (not whole or size >= 1)]
