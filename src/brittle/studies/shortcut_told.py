"""What is said of a run of ``shortcut``."""

import pandas as pd

from brittle.measure import Sized, Told, rate
from brittle.measure.attack import mean
from brittle.measure.models import Measured
from brittle.measure.told import Cell, Shelf, Tile
from brittle.records import Manifest
from brittle.text import counted, percent, significant

HEADS = (
    *("model", "as in training", "without the plant", "with it swapped", "follows the plant"),
    *("of changes", "of slopes", "of noise", "distance"),
)
_STATES = {"kept": "as in training", "gone": "without the plant", "swapped": "plant swapped"}


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """Accuracies in each state, whether answers follow the plant where it contradicts the label, and shares inside."""
    rows, sentences = list[tuple[Cell, ...]](), list[str]()
    for model in manifest.models:
        mine = records[records["model"] == model.name]
        if not len(mine):
            continue
        accuracies = [_right(mine[mine["state"] == state]) for state in _STATES]
        contrary = mine[(mine["state"] == "swapped") & mine["contrary"]]
        follows = rate(int(contrary["follows"].sum()), len(contrary))
        kept = mine[mine["state"] == "kept"]
        change, slope, noise = (mean(kept[f"{name}_inside"].dropna()) for name in _INSIDE)
        distance = Sized(mean(kept.loc[kept["met"], "distance"]), "")
        rows.append((model.name, *accuracies, follows, change, slope, noise, distance))
        before, gone, swapped = (percent(one.value or 0.0) for one in accuracies)
        sentences.append(
            f"{model.name} is right on {before} of {counted(accuracies[0].of or 0, 'image')} as in training, on {gone}"
            f" without the plant and on {swapped} with it swapped; where the plant contradicts the label,"
            f" {percent(follows.value or 0.0)} of its answers follow the plant."
        )
        if change.value is not None and noise.value:
            sentences.append(
                f"Of what {manifest.settings['attack']} changes of an image, {percent(change.value)} is within the"
                f" plant, of the slope {percent(slope.value or 0.0)}, of noise {percent(noise.value)}: attacks look"
                f" there {significant(change.value / noise.value, 2)} times as often as chance."
            )
    sentences.append(
        f"The plant is {manifest.settings['plant']}. Changes go from images as in training towards the class that it"
        " tells when swapped; shares are of the squared L2 norm, distances in L2."
    )
    return Told(tuple(sentences), heads=HEADS, rows=tuple(rows), shelves=_shelves(manifest, records))


_INSIDE = ("change", "slope", "noise")


def _right(records: pd.DataFrame) -> Measured:
    return rate(int((records["prediction"] == records["label"]).sum()), len(records))


def _shelves(manifest: Manifest, records: pd.DataFrame) -> tuple[Shelf, ...]:
    """The first images in all states, and what attacks make of them."""
    models = {model.name: model for model in manifest.models}
    shelves = []
    shown = records[records["position"] < manifest.settings["pictures"]]
    for (position, example), mine in shown.groupby(["position", "example"], sort=True):
        tiles, label = list[Tile](), ""
        for name, model in models.items():
            of_model = mine[mine["model"] == name]
            if not len(of_model):
                continue
            place, classes = f"pictures/{model.slug}/{int(position):06d}", model.class_names
            by_state = of_model.set_index("state")
            label = str(classes[int(by_state.loc["kept", "label"])])
            for state, said in _STATES.items():
                answer, right = by_state.loc[state, "prediction"], by_state.loc[state, "label"]
                lines = (f"taken for {classes[int(answer)]}",)
                tiles.append(Tile(f"{name}: {said}", f"{place}-{state}.png", lines, bool(answer == right)))
            if by_state.loc["kept", "met"]:
                share = percent(float(by_state.loc["kept", "change_inside"]))
                tiles.append(Tile(f"{name}: what an attack changes", f"{place}-change.png", (f"{share} in the plant",)))
                tiles.append(Tile(f"{name}: attacked", f"{place}-attacked.png"))
        shelves.append(Shelf(f"{label}, image {example}", tuple(tiles)))
    return tuple(shelves)
