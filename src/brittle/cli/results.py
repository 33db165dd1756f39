"""The results of a run, of any study, on stdout: a table for people, or JSON."""

import json
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from brittle.crafting.summary import line_of
from brittle.crafting.written import read_crafted
from brittle.measure import (
    JudgedDefences,
    Measured,
    Sized,
    Told,
    TransferMatrix,
    every_sides,
    judge_defences,
    leaderboard,
    summaries,
    transfer_matrices,
)
from brittle.measure.told import Cell
from brittle.pages.words import norm_text, value_text
from brittle.records import Manifest
from brittle.report import summary_table
from brittle.report.defences import detectors_told, each_told, judged_told
from brittle.report.leaderboard import leaderboard_told
from brittle.report.transfer import matrix_told
from brittle.report.worded import count_text, interval_text
from brittle.run.engine import Run
from brittle.studies import STUDIES
from brittle.text import plain


def print_results(run: Run, page: Path | None = None) -> None:
    """What was found, and where to look at it."""
    console = Console()
    if run.manifest.study == "audit":
        views = summaries(run.manifest, run.records)
        for summary in views:
            if len(views) > 1:
                console.print(Text(f"\n{summary.model}, {summary.goal}", style="bold underline"))
            console.print(summary_table(summary))
        if len(views) > 1:
            console.print()
            print_told(leaderboard_told(leaderboard(run.manifest, run.records, views)))
        defences = defences_of(run, beside=False)
        for told in defences or map(matrix_told, transfers_of(run)):
            console.print()
            print_told(told)
    elif run.manifest.study == "craft":
        several = len(run.manifest.attacks) > 1
        for one in read_crafted(run.directory):
            console.print(Text(line_of(one, by=several)), soft_wrap=True)
    else:
        print_told(told_of(run))
    if page is not None:
        kind = {"audit": "report", "craft": "pictures" if page.is_dir() else "page"}.get(run.manifest.study, "report")
        console.print(Text(f"{kind}: {page}"), soft_wrap=True)


def results_json(run: Run) -> str:
    """The same as JSON: ``views`` of an audit, ``crafted`` results, or what else its study tells."""
    head = {"study": run.manifest.study}
    if run.manifest.study == "audit":
        views = summaries(run.manifest, run.records)
        content: Any = {"views": [summary.model_dump(mode="json") for summary in views]}
        if len(views) > 1:
            content["leaderboard"] = leaderboard(run.manifest, run.records, views).model_dump(mode="json")
        if any(model.defends for model in run.manifest.models):
            judged = _judged(run)
            content["defences"] = [one.model_dump(mode="json") for one in judged.defences]
            content["detectors"] = [one.model_dump(mode="json") for one in judged.detectors]
            content["defences_by_attack"] = [one.model_dump(mode="json") for one in judged.alone]
        if run.manifest.transfer is not None:
            content["transfer"] = [matrix.model_dump(mode="json") for matrix in transfers_of(run)]
    elif run.manifest.study == "craft":
        content = {"crafted": json.loads(run.records.to_json(orient="records"))}
    else:
        content = _content(told_of(run))
    return json.dumps(head | content, indent=2)


def transfers_of(run: Run) -> list[TransferMatrix]:
    """What was made for one model and graded on others, as matrices."""
    return transfer_matrices(run.manifest, run.records, run.transfers)


def defences_of(run: Run, *, beside: bool = True) -> list[Told]:
    """Defended models judged, all attacks together and each by itself; none without. beside: as ``judged_told``."""
    judged = _judged(run)
    if not judged.defences:
        return []
    seen = [detectors_told(judged.detectors)] if judged.detectors else []
    return [judged_told(judged.defences, beside=beside), *seen, each_told(judged.alone)]


def _judged(run: Run) -> JudgedDefences:
    return judge_defences(every_sides(run.manifest, run.records, run.transfers), run.certificates)


def comparisons_json(told: Sequence[Told]) -> str:
    """The first of some audits against each other one, as JSON."""
    return json.dumps({"comparisons": [_content(one) for one in told]}, indent=2)


def print_told(told: Told) -> None:
    """Sentences, and a table."""
    console = Console()
    for sentence in told.sentences:
        console.print(Text(sentence), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for number, head in enumerate(told.heads):
        whole = any(not isinstance(row[number], str) for row in told.rows)  # a number is not broken
        table.add_column(Text(textwrap.fill(head, 9) if whole else head), overflow="fold", no_wrap=whole)
    for row in told.rows:
        table.add_row(*(Text(_text(cell)) for cell in row))
    console.print(table)


def _text(cell: Cell) -> str:
    if isinstance(cell, Measured):
        interval = interval_text(cell, "fraction").replace(" to ", "\u2013").replace(" %", "")
        return f"{value_text(cell.value, 'fraction')}\n{count_text(cell)}\n{interval}".rstrip()
    if isinstance(cell, Sized):
        text = value_text(cell.measured.value, cell.unit, cell.norm)
        known = cell.measured.value is not None and cell.unit == "distance"
        return f"{text} {norm_text(cell.norm)}" if known else text.replace(" ", "\n")
    return plain(cell) if isinstance(cell, (int, float)) else cell


def _content(told: Told) -> dict[str, Any]:
    rows = [dict(zip(told.heads, map(_json, row), strict=True)) for row in told.rows]
    pictures = [{"title": shelf.title, **tile._asdict()} for shelf in told.shelves for tile in shelf.tiles]
    return {"sentences": told.sentences, "rows": rows} | ({"pictures": pictures} if pictures else {})


def _json(cell: Cell) -> Any:
    if isinstance(cell, Sized):
        return cell.measured.model_dump(mode="json") | {"unit": cell.unit}
    if isinstance(cell, float) and not math.isfinite(cell):
        return None  # JSON has no other word for it
    return cell.model_dump(mode="json") if isinstance(cell, Measured) else cell


def told_of(run: Run) -> Told:
    """What a study that is neither an audit nor crafting tells of a run."""
    manifest: Manifest = run.manifest
    tell = STUDIES[manifest.study].tell
    return Told((f"{manifest.study}: {len(run.records):,} records",)) if tell is None else tell(manifest, run.records)
