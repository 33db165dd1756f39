"""What each part of the page says: plain values for the template, taken from measure."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from brittle.flags import FLAGS, is_doubt
from brittle.measure import COST, MEASURES, Case, Measured, Sized, Summary
from brittle.measure.told import Cell
from brittle.pages import words
from brittle.pages.figures import Figure
from brittle.pages.words import distance_text, norm_text, value_text
from brittle.records import FlagRecord, Manifest, View
from brittle.report.worded import count_text, interval_text
from brittle.text import NONE, counted, duration, percent, plain, significant, size


def figures(summary: Summary) -> list[Figure]:
    """The three big numbers: how accurate, how easily fooled, by how little."""
    return [_accurate(summary), _fooled(summary), _little(summary)]


def _accurate(summary: Summary) -> Figure:
    title, accuracy = "How accurate", summary.overall["clean_accuracy"]
    if not summary.labelled:
        text = "These images have no labels. The classifier's own answers count as right, so accuracy has no meaning."
        return Figure(title, "no labels", text)
    if accuracy.value is None:
        return Figure(title, NONE, "There are no results yet.")
    return _rate(title, accuracy, f"of {counted(accuracy.of or 0, 'image')} classified correctly before any attack.")


def _fooled(summary: Summary) -> Figure:
    title, right = "How easily fooled", int(summary.overall["correct"].value or 0)
    if not right:
        return Figure(title, NONE, "No image was classified correctly, so none can be fooled.")
    if summary.strongest is None:
        return Figure(title, "0 %", f"of the {_images(right, summary)} fooled by any attack of this run.")
    fooling = summary.attack(summary.strongest).measures["fooling_rate"]
    role = "the strongest attack of this run" if len(summary.attacks) > 1 else "the attack of this run"
    text = f"of the {_images(fooling.of or 0, summary)} fooled by {summary.strongest}, {role}."
    return _rate(title, fooling, text)


def _little(summary: Summary) -> Figure:
    title, label = "By how little", summary.strongest_minimal or summary.strongest
    if label is None:
        return Figure(title, NONE, "No perturbation was found that changes an answer.")
    attack = summary.attack(label)
    typical, median = attack.measures["typical_change"].value, attack.measures["median_distance"].value
    if typical is None:
        return Figure(title, NONE, "No perturbation was found that reaches the goal.")
    distance = f"{distance_text(median, attack.distance_norm)}, {attack.label}"
    if attack.distance_norm == "l0":
        share = attack.measures["changed_pixels"].value
        text = f"of the pixels is the median of what changes ({distance})."
        return Figure(title, value_text(share, "fraction"), text, bar=share)
    text = f"is the typical change of a pixel value, by the median ({distance})."
    if attack.kind == "budget":
        text += " It was not looking for the smallest change; less may do."
    return Figure(title, significant(typical, 2), text, unit="of 255 grey levels", bar=typical / 255)


def _rate(title: str, rate: Measured, text: str) -> Figure:
    big, interval = value_text(rate.value, "fraction"), interval_text(rate, "fraction")
    return Figure(title, big, text, bar=rate.value, low=rate.low, high=rate.high, interval=interval)


def _images(count: int, summary: Summary) -> str:
    return counted(count, "image") + (" it got right" if summary.labelled else "")


MAIN = (
    "fooling_rate",
    "fooling_rate_8bit",
    "robust_accuracy",
    "median_distance",
    "typical_change",
    "largest_change",
    "forwards",
    "backwards",
)
"""Measures that are shown at first; the others come when their group is chosen."""


def measures_table(summary: Summary) -> dict[str, Any]:
    """Columns (one per measure), and a row for each attack by kind and norm; above them one for all together."""
    together = len(summary.attacks) > 1
    groups = list(dict.fromkeys(definition.group for definition in MEASURES.values()))
    columns: list[dict[str, Any]] = [
        {
            "key": key,
            "name": definition.name,
            "unit": "grey levels of 255" if definition.unit == "grey levels" else "",
            "description": definition.description,
            "group": groups.index(definition.group),
            "main": key in MAIN,
        }
        for key, definition in MEASURES.items()
        if _is_column(key, summary, together)
    ]
    bodies: dict[str, list[dict[str, Any]]] = {}
    if together:
        cells = [
            measured_cell(summary.overall.get(column["key"]), MEASURES[column["key"]].unit, "l2") for column in columns
        ]
        bodies[""] = [{"title": "all attacks", "under": "best of all, image by image", "cells": cells}]
    for attack in sorted(summary.attacks, key=lambda one: (one.kind != "minimal", one.kind)):
        cells = [
            measured_cell(attack.measures.get(column["key"]), MEASURES[column["key"]].unit, attack.distance_norm)
            for column in columns
        ]
        kind = f"{attack.kind}, {norm_text(attack.norm)}"
        bodies.setdefault(kind, []).append({"title": attack.label, "under": "", "cells": cells})
    return {"groups": groups, "columns": columns, "bodies": bodies}


def _is_column(key: str, summary: Summary, together: bool) -> bool:
    """Whether anything has this measure, and it is no copy of another: untargeted, success is to be fooled."""
    each = [attack.measures.get(key) for attack in summary.attacks]
    if together:
        each.insert(0, summary.overall.get(key))
    if key == "attack_success_rate" and all(
        attack.measures[key] == attack.measures["fooling_rate"] for attack in summary.attacks
    ):
        return False
    return any(measured is not None and value_text(measured.value, MEASURES[key].unit) for measured in each)


def measured_cell(measured: Measured | None, unit: str, norm: str) -> dict[str, Any]:
    """A number with its interval and what it counts, in words; ``sort`` to order it by."""
    if measured is None:
        return {"text": "", "interval": "", "count": "", "sort": None}
    text = value_text(measured.value, unit, norm)
    if unit == "distance" and measured.value is not None:
        text += f" {norm_text(norm)}"
    return {
        "text": text,
        "interval": interval_text(measured, unit, norm),
        "count": count_text(measured),
        "sort": measured.value,
    }


def told_cell(cell: Cell) -> dict[str, Any]:
    """A cell of a told table in words, with what to sort it by."""
    if isinstance(cell, Measured):
        return measured_cell(cell, "fraction", "l2") | {"number": True}
    if isinstance(cell, Sized):
        return measured_cell(cell.measured, cell.unit, cell.norm) | {"number": True}
    if isinstance(cell, str):
        return {"text": cell, "interval": "", "count": "", "sort": None, "number": False}
    order = cell if math.isfinite(cell) else None
    return {"text": plain(cell), "interval": "", "count": "", "sort": order, "number": True}


def cost_rows(summary: Summary) -> list[dict[str, Any]]:
    """Passes and time per attack, with the share of the dearest attack's passes for a bar."""
    rows: list[dict[str, Any]] = []
    for attack in summary.attacks:
        cost = {key: attack.measures[key].value for key, known in MEASURES.items() if known.group == COST}
        total = cost["total_seconds"]
        rows.append(
            {
                "title": attack.label,
                "passes": [value_text(cost[key], "passes") for key in ("steps", "forwards", "backwards")],
                "seconds": value_text(cost["seconds"], "seconds"),
                "spread": words.interval_text(cost["seconds"], cost["seconds_low"], cost["seconds_high"], "seconds"),
                "total": NONE if total is None else duration(total),
                "bar": (cost["forwards"] or 0.0) + (cost["backwards"] or 0.0),
            }
        )
    most = max((row["bar"] for row in rows), default=0.0)
    return [row | {"bar": row["bar"] / most if most else 0.0} for row in rows]


