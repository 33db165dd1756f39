"""The page of a repeated experiment: what a source claims beside what was measured, plots, pictures and deviations."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

from brittle.measure import Measured, judged, summarize
from brittle.measure.claims import FACT, FACTORS, VERDICTS, Claim, Judged
from brittle.measure.ledger import BesideTold, Ledger
from brittle.pages.html import page, within_limit
from brittle.pages.pictures import Pair, Trio
from brittle.records import MANIFEST, View, read_manifest, read_records
from brittle.report import gallery, pictures
from brittle.report.charts import drawing_of, javascript, plain_chart
from brittle.report.page import HERE, write_page
from brittle.text import NONE, counted, percent, significant

SIDE = 176
SHOWN = 24
"""Pictures that a page shows at most."""
SMALL, FEW = 96, 6
"""The same of a page that stands by itself."""

_BETWEEN = "\u00a0\u00b7 "

READ = {"paper": "read in the source", "second hand": "second hand", "recalled": "not verified", "own": "claimed here"}
"""How a published figure was read, in words; what only somebody's memory says is not verified."""
SIGNS: Mapping[str, str] = {"reproduced": "good", "refuted": "doubt", "untested": "open", "not comparable": "open"}


def write_ledger(target: Path, ledger: Ledger, directory: Path | None = None) -> Path:
    """Writes the page of a study into its directory, from that alone; the runs of its steps are linked.

    directory: the study's, where the page is to stand elsewhere. It is a small one then, with a few pictures, plots
    that are drawn already, and no links.
    """
    charts = [(one, plain_chart(one.curves, one.x, one.y)) for one in ledger.plots]
    small = directory is not None
    shown = _shown(directory or target.parent, ledger, FEW if small else SHOWN)
    scripts = [javascript()] if charts and not small else []
    scripts.append((HERE / "page.js").read_text(encoding="utf-8"))
    context: dict[str, Any] = {
        "ledger": ledger,
        "counts": [(verdict, count, SIGNS[verdict]) for verdict, count in ledger.counts.items()],
        "tables": [(title, [_row(one) for one in rows]) for title, rows in _parts(ledger)],
        "besides": [_beside(one) for one in ledger.besides],
        "charts": [(drawn, chart) for drawn, chart in charts if chart is not None],
        "drawings": [Markup(drawing_of(chart)) for _, chart in charts if chart is not None] if small else [],
        "pages": [] if small else [(key, f"{folder}/report.html") for key, folder in ledger.steps],
    }

    def rendered(made: dict[tuple[str, str, int], Trio]) -> str:
        cards = [card | {"trio": made.get(key)} for key, (card, _) in shown.items()]
        return page(HERE, "ledger.html.j2", context | {"cards": cards}, styles=["page.css"], scripts=scripts)

    html = within_limit(rendered, {key: pair for key, (_, pair) in shown.items()}, SMALL if small else SIDE)
    return write_page(target, html)


def listed(ledgers: Mapping[str, Ledger]) -> str:
    """Studies by the names of their files as a Markdown list: networks, data, and how many claims have each verdict."""
    heads = ["study", "networks", "data", *VERDICTS]
    lines = [
        "# Studies\n",
        "As `brittle study pack` wrote them: a page and a JSON file each, with every claim, what was measured and its"
        " verdict.\n",
        "| " + " | ".join(heads) + " |",
        "|" + " --- |" * len(heads),
    ]
    for name, ledger in ledgers.items():
        networks = ", ".join(arm.name for arm in ledger.arms if arm.absent is None)
        cells = [f"[{ledger.title}]({name}.html)", networks, ledger.data, *map(str, ledger.counts.values())]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def verdict_rows(ledger: Ledger) -> list[tuple[str, str, str, str, str]]:
    """(claim, published, measured, verdict, how read), of a published table all figures in one row."""
    found = []
    for place, rows in _parts(ledger):
        if rows[0].claim.kind == "value":
            counts = Counter(one.verdict for one in rows)
            said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
            compared = sum(one.measured[0] is not None for one in rows)
            found.append((place, counted(len(rows), "figure"), f"{compared} measured", said, READ[rows[0].claim.read]))
        else:
            for one in rows:
                row = _row(one)
                found.append((one.claim.id, row["published"], row["measured"], one.verdict, row["read"]))
    return found


