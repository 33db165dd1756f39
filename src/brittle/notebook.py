"""How results show themselves in a notebook: a small table, from what is there. Nothing is run for it."""

from collections.abc import Sequence
from functools import singledispatch

import torch

from brittle.catalog import label_of, traits_of
from brittle.goals import Untargeted
from brittle.measure import MEASURES, Compared, Measured, Told, rate, summaries
from brittle.measure.attack import median
from brittle.pages.notebook import Cell, Picture, Table, card
from brittle.pages.pictures import Pair, trios
from brittle.pages.words import norm_text
from brittle.report.sections import measured_cell, told_cell
from brittle.run.attack import Found
from brittle.run.engine import Run
from brittle.studies import STUDIES
from brittle.text import NONE, colour, counted, duration, percent, significant

AUDITED = ("fooling_rate", "fooling_rate_8bit", "median_distance", "forwards", "backwards")
ROWS = 20
"""Of a table, at most: more is what a page is for."""
PAIRS, SIDE, BUDGET = 3, 112, 60_000


@singledispatch
def html(result: object) -> str:
    """A result as HTML that stands alone, takes the colours of its surroundings and escapes every name."""
    raise TypeError(f"expected Found, Run, Told or what compare returns, got {type(result).__name__}")


@html.register
def _found(found: Found) -> str:
    fooled, whole = found.fooled.cpu(), len(found.fooled)
    norm = traits_of(found.method).norm.name
    distances = found.distance(norm).cpu()
    changed = fooled & (distances > 0)
    asked = "untargeted" if isinstance(found.goal, Untargeted) else "targeted"
    rows = [("fooled", _cell(rate(int(fooled.sum()), whole), "fraction"))]
    if at_once := int((fooled & ~changed).sum()):
        rows.append(("of them without a change", Cell(f"{at_once:,}", "the goal was met to begin with")))
    rows += [
        (f"median {norm_text(norm)} distance", _cell(median(distances[changed].tolist()), "distance", norm)),
        ("forward passes", Cell(_mean(found.forwards), "mean of all images")),
        ("backward passes", Cell(_mean(found.backwards))),
        ("time", Cell(duration(found.seconds), "for all images")),
    ]
    return card(
        f"{label_of(found.method)}, {asked}: {counted(whole, 'image')}",
        tables=[Table((), [[Cell(name), cell] for name, cell in rows])],
        flags=[(flag.code, flag.message) for flag in found.flags],
        pictures=_pictures(found, changed),
    )


@html.register
def _run(run: Run) -> str:
    manifest = run.manifest
    title = f"{manifest.study} of {', '.join(model.name for model in manifest.models)} on {manifest.data}"
    under = str(run.directory)
    if manifest.study == "audit":
        return _audit(run, title, under)
    if manifest.study == "craft":
        return card(title, sentences=[under], tables=[_crafted(run)], flags=_preflight(run))
    tell = STUDIES[manifest.study].tell
    told = Told((f"{len(run.records):,} records",)) if tell is None else tell(manifest, run.records)
    return card(title, sentences=[*told.sentences, under], tables=[_table(told)], flags=_preflight(run))


@html.register
def _told(told: Told) -> str:
    return card(told.sentences[0], sentences=told.sentences[1:], tables=[_table(told)])


@html.register
def _compared(compared: Compared) -> str:
    return "".join(map(_told, compared))


def _audit(run: Run, title: str, under: str) -> str:
    views = summaries(run.manifest, run.records)
    said, tables = [], []
    for summary in views:
        where = f"{summary.model}, {summary.goal}: " if len(views) > 1 else ""
        said.append(where + " ".join(summary.headline))
        rows = [
            [
                Cell(attack.label),
                *(_cell(attack.measures[key], MEASURES[key].unit, attack.distance_norm) for key in AUDITED),
            ]
            for attack in summary.attacks
        ]
        tables.append(_some((f"{where}attack", *(MEASURES[key].name for key in AUDITED)), rows))
    flags = dict.fromkeys((flag.code, flag.message) for summary in views for flag in summary.flags)
    return card(title, sentences=[*said, under], tables=tables, flags=list(flags))


def _crafted(run: Run) -> Table:
    """A row for each picture, as the saved file was read again."""
    rows = [
        [
            Cell(row["photograph"]),
            Cell(row["target_name"] or row["goal"], row["attack"]),
            Cell(percent(row["confidence"]), "" if row["reached"] else "short of what was asked for"),
            Cell(colour(row["colour_mean"]), f"99th percentile {colour(row['colour_p99'])}"),
            Cell(f"{row['forwards'] + row['backwards']:,}"),
        ]
        for row in run.records.to_dict("records")
    ]
    return _some(("photograph", "wish", "confidence", "change of colour, CIEDE2000", "passes"), rows)


def _table(told: Told) -> Table:
    cells = [[told_cell(cell) for cell in row] for row in told.rows]
    return _some(told.heads, [[Cell(cell["text"], cell["interval"], cell["count"]) for cell in row] for row in cells])


def _some(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    return Table(heads, rows[:ROWS], len(rows) - len(rows[:ROWS]))


def _preflight(run: Run) -> list[tuple[str, str]]:
    return [(flag.code, flag.message) for model in run.manifest.models for flag in model.flags]


def _cell(measured: Measured, unit: str, norm: str = "l2") -> Cell:
    cell = measured_cell(measured, unit, norm)
    return Cell(cell["text"], cell["interval"], cell["count"])


def _mean(passes: torch.Tensor) -> str:
    return significant(float(passes.double().mean())) if len(passes) else NONE


def _pictures(found: Found, changed: torch.Tensor) -> list[Picture]:
    """The first few that are fooled, each beside what it was."""
    names = found.rounded.classifier.class_names
    rows = changed.nonzero().flatten().tolist()[:PAIRS]
    pairs = {row: Pair(found.originals[row].cpu(), found.images[row].cpu(), str(row)) for row in rows}
    made = trios(pairs, SIDE, BUDGET)
    said = []
    for row, trio in made.items():
        answer = int(found.prediction[row])
        name = f"class {answer}" if names is None else names[answer]
        said.append(Picture(trio, f"no. {row}: taken for {name}, {percent(float(found.confidence[row]))} sure"))
    return said
