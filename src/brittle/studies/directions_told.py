"""What is said of units beside random directions: how alike the images are that excite them the most."""

from collections.abc import Iterator

import pandas as pd

from brittle.explain.directions import WHAT
from brittle.measure import Measured, Sized, Told
from brittle.measure.attack import mean
from brittle.measure.expressions import difference
from brittle.measure.told import Blind, Cell, Shelf, Tile, Trial
from brittle.pages.words import interval_text, value_text
from brittle.records import Manifest
from brittle.rng import hashed
from brittle.text import NONE, counted

_NAMES = {"unit": "units", "direction": "random directions", "chance": "images taken by chance"}


def excited(
    manifest: Manifest, records: pd.DataFrame, model: str, *, shown: bool = False
) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """(what, number, records of the images that excite it most) of each, but for what no image changes.

    shown: those that there are pictures of.
    """
    mine = records[records["model"] == model]
    for what in WHAT:
        given, found = mine[mine["what"] == what], 0
        for number, rows in given.groupby("index"):
            if rows["value"].max() == rows["least"].min():
                continue  # it is dead: which images excite it is a matter of their order
            top = rows.sort_values(["value", "position"], ascending=[False, True]).head(manifest.settings["top"])
            if shown and (what == "chance" or found == manifest.settings["shown"]):
                break
            found += 1
            yield what, int(str(number)), top


def purity(rows: pd.DataFrame) -> float:
    """The share of the label that most of them have."""
    return float(rows["label"].value_counts().iloc[0] / len(rows))


def picture_of(slug: str, what: str, number: int) -> str:
    """Where a run keeps the images that excite something of a model."""
    return f"pictures/{slug}/{what}-{number}.png"


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """The label purity of each kind with its interval; pictures, and trials for who wants to judge them blindly."""
    sentences, rows = list[str](), list[tuple[Cell, ...]]()
    for model in manifest.models:
        found: dict[str, list[float]] = {what: [] for what in WHAT}
        for what, _, mine in excited(manifest, records, model.name):
            found[what].append(purity(mine))
        means = {what: mean(values) for what, values in found.items()}
        rows += [
            (model.name, what, Sized(Measured(value=float(len(found[what]))), "images"), one)
            for what, one in means.items()
        ]
        apart = difference(means["unit"], means["direction"])
        rows.append((model.name, "unit less direction", NONE, Sized(apart, "points")))
        if any(one.value is None for one in means.values()):
            sentences.append(f"No unit of {model.name} is excited by some images more than by others.")
            continue
        sentences.append(
            f"Of the {manifest.settings['top']} images that excite a unit of {model.name} the most,"
            f" {_text(means['unit'])} share a label on average; of those that excite a random direction"
            f" {_text(means['direction'])}, and of as many taken by chance {_text(means['chance'])}: {_judged(apart)}."
        )
    layers = "; ".join(manifest.settings["layers"])
    sentences.append(f"Layers: {layers}. Units that all images leave the same are left out.")
    heads = ("network", "what", "how many", "purity")
    return Told(
        tuple(sentences),
        heads=heads,
        rows=tuple(rows),
        shelves=_shelves(manifest, records),
        blind=_blind(manifest, records),
    )


def _text(one: Measured) -> str:
    return value_text(one.value, "fraction")


def _judged(apart: Measured) -> str:
    if apart.low is None or apart.high is None:
        return "too few for an interval"
    said = interval_text(apart.value, apart.low, apart.high, "points")
    if apart.low > 0:
        return f"those of units are more alike ({said})"
    return f"those of units are less alike ({said})" if apart.high < 0 else f"they cannot be told apart ({said})"


def _shelves(manifest: Manifest, records: pd.DataFrame) -> tuple[Shelf, ...]:
    classes, shelves = manifest.settings["classes"], []
    for model in manifest.models:
        tiles: dict[str, list[Tile]] = {"unit": [], "direction": []}
        for what, number, mine in excited(manifest, records, model.name, shown=True):
            label = int(mine["label"].mode().iloc[0])
            line = f"{int((mine['label'] == label).sum())} of {len(mine)} are {classes[label] if classes else label}"
            tiles[what].append(Tile(f"{what} {number}", picture_of(model.slug, what, number), (line,)))
        shelves += [Shelf(f"{_NAMES[what]} of {model.name}", tuple(some)) for what, some in tiles.items() if some]
    return tuple(shelves)


def _blind(manifest: Manifest, records: pd.DataFrame) -> Blind | None:
    """As many pairs of a unit and a random direction as there are pictures of both."""
    trials = []
    for model in manifest.models:
        files: dict[str, list[str]] = {"unit": [], "direction": []}
        for what, number, _ in excited(manifest, records, model.name, shown=True):
            files[what].append(picture_of(model.slug, what, number))
        pairs = zip(files["unit"], files["direction"], strict=False)
        trials += [Trial(model.name, *pair, hashed(f"{manifest.seed} {pair}") % 2 == 0) for pair in pairs]
    if not trials:
        return None
    top = counted(manifest.settings["top"], "image")
    said = f"Each picture has the {top} that excite something the most: a unit of the network, or a random direction."
    return Blind("Which of the two is the unit?", said, "unit", "random direction", tuple(trials))
