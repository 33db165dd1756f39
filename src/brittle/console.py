"""What the command line shows: progress while an audit runs, and what there is to choose from."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from brittle import fitting
from brittle.attacks._fitting import Step
from brittle.catalog import ATTACKS, label_of
from brittle.craft.crafted import Crafted
from brittle.craft.crafting import Crafter, read_photograph
from brittle.craft.presets import PRESETS, Way
from brittle.craft.summary import line_of
from brittle.craft.writing import craft_to
from brittle.data import DATA_SOURCES, Examples
from brittle.docs import chooser, facts, groups, options
from brittle.errors import BrittleError, did_you_mean
from brittle.measure import Summary, summarize
from brittle.measure.intervals import wilson
from brittle.models import MODELS, Classifier, Loaded
from brittle.pages.words import interval_text
from brittle.records import Manifest
from brittle.report import summary_table
from brittle.run import engine
from brittle.run.attack import check_access
from brittle.text import of, percent

__all__ = [
    "audit_with_progress",
    "craft_with_progress",
    "fit_with_progress",
    "print_attack",
    "print_attacks",
    "print_data",
    "print_models",
    "print_summary",
]


def audit_with_progress(start: Callable[[dict[str, Any]], engine.Run]) -> None:
    """Runs an audit with a progress bar for each attack on stderr, then prints the summary and where the report is."""
    talk = Console(stderr=True)
    bars: dict[str, TaskID] = {}
    fooled: dict[str, int] = {}
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=talk)
    with ExitStack() as stack:

        def on_plan(manifest: Manifest) -> None:
            stack.enter_context(progress)  # only now: a run that is refused shows its one line and nothing else
            for flag in manifest.flags:
                talk.print(Text(f"flag {flag.code}: {flag.message}", style="yellow"))
            for spec in manifest.attacks:
                bars[spec.label] = progress.add_task(spec.label, total=manifest.examples, rate="")
                fooled[spec.label] = 0

        def on_progress(step: engine.Progress) -> None:
            fooled[step.attack] += step.fooled
            bar = bars[step.attack]
            progress.advance(bar, step.examples)
            wrong = fooled[step.attack] / max(1.0, progress.tasks[bar].completed)
            progress.update(bar, rate=f"{percent(wrong)} misclassified" + (" (resumed)" if step.resumed else ""))

        run = start({"on_plan": on_plan, "on_progress": on_progress})
    print_summary(summarize(run.manifest, run.records))
    Console().print(Text(f"report: {run.directory / 'report.html'}"), soft_wrap=True)


def fit_with_progress(
    classifier: Classifier, attack: Any, examples: Examples, unseen: Examples | None, *, out: Path, seed: int
) -> None:
    """Fits a perturbation with a progress bar on stderr, then prints its rates and where it is."""
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True))
    with ExitStack() as stack:

        def on_step(step: Step) -> None:
            if not progress.tasks:  # only now: what is refused shows its one line and nothing else
                stack.enter_context(progress)
                progress.add_task(label_of(attack), total=step.total)
            progress.update(progress.tasks[0].id, completed=step.done)

        fitted = fitting.fit(classifier, attack, examples, out=out, unseen=unseen, seed=seed, on_step=on_step)
    made, sides = fitted.perturbation, (fitted.on_fitted, fitted.on_unseen)
    other = "fooled in the unseen half" if fitted.held_out else "fooled in the test data"
    table = _table("perturbation", "fooled among those fitted to", other)
    table.add_row(Text(fitted.label), *(_rate(side.fooled, side.right) for side in sides))
    table.add_row("random, of the same size", *(_rate(side.fooled_by_chance, side.right) for side in sides))
    console = Console()
    console.print(table)
    console.print(Text(f"file: {fitted.file} ({made.norm.name}, eps {made.eps:.6g})"), soft_wrap=True)
    console.print(
        Text(f"picture: {fitted.picture}, amplified {fitted.factor:.3g} times around mid-grey"), soft_wrap=True
    )


def craft_with_progress(
    loaded: Loaded,
    paths: Sequence[Path],
    wishes: Sequence[str],
    ways: Sequence[Way],
    *,
    out: Path,
    confidence: float,
    seed: int,
    command: str,
) -> None:
    """Crafts with a progress bar on stderr that shows confidence and change; prints a line for each result."""
    photographs = [read_photograph(path, loaded.fit) for path in paths]
    for way in ways:
        check_access(way.attack, loaded.classifier)
    console, total = Console(), len(paths) * len(wishes) * len(ways)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    with ExitStack() as stack:

        def on_look(confident: float, change: float) -> None:
            if not progress.tasks:  # only now: what is refused shows its one line and nothing else
                stack.enter_context(progress)
                progress.add_task("", total=total)
            text = f"{percent(confident)} sure, changed by {change:.2f} grey levels"
            progress.update(progress.tasks[0].id, description=text)

        def on_done(crafted: Crafted) -> None:
            if progress.tasks:
                progress.advance(progress.tasks[0].id)
            console.print(Text(line_of(crafted, by=len(ways) > 1)), soft_wrap=True)

        crafters = [
            Crafter(
                classifier=loaded.classifier,
                fit=loaded.fit,
                way=way,
                confidence=confidence,
                seed=seed,
                on_look=on_look,
            )
            for way in ways
        ]
        craft_to(out, crafters, photographs, wishes, settings={"command": command}, on_done=on_done)
    console.print(
        Text(f"{'pictures' if total == 1 else 'page'}: {out if total == 1 else out / 'index.html'}"), soft_wrap=True
    )


def _rate(count: int, whole: int) -> Text:
    low, high = wilson(count, whole) or (0.0, 1.0)
    share = count / max(1, whole)
    return Text(f"{percent(share)} ({of(count, whole)})\n{interval_text(share, low, high, 'fraction')}")


def print_summary(summary: Summary) -> None:
    """The numbers of a run as a table on stdout."""
    Console().print(summary_table(summary))


def print_attacks() -> None:
    """Which attack serves which norm; then all attacks in groups, each with what it does, its cost and its paper."""
    console = Console()
    head, *rows = chooser()
    table = Table(box=None, pad_edge=False)
    for at, column in enumerate(head):  # names are to be copied: no column is narrower than its longest and a comma
        table.add_column(column, min_width=1 + max(len(name) for row in rows for name in row[at].split(", ")))
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
    for title, entries in groups().items():
        console.print(Text(f"\n{title}", style="bold"))
        table = _table("attack", "what it does")
        for entry in entries:
            table.add_row(Text(entry.name), Text.assemble(entry.summary, "\n", (facts(entry), "dim")))
        console.print(table)


def print_attack(name: str) -> None:
    """One attack with its options; of a preset of ``brittle craft``, what it stands for."""
    if name in PRESETS:
        Console().print(Text(f"{name}: a preset of brittle craft for {PRESETS[name]}"), soft_wrap=True)
        name = PRESETS[name].partition(",")[0]
    entry = ATTACKS.get(name)
    if entry is None:
        raise BrittleError(f"unknown attack {name!r}{did_you_mean(name, ATTACKS)}")
    console = Console()
    console.print(Text(f"{entry.name}: {entry.summary}"))
    console.print(Text(facts(entry), style="dim"))
    table = _table("option", "type", "default", "what it is")
    for row in options(entry):
        table.add_row(*map(Text, row))
    console.print(table)


def print_models() -> None:
    """The forms of a model spec."""
    table = _table("model", "what it is")
    for source in MODELS.values():
        table.add_row(Text(source.form), Text(source.summary))
    Console().print(table)


def print_data() -> None:
    """The forms of a data spec."""
    table = _table("data", "what it is")
    for source in DATA_SOURCES:
        table.add_row(Text(source.form), Text(source.summary))
    Console().print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in ("attack", "option", "model", "data"))
    return table
