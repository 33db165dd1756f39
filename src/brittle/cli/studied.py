"""Recipes and ledgers on the terminal."""

import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from brittle.cli.estimate import ENOUGH_TO_BEGIN, estimated, tries
from brittle.measure.ledger import Ledger
from brittle.recipes.arms import asked_for
from brittle.recipes.format import SCALES, Arm, Network, Scale
from brittle.recipes.load import load_recipe, names
from brittle.recipes.steps import Step, steps_of
from brittle.repeat import Prepared
from brittle.report.ledger import READ, verdict_rows
from brittle.run.executors import Workers
from brittle.run.spec import Spec
from brittle.text import NONE, counted, duration

STYLES = {"reproduced": "green", "refuted": "bold red", "untested": "yellow", "not comparable": "dim"}


def print_recipes() -> None:
    """A line for each: its name first."""
    console = Console()
    width = max(map(len, names()), default=0)
    for name in names():
        recipe = load_recipe(name).recipe
        cells = sum(cell != "" for table in recipe.tables for row in table.rows for cell in row[-len(table.columns) :])
        said = counted(len(recipe.claims), "claim")
        line = f"{name:<{width}}  {recipe.title} ({counted(cells, 'figure')}, {said})"
        console.print(Text(line), soft_wrap=True)


def print_recipe(name: str, scale: Scale) -> None:
    """Networks, steps, claims and deviations of one."""
    found = load_recipe(name)
    recipe, console = found.recipe, Console()
    asked = asked_for(recipe, scale)
    console.print(Text(recipe.title, style="bold"))
    console.print(Text(f"{recipe.source}\ndata: {recipe.data.published}; at scale {scale}: {asked.data}\n"))
    table = _table("arm", "in the source", *SCALES)
    for arm, one in recipe.arms.items():
        table.add_row(arm, one.published, *(Text(_network(one, each)) for each in SCALES))
    console.print(table)
    console.print(Text(f"\nsteps at scale {scale}", style="bold"))
    for step in steps_of(recipe, asked):
        content = {key: value for key, value in step.content.items() if key not in ("models", "study", "seed")}
        said = ", ".join(f"{key} = {value}" for key, value in content.items())
        console.print(Text(f"{step.key}: {step.content.get('study')}: {said}"), soft_wrap=True)
    console.print(Text("\nclaims", style="bold"))
    for table_ in recipe.tables:
        said = f"{table_.id}: {counted(len(table_.rows), 'row')} of {', '.join(table_.columns)}; {table_.place}"
        console.print(Text(f"{said} ({READ[table_.read]})"), soft_wrap=True)
    for claim in recipe.claims:
        console.print(
            Text(f"{claim.id} ({claim.kind}): {claim.says} {claim.place} ({READ[claim.read]})"), soft_wrap=True
        )
    console.print(Text("\nnot as in the source", style="bold"))
    for deviation in recipe.deviations:
        console.print(Text(f"{deviation.what} {deviation.why}"), soft_wrap=True)


def _network(arm: Arm, scale: Scale) -> str:
    """What stands for an arm at a scale."""
    own: Network | None = getattr(arm, scale)
    network, behind = (arm.of, arm.behind(scale)) if own is None else (own.model, own.defences)
    if network is None or (arm.of and not behind):
        return NONE
    return f"{network}, behind {' + '.join(behind)}" if behind else network


def print_step(step: Step, number: int, of: int) -> None:
    """Which step begins."""
    print(f"step {number} of {of}: {step.folder}", file=sys.stderr)  # noqa: T201


def print_plan(made: Prepared, workers: Workers) -> None:
    """Units and time of each step, from a few examples of each network and attack; writes nothing."""
    console = Console()
    trained = {
        name: f"{network.model} is trained first, which is not in this estimate"
        for name, network in made.to_train.items()
    }
    for why, names_ in _alike(trained | made.asked.absent).items():
        console.print(Text(f"{', '.join(names_)}: {why}", style="yellow"), soft_wrap=True)
    table, total, unknown = _table("step", "study", "units", "examples", "time here"), 0.0, list[str]()
    known = dict[str, tuple[float, list[str]]]()  # of steps that differ in their seeds only, one is tried
    for step, spec in made.steps:
        seconds, cells = None, ["", ""]
        if _reads(step, made.place):
            unknown.append(step.folder)
        else:
            alike = str({name: value for name, value in step.content.items() if name not in ("seed", "seeds")})
            if alike not in known:
                known[alike] = _estimate(spec)
            seconds, cells = known[alike]
            total += seconds
        table.add_row(step.folder, spec.study, *cells, NONE if seconds is None else duration(seconds))
    console.print(table)
    console.print(Text(estimated(total, workers)))
    if unknown:
        console.print(Text(f"not in it, as they read what earlier steps write: {', '.join(unknown)}"), soft_wrap=True)


def _alike(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """The networks of each reason, in order."""
    found = dict[str, list[str]]()
    for name, why in reasons.items():
        found.setdefault(why, []).append(name)
    return found


def _reads(step: Step, place: Path) -> bool:
    """Whether a step reads, anywhere in its spec, from an earlier one that is not finished: that has no page yet."""
    folders = re.findall(rf"{re.escape(str(place))}/([a-z0-9.-]+)", str(step.content))
    return any(not (place / folder / "report.html").exists() for folder in folders)


def _estimate(spec: Spec) -> tuple[float, list[str]]:
    """Seconds, and how many units and examples there are."""
    started = time.perf_counter()
    study = spec.open()
    manifest = study.plan(None, None)
    units = study.units(manifest)
    once = time.perf_counter() - started
    seconds = once + sum(seconds for *_, seconds in tries(study, manifest, units, ENOUGH_TO_BEGIN))
    return seconds, [str(len(units)), f"{sum(map(len, units)):,}"]


def print_ledger(ledger: Ledger, page: Path) -> None:
    """The verdicts as a short table, then what to doubt, and where the page is."""
    console = Console()
    for arm in ledger.arms:
        if arm.absent:
            console.print(Text(f"{arm.name}: {arm.absent}", style="yellow"), soft_wrap=True)
    table = _table("claim", "published", "measured", "verdict")
    for claim, published, measured, verdict, read in verdict_rows(ledger):
        mark = " (not verified)" if read == READ["recalled"] else ""
        table.add_row(Text(claim), Text(published + mark), Text(measured), Text(verdict, style=STYLES.get(verdict, "")))
    console.print(table)
    for sentence in ledger.headline:
        console.print(Text(sentence), soft_wrap=True)
    if ledger.doubts:
        console.print(Text(f"{counted(len(ledger.doubts), 'doubt')}; the page has them"))
    console.print(Text(f"report: {page}"), soft_wrap=True)


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table
