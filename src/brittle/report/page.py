"""The report of an audit: a view for each model and goal, and beside each other where there are several."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from brittle.errors import BrittleError
from brittle.measure import (
    MEASURES,
    Case,
    Summary,
    every_sides,
    judge_defences,
    judged,
    leaderboard,
    summarize,
    transfer_matrices,
)
from brittle.pages.files import replace_file
from brittle.pages.html import page, within_limit
from brittle.pages.pictures import trios
from brittle.records import (
    FlagRecord,
    Manifest,
    View,
    damaged_images,
    read_certificates,
    read_manifest,
    read_records,
    read_transfers,
)
from brittle.report import gallery, pictures, sections
from brittle.report.by_class import by_class
from brittle.report.charts import POINTS, chart_of, javascript
from brittle.report.defences import defences_section
from brittle.report.leaderboard import leaderboard_section
from brittle.report.transfer import transfer_section

HERE = Path(__file__).parent
HERO_BUDGET = 900_000
HERO_SIDE = 320
GALLERY_SIDE = 176


def write_report(directory: Path, *, on_flag: Callable[[FlagRecord], None] | None = None) -> Path:
    """Write ``report.html`` into the run directory of an audit, from that directory alone, and return its path.

    The file is replaced in one go and is at most 5 MB. Works on unfinished runs and on runs without stored images.
    on_flag: is told what only shows now, on the page's list of flags too: that images on the disk are damaged.
    Raises BrittleError where there is no run, or where the file cannot be written.
    """
    manifest = read_manifest(directory)
    html = render(directory, manifest, read_records(directory, manifest), on_flag)
    return write_page(directory / "report.html", html)


class _Part(NamedTuple):
    """A view with what is known of it. prefix: of its anchors."""

    view: View
    records: pd.DataFrame
    summary: Summary
    cases: dict[str, list[Case]]
    hero: Case | None
    prefix: str


def render(
    directory: Path, manifest: Manifest, records: pd.DataFrame, on_flag: Callable[[FlagRecord], None] | None = None
) -> str:
    """The page of a run as text."""
    views = list(manifest.views())
    parts = [
        _part(view, records, f"v{number}-" if len(views) > 1 else "", len(views)) for number, view in enumerate(views)
    ]
    wanted = [(part.view, [*(case for each in part.cases.values() for case in each), part.hero]) for part in parts]
    shown = [(view, case) for view, each in wanted for case in each if case is not None]
    damaged = damaged_images(directory, manifest, {(case.slug, case.position) for _, case in shown})
    if damaged:
        flag = sections.damage_flag(directory, damaged)
        parts = [part._replace(summary=_flagged(part.summary, flag)) for part in parts]
        if on_flag:
            on_flag(flag)
    pairs = pictures.load(directory, shown, damaged)
    at_first = {key: pairs[key] for part in parts if part.hero and (key := _key(part.hero)) in pairs}
    heroes = trios(at_first, HERO_SIDE, HERO_BUDGET)
    contexts = [_context(part, heroes, POINTS // len(parts)) for part in parts]
    transfers = read_transfers(directory, manifest)
    common = _common(manifest, records, parts) | {
        "judged": defences_section(
            judge_defences(every_sides(manifest, records, transfers), read_certificates(directory, manifest))
        ),
        "transfer": transfer_section(transfer_matrices(manifest, records, transfers)),
    }

    def rendered(made: gallery.Pictures) -> str:
        filled = [context | {"gallery": _gallery(part, made)} for part, context in zip(parts, contexts, strict=True)]
        return _page(common | {"views": filled})

    return within_limit(rendered, pairs, GALLERY_SIDE)


def write_page(target: Path, html: str) -> Path:
    """Writes a page, whole; BrittleError where it cannot be written."""
    try:
        replace_file(target, html.encode("utf-8"))
    except OSError as error:
        raise BrittleError(f"expected to write {str(target)!r}, got {error.strerror}; check the permissions") from None
    return target


def _part(view: View, records: pd.DataFrame, prefix: str, views: int) -> _Part:
    rows = judged(view.of(records))
    summary = summarize(view, rows)
    found = gallery.chosen(view, rows, views * len(view.attacks))
    return _Part(view, rows, summary, found, gallery.hero(view, summary, rows), prefix)


def _gallery(part: _Part, made: gallery.Pictures) -> dict[str, Any]:
    first = None if part.hero is None else part.hero.attack
    return gallery.gallery(part.view, part.summary, part.cases, made, first)


def _key(case: Case) -> tuple[str, int]:
    return case.slug, case.position


def _flagged(summary: Summary, flag: FlagRecord) -> Summary:
    return summary.model_copy(update={"flags": [*summary.flags, flag]})


def _context(part: _Part, heroes: gallery.Pictures, points: int) -> dict[str, Any]:
    view, summary = part.view, part.summary
    flags = sections.flag_cards(summary.flags)
    weights = [card["weight"] for card in flags]
    return {
        "prefix": part.prefix,
        "name": f"{view.model}, {view.goal}",
        "model": view.model,
        "summary": summary,
        "images": view.images,
        "device": view.device,
        "figures": sections.figures(summary),
        "hero": part.hero and gallery.shown(view, summary, part.hero, heroes),
        "chart": chart_of(view, summary, part.records, points),
        "budgets": any(attack.kind == "budget" for attack in summary.attacks),
        "table": sections.measures_table(summary),
        "classes": by_class(summary),
        "cost": sections.cost_rows(summary),
        "flags": flags,
        "doubts": weights.count("doubt"),
        "notes": weights.count("note"),
    }


def _common(manifest: Manifest, records: pd.DataFrame, parts: list[_Part]) -> dict[str, Any]:
    several = len(parts) > 1
    board = leaderboard(manifest, records, [part.summary for part in parts]) if several else None
    return {
        "manifest": manifest,
        "several": several,
        "board": board and leaderboard_section(board, {(one.view.model, one.view.goal): one.prefix for one in parts}),
        "definitions": MEASURES,
        "facts": sections.repeat_facts(manifest),
        "spec_json": manifest.model_dump_json(indent=2),
        "made_by": f"brittle {manifest.versions.get('brittle', '')}",
    }


def _page(context: dict[str, Any]) -> str:
    scripts = [javascript()] if any(view["chart"] for view in context["views"]) else []
    scripts.append((HERE / "page.js").read_text(encoding="utf-8"))
    return page(HERE, "page.html.j2", context, styles=["page.css"], scripts=scripts)
