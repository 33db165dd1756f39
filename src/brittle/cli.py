"""The command line: thin. torch is imported inside the sub-commands only, so that help is instant."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brittle.arguments import at_least, batch_size_of, device_of, numbers
from brittle.entry import run

if TYPE_CHECKING:
    from brittle.records import Manifest

app = typer.Typer(
    name="brittle",
    help="Find the smallest changes that make an image classifier wrong, and measure how brittle it is.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_ATTACK_HELP = "NAME[,field=value...], repeatable; eps=0.01:0.02 sweeps. See: brittle attacks"


Out = Annotated[Path, typer.Option(metavar="DIR", help="run directory; the same command again resumes it")]
Seed = Annotated[int, typer.Option(parser=at_least(0), metavar="N", help="seed of every random draw")]
Directory = Annotated[Path, typer.Argument(metavar="DIR", help="run directory")]
Model = Annotated[str, typer.Option(metavar="SPEC", help="model spec. See: brittle models")]
Data = Annotated[str, typer.Option(metavar="SPEC", help="data spec. See: brittle data")]
Weights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="weights for the model (.safetensors, or a plain state dict)")
]
Limit = Annotated[
    int | None,
    typer.Option(parser=at_least(1), metavar="N", help="this many examples, evenly spaced over the data"),
]
BatchSize = Annotated[str, typer.Option(metavar="N", help="images for one pass: a number, or auto")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("brittle"))
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def demo(
    out: Out = Path("runs/demo"),
    seed: Seed = 0,
) -> None:
    """Offline in a minute: trains a small CNN on handwritten digits, attacks it in many ways, writes a report."""
    from brittle.console import audit_with_progress
    from brittle.demo import demo_run
    from brittle.run.storage import check_place

    check_place(out)
    audit_with_progress(lambda hooks: demo_run(out, seed=seed, command=_command(), **hooks))


@app.command()
def audit(
    model: Model,
    data: Data,
    attack: Annotated[list[str], typer.Option(metavar="NAME", help=_ATTACK_HELP)],
    out: Out,
    weights: Weights = None,
    limit: Limit = None,
    seed: Seed = 0,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    mean: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="the network's normalisation, instead of the published one")
    ] = None,
    std: Annotated[str | None, typer.Option(metavar="A,B,C", help="see --mean")] = None,
    images: Annotated[
        str, typer.Option(metavar="KEPT", help="adversarial images to keep: all, fooled, 8bit (rounded) or none")
    ] = "all",
    reject: Annotated[
        str | None,
        typer.Option(
            metavar="CLASS", help="name or index of the class that means: no answer; reaching it is no success"
        ),
    ] = None,
) -> None:
    """Attacks a classifier on a data set, records every result and writes the report."""
    from brittle.api import audit as run_audit
    from brittle.catalog import attacks_from
    from brittle.console import audit_with_progress
    from brittle.data import load_data
    from brittle.models import load_model
    from brittle.records import kept_of
    from brittle.run.storage import check_place

    kept = kept_of(images)
    check_place(out)
    attacks = [one for text in attack for one in attacks_from(text)]
    loaded = load_model(
        model,
        weights=weights,
        mean=numbers("--mean", mean),
        std=numbers("--std", std),
        device=device_of(device),
        batch_size=batch_size_of(batch_size),
        reject=reject,
    )
    examples = load_data(data, limit=limit, fit=loaded.fit)
    audit_with_progress(
        lambda hooks: run_audit(
            loaded,
            examples,
            attacks,
            out=out,
            seed=seed,
            model=model,
            command=_command(),
            images=kept,
            **hooks,
        )
    )


@app.command()
def fit(
    attack: Annotated[str, typer.Argument(metavar="NAME", help="universal[,field=value...] or universal-sgd[,...]")],
    model: Model,
    data: Data,
    out: Annotated[Path, typer.Option(metavar="FILE", help="FILE.safetensors; a picture is written beside it")],
    weights: Weights = None,
    limit: Limit = None,
    test_data: Annotated[str | None, typer.Option(metavar="SPEC", help="unseen data; default: half of --data")] = None,
    seed: Seed = 0,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
) -> None:
    """Fits one perturbation to many images; `audit --attack perturbation,file=FILE` then uses it on any model."""
    from brittle.console import fit_with_progress
    from brittle.data import load_data
    from brittle.fitting import check_target, fitting_attack
    from brittle.models import load_model

    method = fitting_attack(attack)
    check_target(out)
    loaded = load_model(model, weights=weights, device=device_of(device), batch_size=batch_size_of(batch_size))
    examples = load_data(data, limit=limit, fit=loaded.fit)
    unseen = None if test_data is None else load_data(test_data, fit=loaded.fit)
    fit_with_progress(loaded, method, examples, unseen, out=out, seed=seed)


@app.command()
def craft(
    photographs: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="image files")],
    model: Model,
    out: Annotated[Path, typer.Option(metavar="DIR", help="a new directory")],
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="name or index, least-likely, next-best, random, or untargeted; repeatable; default: untargeted",
        ),
    ] = None,
    weights: Weights = None,
    confidence: Annotated[float, typer.Option(metavar="P", help="probability to reach")] = 0.99,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="NAME[,field=value...], or a preset: notes-v1, notes-v2; several, or a sweep, are compared; default:"
            " craft",
        ),
    ] = None,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Noise that nobody sees, which makes a network take a photograph for what you wish."""
    from brittle.console import craft_with_progress
    from brittle.craft.presets import ways_from
    from brittle.craft.writing import check_out
    from brittle.models import load_model

    check_out(out)
    ways = ways_from(attack or ["craft"], confidence)
    loaded = load_model(model, weights=weights, device=device_of(device))
    craft_with_progress(
        loaded,
        photographs,
        target or ["untargeted"],
        ways,
        out=out,
        confidence=confidence,
        seed=seed,
        command=_command(),
    )


@app.command()
def report(directory: Directory) -> None:
    """Rebuilds report.html from the records of a run."""
    from brittle.report import write_report

    typer.echo(write_report(directory, on_flag=lambda flag: typer.echo(f"flag {flag.code}: {flag.message}", err=True)))


@app.command()
def summary(
    directory: Directory,
    json: Annotated[bool, typer.Option("--json", help="all numbers, as JSON on stdout")] = False,
) -> None:
    """Prints the numbers of a run."""
    from brittle.measure import summarize
    from brittle.records import read_manifest, read_records

    manifest: Manifest = read_manifest(directory)
    numbers = summarize(manifest, read_records(directory, manifest))
    if json:
        typer.echo(numbers.model_dump_json(indent=2))
    else:
        from brittle.console import print_summary

        print_summary(numbers)


@app.command()
def attacks(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="one attack, with its options")] = None,
) -> None:
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


def main() -> None:
    """The entry point."""
    sys.exit(run(app))
