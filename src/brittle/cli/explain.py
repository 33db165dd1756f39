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
    asked_of,
    at_least,
    models_of,
)
from brittle.errors import BrittleError

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
    from brittle.cli.running import run_asked
    from brittle.studies.activation import ActivationSpec

    everyone = [*model, *(judge or [])]
    asked = asked_of(
        everyone, weights, mean, std, data, limit, seed, batch_size, device, objectives=objective, ascents=ascent
    )
    asked["models"], asked["judges"] = asked["models"][: len(model)], asked["models"][len(model) :]
    run_asked(ActivationSpec, asked, out, workers=workers, dry_run=dry_run)


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
    from brittle.cli.running import run_asked
    from brittle.studies.boundary import BoundarySpec

    asked = asked_of(model, weights, mean, std, data, limit, seed, batch_size, device, size=size, attacks=attack)
    run_asked(BoundarySpec, asked, out, workers=workers, dry_run=dry_run)


@explain.command()
def alternate(
    model: Models,
    data: Data,
    out: Out,
    eps: Annotated[str, typer.Option(metavar="SIZE", help="of the signed step, as 8/255")] = "8/255",
    pictures: Annotated[int, typer.Option(parser=at_least(0), metavar="N", help="of so many images")] = 8,
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
    """Gradients by an alternate label, and accuracy before and after a step, beside noise of the same norm."""
    from brittle.catalog.grammar import number_of
    from brittle.cli.running import run_asked
    from brittle.studies.alternate import AlternateSpec

    try:
        size = number_of(eps)
    except (ValueError, ZeroDivisionError):
        raise BrittleError(f"expected --eps as a number such as 0.03 or 8/255, got {eps!r}") from None
    asked = asked_of(model, weights, mean, std, data, limit, seed, batch_size, device, eps=size, pictures=pictures)
    run_asked(AlternateSpec, asked, out, workers=workers, dry_run=dry_run)


@explain.command()
def density(
    model: Models,
    data: Data,
    out: Out,
    train_data: Annotated[str, typer.Option("--train-data", metavar="SPEC", help="what densities are fitted to")],
    train_limit: Annotated[
        int, typer.Option("--train-limit", parser=at_least(2), metavar="N", help="so many images of --train-data")
    ] = 10_000,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--density",
            metavar="NAME",
            help="pca-gaussian, vae or pixel-cnn, NAME[,option=value...], repeatable; default: all three",
        ),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="NAME[,option=value...], repeatable; default: minimal,norm=l2"),
    ] = None,
    other: Annotated[
        list[str] | None, typer.Option(metavar="SPEC", help="other data, which no density has seen, repeatable")
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
    """How likely adversarial examples are, by densities of training images, beside noise and other data."""
    from brittle.cli.running import run_asked
    from brittle.studies.density import DensitySpec

    own = {
        "train_data": train_data,
        "train_limit": train_limit,
        "others": other,
        "densities": method,
        "attacks": attack,
    }
    asked = asked_of(model, weights, mean, std, data, limit, seed, batch_size, device, **own)
    run_asked(DensitySpec, asked, out, workers=workers, dry_run=dry_run)


@explain.command()
def directions(
    model: Models,
    data: Data,
    out: Out,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[MODEL=]LAYER",
            help="whose channels are the units, repeatable; default: what the last linear layer sees",
        ),
    ] = None,
    count: Annotated[int, typer.Option(metavar="N", help="of units and of directions, at most")] = 100,
    top: Annotated[int, typer.Option(metavar="N", help="images that excite each the most")] = 8,
    shown: Annotated[int, typer.Option(metavar="N", help="so many of each as pictures, to be judged blindly too")] = 12,
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
    """Units of a layer beside random directions of it: how alike the images are that excite each the most."""
    from brittle.cli.running import run_asked
    from brittle.studies.directions import DirectionsSpec

    asked = asked_of(
        model, weights, mean, std, data, limit, seed, batch_size, device, count=count, top=top, shown=shown
    )
    asked["layers"] = _layers_of(layer or [], [one.name or one.model for one in asked["models"]])
    run_asked(DirectionsSpec, asked, out, workers=workers, dry_run=dry_run)


def _layers_of(texts: list[str], names: list[str]) -> dict[str, str]:
    """Layers by model; one without a model is that of all."""
    found = {}
    for text in texts:
        model, equals, layer = text.rpartition("=")
        found.update({model: layer} if equals else dict.fromkeys(names, layer))
    return found
