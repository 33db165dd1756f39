"""The command line: thin. torch is imported inside the sub-commands only, so that help is instant."""

import difflib
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brittle.arguments import at_least, batch_size_of, device_of, numbers

if TYPE_CHECKING:
    from brittle.run.records import Manifest

app = typer.Typer(
    name="brittle",
    help="Find the smallest changes that make an image classifier wrong, and measure how brittle it is.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_INTERRUPTED = 130
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
) -> None:
    """Attacks a classifier on a data set, records every result and writes the report."""
    from brittle.api import audit as run_audit
    from brittle.catalog import attacks_from
    from brittle.console import audit_with_progress
    from brittle.data import load_data
    from brittle.models import load_model
    from brittle.run.storage import check_place

    check_place(out)
    attacks = [one for text in attack for one in attacks_from(text)]
    loaded = load_model(
        model,
        weights=weights,
        mean=numbers("--mean", mean),
        std=numbers("--std", std),
        device=device_of(device),
        batch_size=batch_size_of(batch_size),
    )
    examples = load_data(data, limit=limit, fit=loaded.fit)
    audit_with_progress(
        lambda hooks: run_audit(
            loaded.classifier, examples, attacks, out=out, seed=seed, model=model, command=_command(), **hooks
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
    fit_with_progress(loaded.classifier, method, examples, unseen, out=out, seed=seed)


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
    """The entry point: a user's mistake is one line on stderr and exit code 2, Ctrl-C is exit code 130."""
    with _quiet_libraries():
        code = _run()
    sys.exit(code)


def _run() -> int:
    known = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and sys.argv[1] not in known:
        near = difflib.get_close_matches(sys.argv[1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        return _failed(f"unknown command {sys.argv[1]!r}; {hint} (see: brittle --help)")
    try:
        code = app(standalone_mode=False)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as error:
        # By name: a mistake on the command line is told without importing torch, and typer has click's classes either
        # from click or as a copy of its own.
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if "BrittleError" in kinds:
            return _failed(str(error))
        if "ClickException" in kinds:
            return _failed(_usage(error))
        if "Abort" not in kinds:
            raise
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        kept = "; what is finished is kept, and the same command resumes" if "audit" in sys.argv[1:2] else ""
        typer.echo(f"brittle: stopped{kept}", err=True)
    return code if isinstance(code, int) else 0


def _usage(error: Any) -> str:
    """What typer says, with the nearest option where there is none of that name, and where to read on."""
    context = getattr(error, "ctx", None)
    if context is None:
        return f"{error.format_message()} (see: brittle --help)"
    message = error.format_message()
    if type(error).__name__ == "NoSuchOption":
        options = [one for parameter in context.command.get_params(context) for one in parameter.opts if one[:1] == "-"]
        near = difflib.get_close_matches(error.option_name, options, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(options)}"
        message = f"no such option: {error.option_name}; {hint}"
    return f"{message} (see: {context.command_path} --help)"


def _failed(message: str) -> int:
    typer.echo(f"brittle: {' '.join(message.split())}", err=True)
    return 2


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """What libraries remark on files, versions and downloads is kept off the terminal; errors say it in one line."""
    for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        if not sys.warnoptions:  # with python -W they are wanted
            warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)