def flag_cards(flags: Iterable[FlagRecord]) -> list[dict[str, Any]]:
    """One card per code with all its messages, doubts first; codes of other versions keep their messages."""
    cards: dict[str, dict[str, Any]] = {}
    for flag in flags:
        meaning = FLAGS.get(flag.code)
        card = cards.setdefault(
            flag.code,
            {
                "code": flag.code,
                "weight": "doubt" if is_doubt(flag.code) else "note",
                "sentence": meaning.sentence if meaning else "This version of brittle does not know this flag.",
                "raised": meaning.raised if meaning else "",
                "remedy": meaning.remedy if meaning else "",
                "messages": [],
            },
        )
        card["messages"].append(flag.message)
    return sorted(cards.values(), key=lambda card: str(card["weight"]))  # "doubt" before "note"


def damage_flag(directory: Path, damaged: Sequence[Path]) -> FlagRecord:
    """What to say of image files that are not as they were written."""
    count = len(damaged)
    message = (
        f"{counted(count, 'image file')} {'is' if count == 1 else 'are'} missing or not as written, the first"
        f" {damaged[0].relative_to(directory)}; the same audit again makes {'it' if count == 1 else 'them'} anew"
    )
    return FlagRecord(code="damaged-images", message=message)


KEPT = {
    "all": "all, as they were graded",
    "fooled": "those that fooled the classifier, as they were graded",
    "8bit": "rounded to 8 bits after they were graded",
    "none": "none",
}
"""What a run keeps of its adversarial images."""


