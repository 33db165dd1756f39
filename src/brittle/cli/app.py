"""The commands that run something, each of which only makes a spec, and the lists; torch is imported inside them."""

import time
from pathlib import Path
from typing import Annotated

import typer

from brittle.cli.arguments import (
    At,
    Attacks,
    BatchSize,
    Budgets,
    Data,
    DefenceData,
    Defences,
    Device,
    DryRun,
    EightBit,
    KeptImages,
    Level,
    Limit,
    Mean,
    Model,
    Models,
    Norms,
    Out,
    OutUnlessDry,
    Precision,
    Reject,
    Seed,
    Std,
    Targets,
    TrainedOn,
    Transfer,
    Ways,
    Weights,
    Workers,
    batch_size_of,
    models_of,
)
from brittle.cli.gate import FailUnder, Strict, end_by, gate_of, judged

STARTED = time.perf_counter()

app = typer.Typer(
    name="brittle",
    help="Find the smallest changes that make an image classifier wrong, and measure how brittle it is.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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
def demo(out: Out = Path("runs/demo"), seed: Seed = 0, workers: Workers = 1, dry_run: DryRun = False) -> None:
    """Offline in a minute: draws traffic signs, trains a small CNN on them, fools it, writes a report."""
    from brittle.cli.running import run_spec
    from brittle.studies.demo import demo_spec

    run_spec(lambda: demo_spec(seed), out, workers=workers, dry_run=dry_run)


@app.command()
def audit(
    model: Models,
    data: Data,
    out: OutUnlessDry = None,
    attack: Attacks = None,
    level: Level = None,
    norm: Norms = None,
    eps: Budgets = None,
    weights: Weights = None,
    defence: Defences = None,
    defence_data: DefenceData = None,
    target: Targets = None,
    limit: Limit = None,
    seed: Seed = 0,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    precision: Precision = "fp32",
    mean: Mean = None,
    std: Std = None,
    images: KeptImages = "all",
    transfer: Transfer = False,
    at: At = None,
    trained_on: TrainedOn = None,
    eight_bit: EightBit = False,
    reject: Reject = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
    strict: Strict = False,
    fail_under: FailUnder = None,
) -> None:
    """Attacks classifiers on a data set, records every result and writes the report."""
    from brittle.cli.running import run_spec
    from brittle.studies.audit import AuditSpec

    gate = gate_of(strict, fail_under)
    done = run_spec(
        lambda: AuditSpec(
            models=models_of(model, weights, mean, std, reject, trained_on, defence, defence_data),
            data=data,
            limit=limit,
            attacks=attack or [],
            level=level,
            norms=norm or [],
            eps=list(eps or []),
            goals=target or ["untargeted"],
            images=images,
            transfer=transfer,
            at=at or [],
            levels=256 if eight_bit else None,
            seed=seed,
            batch_size=batch_size_of(batch_size),
            device=device,
            precision=precision,
        ),
        out,
        workers=workers,
        dry_run=dry_run,
    )
    end_by(gate and done and judged(gate, done))


@app.command()
def fit(
    attack: Annotated[str, typer.Argument(metavar="NAME", help="universal[,field=value...] or universal-sgd[,...]")],
    model: Model,
    data: Data,
    out: OutUnlessDry = None,
    weights: Weights = None,
    defence: Defences = None,
    defence_data: DefenceData = None,
    limit: Limit = None,
    test_data: Annotated[str | None, typer.Option(metavar="SPEC", help="unseen data; default: half of --data")] = None,
    seed: Seed = 0,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    mean: Mean = None,
    std: Std = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """Fits one perturbation to many images; `audit --attack perturbation,file=DIR/perturbation.safetensors` uses it."""
    from brittle.cli.running import run_spec
    from brittle.studies.fit import FitSpec

    run_spec(
        lambda: FitSpec(
            models=models_of([model], weights, mean, std, defences=defence, defence_data=defence_data),
            data=data,
            limit=limit,
            test_data=test_data,
            attack=attack,
            seed=seed,
            batch_size=batch_size_of(batch_size),
            device=device,
        ),
        out,
        workers=workers,
        dry_run=dry_run,
    )


@app.command()
def craft(
    photographs: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="image files")],
    model: Model,
    out: OutUnlessDry = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="name or index, least-likely, next-best, random, or untargeted; repeatable; default: untargeted",
        ),
    ] = None,
    weights: Weights = None,
    defence: Defences = None,
    defence_data: DefenceData = None,
    confidence: Annotated[float, typer.Option(metavar="P", help="probability to reach")] = 0.99,
    attack: Ways = None,
    seed: Seed = 0,
    device: Device = "auto",
    mean: Mean = None,
    std: Std = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """Noise that nobody sees, which makes a network take a photograph for what you wish."""
    from brittle.cli.running import run_spec
    from brittle.studies.craft import CraftSpec

    run_spec(
        lambda: CraftSpec(
            models=models_of([model], weights, mean, std, defences=defence, defence_data=defence_data),
            photographs=photographs,
            targets=target or ["untargeted"],
            attacks=attack or ["craft"],
            confidence=confidence,
            seed=seed,
            device=device,
        ),
        out,
        workers=workers,
        dry_run=dry_run,
    )


@app.command()
def run(
    spec: Annotated[Path, typer.Argument(metavar="FILE.toml", help="what to run; DIR/spec.toml repeats a run")],
    out: OutUnlessDry = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """Runs what a TOML file says: any study, with paths that are relative to the file."""
    from brittle.cli.running import run_file

    run_file(spec, out, workers=workers, dry_run=dry_run)


@app.command()
def attacks(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="one attack, with its options")] = None,
) -> None:
    """Lists the attacks, or the options of one."""
    from brittle.cli.listing import print_attack, print_attacks

    print_attack(name) if name else print_attacks()


@app.command()
def defences() -> None:
    """Lists the defences, with their options and what an attacker who knows of them does."""
    from brittle.cli.listing import print_defences

    print_defences()


@app.command()
def models() -> None:
    """Lists the forms of a model spec."""
    from brittle.cli.listing import print_models

    print_models()


@app.command()
def recipes() -> None:
    """Lists the training recipes, with their options."""
    from brittle.cli.listing import print_recipes

    print_recipes()


@app.command()
def corruptions() -> None:
    """Lists what the study `corruption` does to images, with what each severity means."""
    from brittle.cli.listing import print_corruptions

    print_corruptions()


@app.command()
def data() -> None:
    """Lists the forms of a data spec."""
    from brittle.cli.listing import print_data

    print_data()


@app.command()
def studies() -> None:
    """Lists the kinds of study that a TOML file can ask for."""
    from brittle.cli.listing import print_studies

    print_studies()