def _parts(ledger: Ledger) -> list[tuple[str, list[Judged]]]:
    """What the source says in words, what a recipe asks beside that, and each of the source's tables."""
    words = [one for one in ledger.judged if one.claim.kind != "value"]
    own = [one for one in words if one.claim.read == "own"]
    said = {"What the source says": [one for one in words if one not in own], "What is asked here besides": own}
    parts = {title: rows for title, rows in said.items() if rows}
    for one in ledger.judged:
        if one.claim.kind == "value":
            parts.setdefault(one.claim.place, []).append(one)
    return [(title[0].upper() + title[1:], rows) for title, rows in parts.items()]


def _row(one: Judged) -> dict[str, Any]:
    claim = one.claim
    return {
        "says": claim.says,
        "kind": claim.kind,
        "place": claim.place,
        "published": _published(claim),
        "measured": _values(one.measured, claim),
        "interval": _interval(one.measured[0], claim) if len(one.measured) == 1 else "",
        "defined": _values(one.defined, claim),
        "noise": "" if one.noise is None else figure(one.noise.value, claim),
        "verdict": one.verdict,
        "sign": SIGNS[one.verdict],
        "why": one.why,
        "read": READ[claim.read],
        "sort": one.measured[0].value if one.measured and one.measured[0] is not None else None,
    }


def _beside(one: BesideTold) -> dict[str, Any]:
    rows = [
        (arm, [_number(cell, unit) for cell, unit in zip(cells, one.units, strict=True)]) for arm, cells in one.rows
    ]
    return {"title": one.title, "says": one.says, "heads": one.heads, "rows": rows}


def _number(cell: Measured | None, unit: str) -> dict[str, Any]:
    """A number with its interval, and what to sort it by."""
    value = None if cell is None else cell.value
    interval = ""
    if cell is not None and cell.low is not None and cell.high is not None and cell.low < cell.high:
        interval = f"{in_unit(cell.low, unit).removesuffix(' %')} to {in_unit(cell.high, unit)}"
    return {"text": NONE if value is None else in_unit(value, unit), "interval": interval, "sort": value}


def _published(claim: Claim) -> str:
    if claim.published:
        return _BETWEEN.join(NONE if value is None else figure(value, claim) for value in claim.published)
    bounds = [(claim.above, "> "), (claim.below, "< ")]
    return ", ".join(f"{sign}{figure(bound, claim)}" for bound, sign in bounds if bound is not None) or str(
        claim.relation or "falling"
    )


def _values(found: tuple[Measured | None, ...], claim: Claim) -> str:
    return _BETWEEN.join(NONE if one is None else figure(one.value, claim) for one in found)


def _interval(one: Measured | None, claim: Claim) -> str:
    if one is None or one.low is None or one.high is None:
        return ""
    low, high = figure(one.low, claim), figure(one.high, claim)
    return "" if low == high else f"{low.removesuffix(' %')} to {high}"


def figure(value: float | None, claim: Claim) -> str:
    """A value in the unit that the source prints."""
    if value is None:
        return NONE
    rate = claim.quantities[0].endswith("rate") or "accuracy" in claim.quantities[0]
    if not claim.unit and (rate or claim.relation == "always"):
        return percent(value)
    return in_unit(value, claim.unit)


def in_unit(value: float, unit: str) -> str:
    """A value in a unit of ``FACTORS``."""
    if unit == FACT:
        return "yes" if value else "no"
    number = value / FACTORS[unit]
    return f"{number:.2f} %" if unit == "%" else f"{significant(number, 4)} {unit}".rstrip()


def _shown(directory: Path, ledger: Ledger, most: int) -> dict[tuple[str, str, int], tuple[dict[str, Any], Pair]]:
    """A typical image of each audit and network, with what its caption needs."""
    found: dict[tuple[str, str, int], tuple[dict[str, Any], Pair]] = {}
    for key, folder in ledger.steps:
        place = directory / folder
        if not (place / MANIFEST).exists():
            continue
        manifest = read_manifest(place)
        if manifest.study == "audit" and len(found) < most:
            records = read_records(place, manifest)
            for view in manifest.views():
                if len(found) < most:
                    found |= _of_view(place, view, records, key, folder)
    return found


def _of_view(
    place: Path, view: View, records: pd.DataFrame, key: str, folder: str
) -> dict[tuple[str, str, int], tuple[dict[str, Any], Pair]]:
    rows = judged(view.of(records))
    summary = summarize(view, rows)
    case = gallery.hero(view, summary, rows)
    loaded = {} if case is None else pictures.load(place, [(view, case)])
    if case is None or not loaded:
        return {}
    card = gallery.shown(view, summary, case, {}) | {"model": view.name, "step": key, "page": f"{folder}/report.html"}
    return {(folder, case.slug, case.position): (card, next(iter(loaded.values())))}
