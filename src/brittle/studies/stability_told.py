"""What is said of instability by layer: bounds beside what was measured."""

import math

import pandas as pd

from brittle.explain.bounds import LOGITS
from brittle.measure import Curve, Told
from brittle.measure.told import Cell
from brittle.records import Manifest
from brittle.text import NONE, counted, plain

OWN, BOUND, JACOBIAN = "own", "bound", "jacobian"


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """A line for each layer: its norm, the product up to it, and the median amplification of each change."""
    sentences, curves, rows = list[str](), list[Curve](), list[tuple[Cell, ...]]()
    changes = [one for one in dict.fromkeys(records["what"]) if one not in (OWN, BOUND, JACOBIAN)]
    several = len(manifest.models) > 1
    for name, mine in records.groupby("model", sort=False):
        told = f"{name}, " if several else ""
        bounds = mine[mine["example"] == ""]
        own, through = (_by_layer(bounds, what) for what in (OWN, BOUND))
        medians = {what: _by_layer(mine, what) for what in changes}
        layers = list(dict.fromkeys([*bounds.sort_values("place")["layer"], *mine["layer"]]))
        layers = [one for one in layers if one != LOGITS] + [LOGITS]
        through.setdefault(LOGITS, math.nan)
        sentences += _sentences(str(name), mine, bounds, through, changes)
        for title, found in {"product bound": through, **medians}.items():
            points = [(float(at), found[one]) for at, one in enumerate(layers, 1) if found.get(one, math.nan) > 0]
            curves.append(Curve(f"{told}{title}", *_logarithms(points)))
        kinds = dict(zip(mine["layer"], mine["kind"], strict=True))
        for at, one in enumerate(layers, 1):
            values = [found.get(one, math.nan) for found in (own, through, *medians.values())]
            values.append(float(mine.loc[mine["what"] == JACOBIAN, "value"].max()) if one == LOGITS else math.nan)
            cells = [NONE if math.isnan(value) else value for value in values]
            rows.append((*((str(name),) if several else ()), f"{at} {one}", str(kinds.get(one, "")), *cells))
    heads = (
        *(("model",) if several else ()),
        "layer",
        "kind",
        "own norm",
        "product bound",
        *changes,
        "largest Jacobian",
    )
    y = "times larger than in the pixels, power of 10"
    return Told(tuple(sentences), "layer", y, tuple(curves), heads, tuple(rows))


def _sentences(
    name: str, mine: pd.DataFrame, bounds: pd.DataFrame, through: dict[str, float], changes: list[str]
) -> list[str]:
    """What may happen, what happens at least, and what happens."""
    jacobian = mine.loc[mine["what"] == JACOBIAN, "value"]
    final = mine[mine["layer"] == LOGITS]
    done = ", ".join(
        f"{plain(float(value))} times for {what}"
        for what in changes
        if not math.isnan(value := final.loc[final["what"] == what, "value"].median())
    )
    most = through[LOGITS]
    limit = (
        f"at most {plain(most) if most < 1e6 else format(most, '.1e')} times"
        if not math.isnan(most)
        else "without a bound"
    )
    median = f"In the median it grew {done}. " if done else ""
    found = [
        f"{name}: a change grows {limit} from pixels to logits (L2), by the norms of the layers.",
        f"{median}At {counted(len(jacobian), 'image')} a small one grows up to"
        f" {plain(float(jacobian.max()))} times (largest singular value of the Jacobian, median"
        f" {plain(float(jacobian.median()))}): no bound can be lower.",
    ]
    said = dict.fromkeys(bounds.loc[bounds["said"] != "", "said"])
    return found + [f"{name}: no bound, as {one}." for one in said]


def _by_layer(records: pd.DataFrame, what: str) -> dict[str, float]:
    """Medians over the images."""
    found = records[records["what"] == what].groupby("layer", sort=False)["value"].median()
    return {str(layer): float(value) for layer, value in found.items()}


def _logarithms(points: list[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(x for x, _ in points), tuple(math.log10(y) for _, y in points)
