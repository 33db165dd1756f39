"""``brittle explain``: what goes on inside a network. torch is imported inside the commands only."""

from typing import Annotated

import typer

from brittle.cli.app import app
from brittle.cli.arguments import (
    BatchSize,
    Data,
    Device,
    DryRun,
    Mean,
    Model,
    Models,
    Out,
    Seed,
    Std,
    Weights,
    Workers,
    at_least,
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
def activation(
    model: Models,
    data: Data,
    out: Out,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="class, class:cat, class:0-9, or channel, unit or direction of a layer, as channel:conv1:0-7;"
            " repeatable; default: class, of more than 10 the first 10",
        ),
    ] = None,
    ascent: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="fourier or plain, NAME[,option=value...], repeatable; default: fourier"),
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option(metavar="SPEC", help="[NAME=]model spec of a network that had no part in it, repeatable"),
    ] = None,
    weights: Weights = None,
    limit: Annotated[int, typer.Option(parser=at_least(2), metavar="N", help="so many images of --data")] = 256,
    seed: Seed = 0,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    mean: Mean = None,
    std: Std = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """Images that excite a class, a channel, a unit or a direction the most, and what other networks see in them."""
    from brittle.cli.running import run_spec
    from brittle.studies.activation import ActivationSpec

    def spec() -> ActivationSpec:
        both = models_of([*model, *(judge or [])], weights, mean, std)
        return ActivationSpec(
            models=both[: len(model)],
            judges=both[len(model) :],
            data=data,
            limit=limit,
            objectives=objective or ["class"],
            ascents=ascent or ["fourier"],
            seed=seed,
            batch_size=batch_size_of(batch_size),
            device=device,
        )

    run_spec(spec, out, workers=workers, dry_run=dry_run)


@explain.command()
def boundary(
    model: Models,
    data: Data,
    out: Out,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="one or two, NAME[,option=value...]: a map with the first and chance, and one with both; default:"
            " deepfool, and deepfool,norm=linf",
        ),
    ] = None,
    size: Annotated[int, typer.Option(metavar="N", help="points of a map's side, 9 to 257")] = 49,
    weights: Weights = None,
    limit: Annotated[int, typer.Option(parser=at_least(1), metavar="N", help="so many images of --data")] = 4,
    seed: Seed = 0,
    batch_size: BatchSize = "auto",
    device: Device = "auto",
    mean: Mean = None,
    std: Std = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """Maps of the decisions around images, and how the boundary turns along its way."""
    from brittle.cli.running import run_spec
    from brittle.run.spec import parsed
    from brittle.studies.boundary import BoundarySpec

    asked = {
        "models": models_of(model, weights, mean, std),
        "data": data,
        "limit": limit,
        "size": size,
        "seed": seed,
        "batch_size": batch_size_of(batch_size),
        "device": device,
        **({"attacks": attack} if attack else {}),
    }
    run_spec(lambda: parsed(BoundarySpec, asked, "brittle explain boundary"), out, workers=workers, dry_run=dry_run)
