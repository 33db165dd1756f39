"""The command that trains. torch is imported inside it."""

from pathlib import Path
from typing import Annotated

import typer

from brittle.cli.app import app
from brittle.cli.arguments import Data, Device, DryRun, Limit, Workers, at_least


@app.command()
def train(
    arch: Annotated[list[str], typer.Option(metavar="NAME", help="architecture, repeatable. See: brittle models")],
    data: Data,
    test_data: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="what to judge by; default: every fifth example of --data, held out"),
    ] = None,
    recipe: Annotated[
        str, typer.Option(metavar="NAME", help="NAME[,option=value...]. See: brittle recipes")
    ] = "standard",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="run directory; default, for one network: its place in the cache"),
    ] = None,
    seed: Annotated[
        list[int] | None, typer.Option(parser=at_least(0), metavar="N", help="a network each, repeatable; default: 0")
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(metavar="PART", help="all, half-1 or half-2 of the data, a network each, repeatable"),
    ] = None,
    limit: Limit = None,
    test_limit: Annotated[int | None, typer.Option(parser=at_least(1), metavar="N", help="of --test-data")] = None,
    precision: Annotated[
        str, typer.Option(metavar="NAME", help="fp32, bf16, or auto: bf16 where the machine is quick with it")
    ] = "auto",
    device: Device = "auto",
    devices: Annotated[int, typer.Option(parser=at_least(1), metavar="N", help="so many GPUs together")] = 1,
    log: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="tensorboard or mlflow, beside CSV; repeatable")
    ] = None,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """Trains classifiers; `--model run:DIR` is what comes of it."""
    from brittle.cli.running import run_spec
    from brittle.run.spec import parsed
    from brittle.studies.cached import place_of
    from brittle.studies.train import TrainSpec

    asked = {
        "architectures": arch,
        "data": data,
        "test_data": test_data,
        "limit": limit,
        "test_limit": test_limit,
        "recipe": recipe,
        "seeds": seed or [0],
        "on": on or ["all"],
        "precision": precision,
        "device": device,
        "devices": devices,
        "log": log or [],
    }
    done = run_spec(
        lambda: parsed(TrainSpec, asked, "brittle train"), out or place_of, workers=workers, dry_run=dry_run
    )
    if done is not None:
        typer.echo(f"as a model: --model run:{done.directory}")
