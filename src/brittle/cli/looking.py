"""The commands that look at runs that there are. torch is imported inside them."""

from pathlib import Path
from typing import Annotated

import typer

from brittle.cli.app import app
from brittle.cli.arguments import Directory
from brittle.cli.gate import FailUnder, Strict, end_by, gate_of, judged
from brittle.errors import BrittleError

Json = Annotated[bool, typer.Option("--json", help="all numbers, as JSON on stdout")]


@app.command()
def report(directory: Directory) -> None:
    """Rebuilds the page of a run, or of a study, from its records."""
    from brittle.api import write_page as write
    from brittle.repeat import is_study, write_study

    if is_study(directory):
        typer.echo(write_study(directory))
        return
    page = write(directory, on_flag=lambda flag: typer.echo(f"flag {flag.code}: {flag.message}", err=True))
    typer.echo(page)


@app.command()
def summary(
    directory: Directory,
    json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="every table as CSV, a line for each cell")] = False,
    latex: Annotated[bool, typer.Option("--latex", help="every table in LaTeX, for booktabs")] = False,
    strict: Strict = False,
    fail_under: FailUnder = None,
) -> None:
    """Prints the numbers of a run."""
    from brittle.cli.results import print_results, results_json
    from brittle.cli.tables import results_csv, results_latex
    from brittle.run.engine import Run

    if json + csv + latex > 1:
        raise BrittleError("expected one of --json, --csv and --latex, got several; run it once for each")
    gate = gate_of(strict, fail_under)
    opened = Run.open(directory)
    if json or csv or latex:
        typer.echo((results_json if json else results_csv if csv else results_latex)(opened).removesuffix("\n"))
    else:
        print_results(opened)
    end_by(gate and judged(gate, opened))


@app.command()
def compare(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR DIR...", help="run directories of audits")],
    out: Annotated[Path | None, typer.Option(metavar="FILE.html", help="a page with the same")] = None,
    json: Json = False,
) -> None:
    """Holds the first of some audits against each of the others, image by image."""
    from brittle.api import compare as compared
    from brittle.cli.results import comparisons_json, print_told

    told = compared(*directories, out=out)
    if json:
        typer.echo(comparisons_json(told))
        return
    for number, one in enumerate(told):
        typer.echo() if number else None
        print_told(one)
    if out is not None:
        typer.echo(f"page: {out}")


@app.command()
def export(
    directory: Directory,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="the records, a row each")] = None,
    npz: Annotated[Path | None, typer.Option(metavar="FILE", help="an audit's images as NumPy arrays")] = None,
    png: Annotated[Path | None, typer.Option(metavar="FILE.zip", help="the same as PNG files")] = None,
    web: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="a page that attacks an audit's networks")
    ] = None,
    log: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="tensorboard or mlflow: is told the numbers; repeatable")
    ] = None,
) -> None:
    """Gives what a run has to other programs: to new files, and to loggers."""
    from brittle.api import log_run
    from brittle.loggers import check_loggers
    from brittle.report.export import FORMATS
    from brittle.report.export import export as write
    from brittle.web.export import web as explorer

    named = {"csv": csv, "npz": npz, "png": png, "web": web}
    targets = {name: target for name, target in named.items() if target is not None}
    if not (targets or log):
        raise BrittleError(
            "expected --csv, --npz, --png or --web with a file, --log with a name, or several (brittle export --help)"
        )
    check_loggers(log or [])
    if targets:
        write(directory, targets, FORMATS | {"web": explorer})
    if log:
        log_run(directory, log)
        typer.echo(f"told to {' and '.join(dict.fromkeys(log))}")
    for target in targets.values():
        typer.echo(target)