def case_caption(view: View, case: Case) -> dict[str, Any]:
    """Names, confidences and distances of a case."""
    return {
        "attack": case.attack,
        "role": case.role or (f"no. {case.rank:,} of {case.of:,}" if case.fooled else "withstood"),
        "rank": case.rank,
        "of": case.of,
        "fooled": case.fooled,
        "example": case.example,
        "position": case.position,
        "class": case.label,
        "label": view.class_name(case.label),
        "target": None if case.target is None else view.class_name(case.target),
        "before": view.class_name(case.clean_prediction),
        "sure_before": percent(case.clean_confidence),
        "after": view.class_name(case.adversarial_prediction),
        "sure_after": percent(case.adversarial_confidence),
        "distance": distance_text(case.distance, case.norm),
        "typical": significant(case.typical_change, 2),
        "largest": significant(case.largest_change, 2),
        "survives": case.survives_8bit,
    }


def repeat_facts(manifest: Manifest) -> list[tuple[str, str]]:
    """Everything needed to repeat a run of any study, as term and value."""
    facts: list[tuple[str, str]] = []
    for model in manifest.models:
        channels, height, width = model.image_shape
        facts += [
            ("Model", model.name),
            ("Fingerprint", model.fingerprint),
            ("Fingerprint of the data as it sees them", model.data_fingerprint),
            ("Images as it sees them", f"{width} \u00d7 {height} pixels, {counted(channels, 'channel')}"),
            ("Device, and batch size (without effect on results)", f"{model.device}, {model.batch_size}"),
        ]
        if model.precision != "fp32":
            facts.append(("Precision of budget attacks and searches; grades are fp32", model.precision))
    if manifest.goals:
        facts.append(("Goal" if len(manifest.goals) == 1 else "Goals", ", ".join(manifest.goals)))
    facts += [("Data", manifest.data), ("Images", f"{manifest.examples:,}")]
    if manifest.study == "audit":
        facts.append(("Adversarial images kept", KEPT[manifest.images]))
        if manifest.transfer is not None:
            sizes = [f"{norm_text(norm)} {size(one)}" for norm, every in manifest.transfer.items() for one in every]
            facts.append(("Graded on the other models", ", ".join(["as they are", *sizes])))
        facts += [("Training images of " + one.name, one.trained_on) for one in manifest.models if one.trained_on]
        if manifest.levels is not None:
            facts.append(("Every attack ends on", f"8-bit images, of {manifest.levels} levels a channel"))
    facts += [
        (key.replace("_", " ").capitalize(), ", ".join(map(str, value)) if isinstance(value, list) else str(value))
        for key, value in manifest.settings.items()
    ]
    return [
        *facts,
        ("Seed", str(manifest.seed)),
        *((f"Version of {name}", version) for name, version in manifest.versions.items()),
        ("Record schema", str(manifest.schema_version)),
        ("Created", manifest.created),
    ]
