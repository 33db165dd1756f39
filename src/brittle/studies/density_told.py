"""What is said of densities: how well they tell changed images, and others, from those that nobody has changed."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from brittle.measure import Curve, Measured, Sized, Told
from brittle.measure.auroc import auroc
from brittle.measure.told import Cell
from brittle.pages.words import interval_text
from brittle.records import Manifest
from brittle.studies.control import NOISE
from brittle.text import significant

CLEAN, OTHER, AGAINST = "clean", "other data: ", " against its noise"
_FROM, _TO, _BINS = -8.0, 4.0, 24  # of a histogram, in standard deviations of clean images


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """AUROCs against clean images, with intervals, and a histogram of each kind as a curve."""
    sentences, rows, curves = list[str](), list[tuple[Cell, ...]](), list[Curve]()
    several = len(manifest.models) > 1
    for density in manifest.settings["densities"]:
        given = records[records["density"] == density]
        for model in manifest.models:
            mine = given[(given["model"] == model.name) | (given["model"] == "")]
            clean = mine.loc[mine["what"] == CLEAN, "value"].to_numpy(float)
            if not len(clean):
                continue
            told = []
            kinds = {
                str(what): some.loc[some["fooled"] | (what == CLEAN), "value"].to_numpy(float)
                for what, some in mine.groupby("what", sort=False)
            }
            for what, values in kinds.items():
                found = auroc(values, clean) if what != CLEAN else Measured(value=None)
                rows.append((model.name, density, what, Sized(found, ""), *_middle(values)))
                title = f"{density}, {f'{model.name}, ' if several else ''}{what}"
                curves += _histogram(title, values, clean)
                if found.value is not None:
                    told.append(f"{what} {significant(found.value)}{_interval(found)}")
            rows += [
                (
                    model.name,
                    density,
                    f"{what}{AGAINST}",
                    Sized(auroc(values, kinds[NOISE + what]), ""),
                    *_middle(values[:0]),
                )
                for what, values in kinds.items()
                if NOISE + what in kinds
            ]
            sentences.append(f"{density}, by how likely it finds images, tells from clean ones: {'; '.join(told)}.")
    sentences.append(
        "These are AUROCs: 0.5 is a coin, 1 means that all of them are less likely than any clean image, and below 0.5"
        " they are likelier. Of an attack and its noise those images count that were right and are fooled."
    )
    heads = ("network", "density", "what", "AUROC", "median log density", "how many")
    x = "log density, in standard deviations of clean images from their mean"
    return Told(tuple(sentences), x, "images in a bin, %", tuple(curves), heads, tuple(rows))


def _middle(values: npt.NDArray[np.float64]) -> tuple[Sized, Sized]:
    """The median, and of how many; nothing of none."""
    if not len(values):
        return Sized(Measured(value=None), ""), Sized(Measured(value=None), "images")
    return Sized(Measured(value=float(np.median(values))), ""), Sized(Measured(value=float(len(values))), "images")


def _interval(found: Measured) -> str:
    said = interval_text(found.value, found.low, found.high, "")
    return f" ({said})" if said else ""


def _histogram(title: str, values: npt.NDArray[np.float64], clean: npt.NDArray[np.float64]) -> list[Curve]:
    """The images in each bin, in percent; what is beyond the ends is in the last ones."""
    spread = float(clean.std())
    if not len(values) or not spread:
        return []
    places = np.clip((values - clean.mean()) / spread, _FROM, _TO)
    counts, edges = np.histogram(places, bins=_BINS, range=(_FROM, _TO))
    middles = (edges[:-1] + edges[1:]) / 2
    return [Curve(title, tuple(map(float, middles)), tuple(map(float, 100 * counts / len(values))))]
