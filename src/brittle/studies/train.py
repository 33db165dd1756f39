"""Training as a study: classifiers from architectures, data, a recipe and seeds, each with a card and its curves."""

from typing import Literal, final

import pandas as pd
from pydantic import Field

from brittle.data import load_data
from brittle.data.examples import Examples
from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.measure import Curve, Measured, Told, rate
from brittle.models.bfloat16 import quick_precision
from brittle.models.trainable import trainable
from brittle.records import Manifest
from brittle.run.spec import Spec
from brittle.studies.opening import device_of
from brittle.studies.perturbations import picked
from brittle.studies.pictured import EVERY, FILMSTRIP, GRID, TWENTIETH
from brittle.studies.registry import register_study
from brittle.studies.trainer import Given, Training, check_labelled, given_of
from brittle.text import counted, duration, percent
from brittle.train import RECIPES

_HELD_OUT = 5


@final
class TrainSpec(Spec):
    """Classifiers from scratch, one for each architecture, part of the data and seed.

    test_data: what they are judged by; by default every fifth example of the data is held out. limit, test_limit: so
    many of each, evenly spread. recipe: NAME[,option=value...]. on: "all", or disjoint halves of the training data.
    precision: "auto" takes bf16 where the machine has it quick. log: "tensorboard", "mlflow", beside the CSV files.
    """

    study: Literal["train"] = "train"
    architectures: list[str] = Field(min_length=1)
    data: str
    test_data: str | None = None
    limit: int | None = Field(default=None, ge=1)
    test_limit: int | None = Field(default=None, ge=1)
    recipe: str = "standard"
    seeds: list[int] = Field(default=[0], min_length=1)
    on: list[Literal["all", "half-1", "half-2"]] = Field(default=["all"], min_length=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    device: str = "auto"
    devices: int = Field(default=1, ge=1)
    log: list[Literal["tensorboard", "mlflow"]] = Field(default=[])

    def open(self) -> Training:
        """The study, with its data opened."""
        recipe, device = RECIPES.one(self.recipe), device_of(self.device)
        fits = {name: trainable(name).fit for name in self.architectures}
        opened = {fit: self._opened(fit) for fit in dict.fromkeys(fits.values())}
        return Training.of(
            {name: opened[fit] for name, fit in fits.items()},
            recipe,
            seeds=self.seeds,
            on=self.on,
            precision=quick_precision(device) if self.precision == "auto" else self.precision,
            device=device,
            devices=self.devices,
            log=self.log,
            spec=self.toml(),
        )

    def _opened(self, fit: Fit) -> Given:
        """Training and test data as an architecture wants them."""
        examples = load_data(self.data, limit=self.limit, fit=fit)
        if self.test_data is not None:
            return given_of(examples, load_data(self.test_data, limit=self.test_limit, fit=fit))
        if self.test_limit is not None:
            raise BrittleError("expected test_limit with test_data only, got no test_data")
        return given_of(*held_out(examples))


def held_out(examples: Examples) -> tuple[Examples, Examples]:
    """Four fifths to train on, and every fifth example to be judged by."""
    check_labelled(examples)
    if len(examples) < 2 * _HELD_OUT:
        raise BrittleError(
            f"expected at least {2 * _HELD_OUT} examples, of which a fifth is held out, got {len(examples)}"
        )
    rows = range(len(examples))
    return picked(examples, [row for row in rows if row % _HELD_OUT]), picked(examples, rows[::_HELD_OUT])


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """How good each network is on test images, and how it came there."""
    last = records.sort_values("epoch").groupby("network", sort=False).last()
    last = last.reindex([name for name in manifest.settings["networks"] if name in last.index])
    rows = tuple(
        (
            str(name),
            rate(int(row["held_out_right"]), int(row["held_out"])),
            Measured(value=float(row["accuracy"])),
            int(row["parameters"]),
            float(row["gflops"]),
            int(row["epoch"]),
            duration(row["seconds"]),
        )
        for name, row in last.iterrows()
    )
    share = records["held_out_right"] / records["held_out"]
    curves = [
        Curve(name if len(last) > 1 else what, tuple(map(float, mine["epoch"])), tuple(map(float, values)))
        for name in last.index
        for mine in [records[records["network"] == name]]
        for what, values in (
            ("test", share[mine.index]),
            ("training", mine["accuracy"]),
            ("training, under PGD", mine["robust"]),
        )
        if what == "test" or (len(last) == 1 and not values.isna().any())
    ]
    sentences = [
        f"{name} classifies {good.count:,} of {counted(good.of or 0, 'test image')} correctly after"
        f" {counted(epochs, 'epoch')} ({seconds})."
        for name, good, _, _, _, epochs, seconds in rows
    ]
    if len(rows) > 1:
        best = sorted((good.value or 0.0 for _, good, *_ in rows))
        sentences.insert(0, f"{len(rows)} networks, {percent(best[0])} to {percent(best[-1])} accurate on test images.")
    sentences += [
        f"{name} ended early: {row['stopped']}." for name, row in last.iterrows() if isinstance(row["stopped"], str)
    ]
    missing = len(manifest.settings["networks"]) - len(last)
    if missing or not sentences:
        sentences.append(f"{counted(missing, 'network')} of {len(manifest.settings['networks'])} not finished yet.")
    pictures = []
    for name in last.index if manifest.settings.get("pictures") else ():
        what = f"of {name}, made by its generator" if len(last) > 1 else "made by the generator"
        pictures.append((f"Images {what} while it learnt, from left to right, a row for each class", FILMSTRIP, name))
        pictures.append((f"The last images {what}, a column for each class", GRID, name))
    if pictures:
        sentences.append(f"In pictures/ it moves ({EVERY}, {TWENTIETH}); in generated/ are images as data.")
    heads = ("network", "test accuracy", "training accuracy", "parameters", "GFLOPs", "epochs", "time")
    shown = tuple((caption, f"pictures/{name}/{file}") for caption, file, name in pictures)
    return Told(
        tuple(sentences), "epoch", "test accuracy" if len(last) > 1 else "accuracy", tuple(curves), heads, rows, shown
    )


register_study("train", TrainSpec, tell)
