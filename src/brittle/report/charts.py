"""The curves as data for Vega-Lite, whose specification is chart.vl.json; the browser draws them."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import vl_convert

from brittle.measure import NORMS, Summary, accuracy_at, curve, families, thin
from brittle.pages.words import NORM_NAMES
from brittle.records import View
from brittle.text import percent

VEGA_LITE = "6.4"
POINTS = 40_000
"""Points that all curves together may have: about a third of a megabyte."""
COLOURS = 8
DASHES = ([1, 0], [7, 4], [2, 3], [10, 3, 2, 3])


@dataclass(frozen=True, slots=True)
class Chart:
    """What the page needs to draw the curves, and to say the same in a table."""

    data: dict[str, Any]  # for the script
    legend: list[dict[str, Any]]  # label, colour (1-based), dash
    tables: list[dict[str, Any]]  # one per norm: name, attacks, rows of (size, heights)


@cache
def javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed in one classic script without any further request."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE))


def chart_of(manifest: View, summary: Summary, records: pd.DataFrame) -> Chart | None:
    """The chart of a run, with the budgets of a sweep as one curve; None where no attack has a record."""
    members = {family.label: [spec.label for spec in family.attacks] for family in families(manifest)}
    labels = list(members)
    exact = {(norm, label): curve(records, members[label], norm) for norm in NORMS for label in labels}
    if not any(len(x) for x, _ in exact.values()):
        return None
    limit = max(20, min(200, POINTS // len(exact)))
    series, tables = [], []
    for norm in NORMS:
        drawn = {label: exact[norm, label] for label in labels if len(exact[norm, label][0])}
        ends = np.concatenate([x for x, _ in drawn.values()])
        right = float(ends.max()) * 1.03 or 1.0
        floor = max(float(ends[ends > 0].min(initial=right)), right / 1e4) * 0.8
        for label, (x, y) in drawn.items():
            x, y = thin(x, y, limit)
            distance = [float(f"{value:.5g}") for value in [*x, right]]  # carried on to the edge of the chart
            accuracy = [round(float(value), 4) for value in [*y, y[-1]]]
            line = {"attack": label, "norm": norm, "floor": floor, "distance": distance, "accuracy": accuracy}
            series.append(line)
        tables.append(_table(norm, drawn, right))
    legend = [
        {"label": label, "colour": index % COLOURS + 1, "dash": DASHES[index // COLOURS % len(DASHES)]}
        for index, label in enumerate(labels)
    ]
    data = {
        "attacks": labels,
        "colours": [f"var(--c{entry['colour']})" for entry in legend],
        "dashes": [entry["dash"] for entry in legend],
        "series": series,
        "titles": {norm: f"size of the change, {NORM_NAMES[norm].axis}" for norm in NORMS},
        "still": "still classified correctly" if summary.labelled else "answer unchanged",
    }
    return Chart(data=data, legend=legend, tables=tables)


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
