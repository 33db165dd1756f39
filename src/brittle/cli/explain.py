"""``brittle explain``: what goes on inside a network. torch is imported inside the commands only."""

from typing import Annotated

import typer

from brittle.cli.app import app
from brittle.cli.arguments import Device, Mean, Model, Std, Weights, models_of

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
