"""The command line: thin. torch is imported inside the sub-commands only, so that help is instant."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from brittle.run.records import Manifest

app = typer.Typer(
    name="brittle",
    help="Find the smallest changes that make an image classifier wrong, and measure how brittle it is.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_ATTACK_HELP = "NAME[,field=value...], repeatable; eps=0.01:0.02 sweeps. See: brittle attacks"
Out = Annotated[Path, typer.Option("--out", help="run directory; the same command again resumes it")]
Directory = Annotated[Path, typer.Argument(help="run directory")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("brittle"))
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Out = Path("runs/demo"),
    seed: Annotated[int, typer.Option(help="seed of the training and of every random draw")] = 0,
) -> None:
    """Offline in a minute: trains a small CNN on handwritten digits, attacks it in many ways, writes a report."""
    from brittle.console import audit_with_progress
    from brittle.demo import demo_run

    audit_with_progress(lambda hooks: demo_run(out, seed=seed, command=_command(), **hooks))


@app.command()
def audit(
    model: Annotated[str, typer.Option(help="model spec. See: brittle models")],
    data: Annotated[str, typer.Option(help="data spec. See: brittle data")],
    attack: Annotated[list[str], typer.Option(help=_ATTACK_HELP)],
    out: Out,
    weights: Annotated[
        Path | None, typer.Option(help="weights for the model (.safetensors, or a plain state dict)")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="this many examples, evenly spaced over the data")] = None,
    seed: Annotated[int, typer.Option(help="seed of every random draw")] = 0,
    batch_size: Annotated[str, typer.Option(help="images for one pass: a number, or auto")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda")] = "auto",
    mean: Annotated[
        str | None, typer.Option(help="a,b,c: the network's normalisation, instead of the published one")
    ] = None,
    std: Annotated[str | None, typer.Option(help="a,b,c: see --mean")] = None,
) -> None:
    """Attacks a classifier on a data set, records every result and writes the report."""
    from brittle.api import audit as run_audit
    from brittle.catalog import attacks_from
    from brittle.console import audit_with_progress
    from brittle.data import load_data
    from brittle.models import load_model

    attacks = [one for text in attack for one in attacks_from(text)]
    loaded = load_model(
        model,
        weights=weights,
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        device=_device(device),
        batch_size=_batch_size(batch_size),
    )
    examples = load_data(data, limit=limit, fit=loaded.fit)
    audit_with_progress(
        lambda hooks: run_audit(
            loaded.classifier, examples, attacks, out=out, seed=seed, model=model, command=_command(), **hooks
        )
    )


@app.command()
def report(directory: Directory) -> None:
    """Rebuilds report.html from the records of a run."""
    from brittle.report import write_report

    typer.echo(write_report(directory))


@app.command()
def summary(
    directory: Directory,
    json: Annotated[bool, typer.Option("--json", help="all numbers, as JSON on stdout")] = False,
) -> None:
    """Prints the numbers of a run."""
    from brittle.measure import summarize
    from brittle.run.records import read_manifest, read_records

    manifest: Manifest = read_manifest(directory)
    numbers = summarize(manifest, read_records(directory, manifest))
    if json:
        typer.echo(numbers.model_dump_json(indent=2))
    else:
        from brittle.console import print_summary

        print_summary(numbers)


@app.command()
def attacks(name: Annotated[str | None, typer.Argument(help="one attack, with its options")] = None) -> None:
    """Lists the attacks, or the options of one."""
    from brittle.console import print_attack, print_attacks

    print_attack(name) if name else print_attacks()


@app.command()
def models() -> None:
    """Lists the forms of a model spec."""
    from brittle.console import print_models

    print_models()


@app.command()
def data() -> None:
    """Lists the forms of a data spec."""
    from brittle.console import print_data

    print_data()


def _command() -> str:
    return shlex.join(["brittle", *sys.argv[1:]])


def _numbers(option: str, text: str | None) -> list[float] | None:
    from brittle.types import BrittleError

    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise BrittleError(f"expected {option} as numbers such as 0.5,0.5,0.5, got {text!r}") from None


def _batch_size(text: str) -> int | None:
    from brittle.types import BrittleError

    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise BrittleError(f"expected --batch-size as a number of at least 1, or auto, got {text!r}")
    return int(text)


def _device(name: str) -> str:
    import torch

    from brittle.types import BrittleError, did_you_mean

    if name not in ("auto", "cpu", "cuda"):
        raise BrittleError(f"unknown device {name!r}{did_you_mean(name, ('auto', 'cpu', 'cuda'))}")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return name


def main() -> None:
    """The entry point: a user's mistake is one line on stderr and exit code 2."""
    import click

    try:
        code = app(standalone_mode=False)
    except click.ClickException as error:
        _fail(f"{error.format_message()} (see: brittle --help)")
    except (click.Abort, KeyboardInterrupt):
        typer.echo("stopped; what is finished is kept, and the same command resumes", err=True)
        sys.exit(130)
    except Exception as error:
        # By name, so that a mistake in the command line does not have to import torch to be told.
        if any(kind.__name__ == "BrittleError" for kind in type(error).__mro__):
            _fail(str(error))
        raise
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    typer.echo(f"brittle: {' '.join(message.split())}", err=True)
    sys.exit(2)
