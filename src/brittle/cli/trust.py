"""``brittle explain stability`` and ``certify``: how far a network can be trusted. torch is imported inside them."""

from typing import Annotated

import typer

from brittle.cli.arguments import (
    BatchSize,
    Data,
    Device,
    DryRun,
    Limit,
    Mean,
    Models,
    OutUnlessDry,
    Seed,
    Std,
    Weights,
    Workers,
    asked_of,
)
from brittle.cli.explain import explain


@explain.command()
def stability(
    model: Models,
    data: Data,
    out: OutUnlessDry = None,
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
    from brittle.cli.running import run_asked
    from brittle.studies.stability import StabilitySpec

    asked = asked_of(model, weights, mean, std, data, limit, seed, batch_size, device, attacks=attack)
    run_asked(StabilitySpec, asked, out, workers=workers, dry_run=dry_run)


@explain.command()
def certify(
    model: Models,
    data: Data,
    out: OutUnlessDry = None,
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
    from brittle.cli.running import run_asked
    from brittle.studies.certify import CertifySpec

    asked = asked_of(
        model, weights, mean, std, data, limit, seed, batch_size, device, norm=norm, attack=attack, eps=eps
    )
    run_asked(CertifySpec, asked, out, workers=workers, dry_run=dry_run)
