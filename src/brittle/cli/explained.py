"""What there is inside a network, on stdout."""

import re

import torch
from rich.console import Console
from rich.table import Table
from rich.text import Text

from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.explain.inside import layers_of, network_of
from brittle.run.spec import ModelSpec
from brittle.studies.opening import opened_models
from brittle.text import NONE, counted


def print_layers(model: ModelSpec, size: str | None, device: str) -> None:
    """A line for each layer, its name first, to be copied."""
    ((name, classifier),) = opened_models([model], device).items()
    network = network_of(classifier)
    shape = _shape_of(size, network.fit)
    found = layers_of(network, torch.zeros(1, *shape, device=network.device))
    table = Table(box=None, pad_edge=False)
    for head in ("layer", "kind", "output", "parameters"):
        table.add_column(head, justify="right" if head == "parameters" else "left", no_wrap=True)
    for layer in found:
        table.add_row(
            Text(layer.name),
            Text(layer.kind, style="dim" if layer.within else ""),
            NONE if layer.output is None else " x ".join(map(str, layer.output)) or "1",
            f"{layer.parameters:,}" if layer.parameters else NONE,
        )
    console = Console()
    console.print(table)
    total = sum(one.numel() for one in network.net.parameters())
    size = " x ".join(map(str, shape))
    said = f"{name}: {counted(len(found), 'layer')}, {counted(total, 'parameter')}, images of {size}"
    console.print(Text(said), soft_wrap=True)


def _shape_of(size: str | None, fit: Fit | None) -> tuple[int, int, int]:
    if size is None:
        if fit is None:
            raise BrittleError("expected --size CxHxW, such as 3x32x32: nothing says what images the model takes")
        return fit.channels, fit.height, fit.width
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", size)
    if found is None:
        raise BrittleError(f"expected --size as channels, height and width, such as 3x32x32, got {size!r}")
    return int(found[1]), int(found[2]), int(found[3])
