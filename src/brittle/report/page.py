"""The report: one HTML file that works without a network and trusts nothing that came from outside."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from brittle.errors import BrittleError
from brittle.measure import MEASURES, Case, Summary, cases, summarize
from brittle.pages.files import replace_file
from brittle.pages.html import page, within_limit
from brittle.pages.pictures import Trio, trios
from brittle.records import FlagRecord, View, damaged_images, read_manifest, read_records
from brittle.report import pictures, sections
from brittle.report.charts import chart_of, javascript

HERE = Path(__file__).parent
HERO_BUDGET = 900_000
HERO_SIDE = 320
GALLERY_SIDE = 176


def write_report(directory: Path, *, on_flag: Callable[[FlagRecord], None] | None = None) -> Path:
    """Write ``report.html`` into a run directory, from that directory alone, and return its path.

    The file is replaced in one go and is at most 5 MB. Works on unfinished runs and on runs without stored images.
    on_flag: is told what only shows now, on the page's list of flags too: that images on the disk are damaged.
    Raises BrittleError where there is no run, or where the file cannot be written.
    """
    manifest = read_manifest(directory)
    view = next(manifest.views())
    html = render(directory, view, view.of(read_records(directory, manifest)), on_flag)
    target = directory / "report.html"
    try:
        replace_file(target, html.encode("utf-8"))
    except OSError as error:
        raise BrittleError(f"expected to write {str(target)!r}, got {error.strerror}; check the permissions") from None
    return target


def render(
    directory: Path, manifest: View, records: pd.DataFrame, on_flag: Callable[[FlagRecord], None] | None = None
) -> str:
    """The page of a run as text."""
    summary = summarize(manifest, records)
    chosen = {spec.label: cases(manifest, spec, records) for spec in manifest.attacks}
    every = [case for found in chosen.values() for case in found]
    damaged = damaged_images(directory, manifest.manifest, {(case.slug, case.position) for case in every})
    if damaged:
        flag = sections.damage_flag(directory, damaged)
        summary = summary.model_copy(update={"flags": [*summary.flags, flag]})
        if on_flag:
            on_flag(flag)
    pairs = pictures.load(directory, manifest, every, damaged)
    context = _context(manifest, summary, records)
    hero_key = _hero_key(summary, chosen)
    hero_pair = {hero_key: pairs[hero_key]} if hero_key in pairs else {}
    heroes = trios(hero_pair, HERO_SIDE, HERO_BUDGET)
    hero_case = next((case for case in every if (case.slug, case.position) == hero_key and case.role == "median"), None)
    context["hero"] = hero_case and _shown(manifest, hero_case, heroes)

    def rendered(made: dict[tuple[str, int], Trio]) -> str:
        return _page(context | {"gallery": _gallery(manifest, summary, chosen, made)})

    return within_limit(rendered, pairs, GALLERY_SIDE)


def _context(manifest: View, summary: Summary, records: pd.DataFrame) -> dict[str, Any]:
    chart = chart_of(manifest, summary, records)
    flags = sections.flag_cards(summary)
    weights = [card["weight"] for card in flags]
    return {
        "summary": summary,
        "manifest": manifest,
        "figures": sections.figures(summary),
        "chart": chart,
        "spec_object": json.loads((HERE / "chart.vl.json").read_text(encoding="utf-8")),
        "budgets": any(attack.kind == "budget" for attack in summary.attacks),
        "table": sections.measures_table(summary),
        "definitions": MEASURES,
        "cost": sections.cost_rows(summary),
        "flags": flags,
        "doubts": weights.count("doubt"),
        "notes": weights.count("note"),
        "facts": sections.repeat_facts(manifest),
        "spec_json": manifest.manifest.model_dump_json(indent=2),
    }


def _hero_key(summary: Summary, chosen: dict[str, list[Case]]) -> tuple[str, int] | None:
    """The median case of the strongest minimal attack, or of the strongest one."""
    for case in chosen.get(summary.strongest_minimal or summary.strongest or "", []):
        if case.role == "median":
            return case.slug, case.position
    return None


def _gallery(
    manifest: View,
    summary: Summary,
    chosen: dict[str, list[Case]],
    made: dict[tuple[str, int], Trio],
) -> list[dict[str, Any]]:
    out = []
    for attack in summary.attacks:
        success = attack.measures["attack_success_rate"]
        left = (success.of or 0) - (success.count or 0)
        shown = [_shown(manifest, case, made) for case in chosen[attack.label]]
        out.append({"label": attack.label, "cases": shown, "left": left, "of": success.of or 0})
    return out


def _shown(manifest: View, case: Case, made: dict[tuple[str, int], Trio]) -> dict[str, Any]:
    minimal = any(spec.label == case.attack and spec.kind == "minimal" for spec in manifest.attacks)
    shown = {
        "attack": case.attack,
        "minimal": minimal,
        "trio": made.get((case.slug, case.position)),
        "kept": manifest.images != "none",
    }
    return sections.case_caption(manifest, case) | shown


def _page(context: dict[str, Any]) -> str:
    scripts = [javascript()] if context["chart"] else []
    scripts.append((HERE / "page.js").read_text(encoding="utf-8"))
    made_by = f"brittle {context['manifest'].versions.get('brittle', '')}"
    return page(HERE, "page.html.j2", context | {"made_by": made_by}, styles=["page.css"], scripts=scripts)
