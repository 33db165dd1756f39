"""Running a spec from the command line: with progress, or dry."""

import dataclasses
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tomli_w
from rich.console import Console
from rich.table import Table
from rich.text import Text

from brittle.api import write_page
from brittle.cli.app import STARTED
from brittle.cli.estimate import ENOUGH, ENOUGH_TO_BEGIN, estimated, tries
from brittle.cli.results import print_results
from brittle.errors import BrittleError
from brittle.records import Manifest
from brittle.run import engine
from brittle.run.executors import Workers
from brittle.run.progress import Bars
from brittle.run.spec import Spec, parsed, read_spec
from brittle.run.store import check_place
from brittle.run.study import Study, Unit
from brittle.studies import spec_of
from brittle.text import counted, duration

_WORTH_SAYING = 1.2  # times the estimate: how wide its interval must be to be told
_PAGE = 3.0  # seconds to read records again and to write the page, as measured on runs of 32 to 1,000 images


def run_file(path: Path, out: Path | None, *, workers: Workers, dry_run: bool) -> None:
    """Runs a TOML file; relative paths in it start from its folder, in which this process then stands."""
    place = None if out is None else out.absolute()
    run_spec(spec_in(path), place, workers=workers, dry_run=dry_run)


def spec_in(path: Path) -> Callable[[], Any]:
    """What makes the spec of a TOML file, in whose folder this process then stands."""
    content, folder = read_spec(path)
    os.chdir(folder)
    return lambda: spec_of(content, str(path))


def run_spec(
    make: Callable[[], Spec], out: Path | Callable[[Any], Path] | None, *, workers: Workers, dry_run: bool
) -> engine.Run | None:
    """Runs a spec, reports, prints the results, and returns the run; dry: prints what would be done, writes nothing.

    out: the run directory, or what gives it for the study once that is open; dry, none is needed.
    """
    if out is None and not dry_run:
        raise BrittleError("expected --out DIR, the run directory; only a --dry-run needs none")
    if isinstance(out, Path) and not dry_run:
        check_place(out)  # before models and data are loaded
    spec: Any = make()
    study: Study = spec.open()
    command = shlex.join(["brittle", *sys.argv[1:]])
    if dry_run or out is None:
        _print_plan(spec, study, workers, command)
        return None
    directory = out if isinstance(out, Path) else out(study)
    with Bars(partial(_announce, study) if spec.announced else None) as bars:
        hooks = {"on_look": bars.look, "on_step": bars.step, "on_train": bars.train} if workers == 1 else {}
        mine = {name: hook for name, hook in hooks.items() if name in {one.name for one in dataclasses.fields(study)}}  # type: ignore[arg-type]
        watched: Study = dataclasses.replace(study, **mine) if mine else study  # type: ignore[type-var]
        done = engine.run(watched, out=directory, command=command, workers=workers, watch=bars)
    page = write_page(done.directory)
    print_results(done, page)
    return done


def run_asked(kind: type[Spec], asked: Mapping[str, Any], out: Path | None, *, workers: Workers, dry_run: bool) -> None:
    """Runs what the options of ``brittle explain`` ask for; what nobody has said is left to the spec."""
    said = {name: value for name, value in asked.items() if value is not None}
    command = f"brittle explain {kind.model_fields['study'].default}"
    run_spec(lambda: parsed(kind, said, command), out, workers=workers, dry_run=dry_run)


def _print_plan(spec: Spec, study: Study, workers: Workers, command: str) -> None:
    """The spec, the units of each group, and how long they would take, from a few examples of each."""
    console = Console()
    manifest = study.plan(None, command)
    units = study.units(manifest)
    console.print(Text(tomli_w.dumps(manifest.spec or spec.toml()).rstrip()), soft_wrap=True)
    for model in manifest.models:
        for flag in model.flags:
            console.print(Text(f"flag {flag.code} ({model.name}): {flag.message}", style="yellow"))
    table = Table(box=None, pad_edge=False)
    for head in ("what", "units", "examples", "passes for one", "time here"):
        table.add_column(head, justify="left" if head == "what" else "right", no_wrap=head != "what")
    total, variance = time.perf_counter() - STARTED + _PAGE, 0.0  # a run begins as this does
    for mine, done, seconds in tries(study, manifest, units, ENOUGH):
        total += seconds
        variance += (seconds * _doubt(done.table, sum(map(len, mine)))) ** 2
        row = (mine[0].group, str(len(mine)), f"{sum(map(len, mine)):,}", _passes(done.table), duration(seconds))
        table.add_row(*map(Text, row))
    console.print()
    console.print(table)
    doubt = 1 + 2 * math.sqrt(variance) / total
    if doubt >= _WORTH_SAYING:
        spread = f", {duration(total / doubt)} to {duration(total * doubt)} as images differ"
    else:
        spread = ""
    console.print(Text(estimated(total, workers, spread)))


def _announce(study: Study, manifest: Manifest, units: Sequence[Unit]) -> str:
    """What nobody has named one by one, and about how long it takes."""
    total = sum(seconds for *_, seconds in tries(study, manifest, units, ENOUGH_TO_BEGIN))
    what = ", ".join(attack.label for attack in manifest.attacks)
    of = f"{counted(manifest.examples, 'image')}, about {duration(total)} by one process"
    return f"{what}: {of}"


def _doubt(table: pa.Table, examples: int) -> float:
    """Standard error of the mean passes of an example, as a share of it, where so few of so many have been tried.

    What an attack takes differs from image to image, most where it does more for those that withstand.
    """
    columns = [table[name].to_numpy() for name in ("forwards", "backwards") if name in table.schema.names]
    few = len(table)
    if not columns or few < 2 or few >= examples:
        return 0.0
    passes = np.sum(columns, axis=0)
    mean = float(passes.mean())
    return float(passes.std(ddof=1)) / mean * math.sqrt((1 - few / examples) / few) if mean else 0.0


def _passes(table: pa.Table) -> str:
    """``"25 F + 21 B"``: forward and backward passes of one example, where the records count them."""
    means = {
        letter: pc.mean(table[name]).as_py() or 0.0
        for letter, name in (("F", "forwards"), ("B", "backwards"))
        if name in table.schema.names
    }
    return " + ".join(f"{mean:.0f} {letter}" for letter, mean in means.items())
