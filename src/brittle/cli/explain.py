"""``brittle explain``: what goes on inside a network. torch is imported inside the commands only."""

from typing import Annotated

import typer

from brittle.cli.app import app
from brittle.cli.arguments import (
    BatchSize,
    Data,
    Device,
    DryRun,
    Limit,
    Mean,
    Model,
    Models,
    Out,
    Seed,
    Std,
    Weights,
    Workers,
    batch_size_of,
    models_of,
)

explain = typer.Typer(
    help="What goes on inside a network: its layers, what they see, and how far they can be trusted.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(explain, name="explain")

Size = Annotated[
    str | None,
    typer.Option(metavar="CxHxW", help="of an image, such as 3x32x32; default: what the model is known to take"),
]


@explain.command()
def layers(
    model: Model,
    weights: Weights = None,
    size: Size = None,
    device: Device = "auto",
    mean: Mean = None,
    std: Std = None,
) -> None:
    """Lists the layers of a network by name: what each is, what it gives for an image, its parameters."""
    from brittle.cli.explained import print_layers

    print_layers(models_of([model], weights, mean, std)[0], size, device)


@explain.command()
def stability(
    model: Models,
    data: Data,
    out: Out,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="NAME[,field=value...], repeatable; perturbation,file=FILE adds a universal one; default:"
            " minimal,norm=l2",
        ),
    ] = None,
    weights: Weights = None,
    limit: Limit = None,
    seed: Seed = 0,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    mean: Mean = None,
    std: Std = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """How much larger each layer makes a change: norms of layers and their product beside attacks and noise."""
    from brittle.cli.running import run_spec
    from brittle.run.spec import parsed
    from brittle.studies.stability import StabilitySpec

    asked = {
        "models": models_of(model, weights, mean, std),
        "data": data,
        "limit": limit,
        "seed": seed,
        "batch_size": batch_size_of(batch_size),
        "device": device,
    }
    asked |= {} if attack is None else {"attacks": attack}
    run_spec(lambda: parsed(StabilitySpec, asked, "brittle explain stability"), out, workers=workers, dry_run=dry_run)


@explain.command()
def certify(
    model: Models,
    data: Data,
    out: Out,
    norm: Annotated[str, typer.Option(metavar="NORM", help="linf or l2")] = "linf",
    eps: Annotated[
        list[float] | None, typer.Option(metavar="SIZE", help="radius of the table, repeatable; default: 0.1 and 0.3")
    ] = None,
    attack: Annotated[
        str | None, typer.Option(metavar="NAME", help="NAME[,field=value...]; default: minimal in the norm")
    ] = None,
    weights: Weights = None,
    limit: Limit = None,
    seed: Seed = 0,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    mean: Mean = None,
    std: Std = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """How far each image's class is proven (intervals, CROWN, LipSDP), beside what an attack finds."""
    from brittle.cli.running import run_spec
    from brittle.run.spec import parsed
    from brittle.studies.certify import CertifySpec

    asked = {
        "models": models_of(model, weights, mean, std),
        "data": data,
        "limit": limit,
        "norm": norm,
        "attack": attack,
        "seed": seed,
        "batch_size": batch_size_of(batch_size),
        "device": device,
    }
    asked |= {} if eps is None else {"eps": eps}
    run_spec(lambda: parsed(CertifySpec, asked, "brittle explain certify"), out, workers=workers, dry_run=dry_run)
