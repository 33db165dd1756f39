"""``brittle study``: published experiments, listed, shown and repeated. torch is imported inside the commands only."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from brittle.cli.app import app
from brittle.cli.arguments import DryRun, Mean, OutUnlessDry, Seed, Std, Weights, Workers, models_of, named, weights_of
from brittle.errors import BrittleError

study = typer.Typer(
    help="Published experiments, repeated: what they claim beside what is measured.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(study, name="study")

Name = Annotated[str, typer.Argument(metavar="NAME", help="a recipe of `brittle study list`, or FILE.toml")]
ScaleOf = Annotated[
    str | None, typer.Option(metavar="SCALE", help="smoke (seconds, tiny networks), cpu (the default) or paper")
]


@study.command("list")
def list_() -> None:
    """Lists the recipes, a line each."""
    from brittle.cli.studied import print_recipes

    print_recipes()


@study.command()
def show(name: Name, scale: ScaleOf = None) -> None:
    """What a recipe runs, on which networks, and everything that it claims."""
    from brittle.cli.studied import print_recipe
    from brittle.repeat import scale_of

    print_recipe(name, scale_of(scale or "cpu"))


@study.command()
def pack(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="directories of studies")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="gets a small page and a JSON file of each, and a list")],
) -> None:
    """Keeps results: small pages and JSON of studies, without their runs."""
    from brittle.repeat import pack as packed

    print(packed(directories, out))  # noqa: T201


@study.command()
def run(
    name: Name,
    out: OutUnlessDry = None,
    scale: ScaleOf = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="ARM=SPEC", help="a network of yours for an arm, or by a new name on top; repeatable"),
    ] = None,
    weights: Weights = None,
    data: Annotated[str | None, typer.Option(metavar="SPEC", help="instead of the recipe's data")] = None,
    train_data: Annotated[
        str | None, typer.Option(metavar="SPEC", help="train the networks that have no weights on this, once for all")
    ] = None,
    mean: Mean = None,
    std: Std = None,
    seed: Seed = 0,
    workers: Workers = 1,
    dry_run: DryRun = False,
) -> None:
    """Runs all steps of a recipe, each resumed where it was stopped, and prints the verdicts."""
    from brittle.cli.studied import print_ledger, print_plan, print_step
    from brittle.repeat import PAGE, prepared
    from brittle.repeat import study as repeated

    given = model or []
    for text in given:
        if named(text)[0] is None:
            raise BrittleError(f"expected --model as ARM=SPEC, got {text!r}")
    names = [str(named(text)[0]) for text in given]
    own, others = weights_of(weights or [], names)
    recipe = Path(name).absolute() if name.endswith(".toml") else name
    models = models_of(given, own, mean, std)
    if dry_run or out is None:
        if not dry_run:
            raise BrittleError("expected --out DIR, the study's directory; only a --dry-run needs none")
        print_plan(
            prepared(
                recipe, out=out, scale=scale, models=models, weights=others, data=data, seed=seed, train_data=train_data
            ),
            workers,
        )
        return
    place = out.absolute()
    ledger = repeated(
        recipe,
        out=place,
        scale=scale,
        models=models,
        weights=others,
        data=data,
        train_data=train_data,
        seed=seed,
        command=shlex.join(["brittle", *sys.argv[1:]]),
        workers=workers,
        progress=True,
        on_step=print_step,
    )
    print_ledger(ledger, place / PAGE)
