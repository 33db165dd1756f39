"""What is said of pictures that excite a network."""

from typing import Any

import pandas as pd

from brittle.measure import Told, rate
from brittle.measure.told import Cell, Shelf, Tile
from brittle.records import Manifest
from brittle.text import NONE, counted, percent, significant

_HEADS = ("network", "ascent", "objectives", "who looks", "pictures", "agreement rate", "times the data's largest")


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """How often others see the class that a picture was made for, and the pictures."""
    names = {model.name: model.class_names for model in manifest.models}
    records = records.sort_values("model", key=lambda one: one.map(list(names).index), kind="stable")
    sentences, rows = list[str](), list[tuple[Cell, ...]]()
    for (model, ascent, what), mine in records.groupby(
        ["model", "ascent", records["kind"] + ":" + records["layer"]], sort=False
    ):
        what = str(what).rstrip(":")
        for by, said in mine.groupby("by", sort=False):
            rows.append(_row(str(model), str(ascent), what, str(by), said))
        if what == "class":
            sentences.append(_sentence(str(model), str(ascent), mine))
    if not sentences:
        sentences.append(
            f"What excites {' and '.join(names)} the most: {counted(records['picture'].nunique(), 'picture')}."
        )
    one_way = records["ascent"].nunique() == 1
    shelves = tuple(
        Shelf(
            _title(found.iloc[0], names[found.iloc[0]["model"]]),
            tuple(_tile(each, names, one_way) for _, each in found.groupby("picture", sort=False)),
        )
        for _, found in records.groupby("objective", sort=False)
    )
    return Told(tuple(sentences), heads=_HEADS, rows=tuple(rows), shelves=shelves)


def _sentence(model: str, ascent: str, records: pd.DataFrame) -> str:
    said = []
    for by, mine in records.groupby("by", sort=False):
        who = "the network itself" if by == model else str(by)
        said.append(f"{who} sees it in {int(mine['agrees'].sum())}")
    count = counted(records["picture"].nunique(), "picture")
    return f"{count} of a class that {model} has learnt, by {ascent}: {', '.join(said)}."


def _row(model: str, ascent: str, what: str, by: str, records: pd.DataFrame) -> tuple[Cell, ...]:
    judged = records["agrees"].dropna()
    agreement: Cell = rate(int(judged.sum()), len(judged)) if len(judged) else NONE
    above = records[records["best"] > 0]
    times: Cell = float((above["value"] / above["best"]).median()) if by == model and len(above) else NONE
    return model, ascent, what, by, str(len(records)), agreement, times


def _title(row: Any, names: list[str]) -> str:
    return names[row["index"]] if row["kind"] == "class" else str(row["objective"])


def _tile(records: pd.DataFrame, names: dict[str, list[str]], one_way: bool) -> Tile:
    """One picture. records: of all who looked at it, the network itself first."""
    first = records.iloc[0]
    classes = names[first["model"]]
    lines = [
        f"{'itself' if by == first['model'] else by}: {classes[seen]} ({percent(sure)})"
        for by, seen, sure in zip(records["by"], records["prediction"], records["confidence"], strict=True)
    ]
    if first["kind"] != "class":
        lines.insert(0, f"{significant(first['value'])}; the data's largest: {significant(first['best'])}")
    caption = first["model"] if one_way else f"{first['model']}, {first['ascent']}"
    agrees = None if records["agrees"].isna().any() else bool(records["agrees"].all())
    return Tile(caption, first["picture"], tuple(lines), agrees)
