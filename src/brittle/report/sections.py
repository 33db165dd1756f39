"""What each part of the page says: plain values for the template, taken from measure."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brittle.flags import FLAGS
from brittle.measure import MEASURES, AttackSummary, Case, Measured, Summary
from brittle.pages.figures import Figure
from brittle.pages.words import distance_text, norm_text, value_text
from brittle.records import FlagRecord, View
from brittle.report.worded import count_text, interval_text
from brittle.text import NONE, counted, duration, percent, significant


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
    distance = f"{distance_text(median, attack.distance_norm)}, {label}"
    if attack.distance_norm == "l0":
        share = attack.measures["changed_pixels"].value
        text = f"of the pixels is all that changes in the median image ({distance})."
        return Figure(title, value_text(share, "fraction"), text, bar=share)
    text = f"is the typical change of a pixel value in the median image ({distance})."
    if attack.kind == "budget":
        text += " It was not looking for the smallest change; less may do."
    return Figure(title, significant(typical, 2), text, unit="of 255 grey levels", bar=typical / 255)


def _rate(title: str, rate: Measured, text: str) -> Figure:
    big, interval = value_text(rate.value, "fraction"), interval_text(rate, "fraction")
    return Figure(title, big, text, bar=rate.value, low=rate.low, high=rate.high, interval=interval)


def _images(count: int, summary: Summary) -> str:
    return counted(count, "image") + (" it got right" if summary.labelled else "")


def measures_table(summary: Summary) -> dict[str, Any]:
    """Groups of rows (one per measure) with a cell for each attack, and first one for all attacks together."""
    together = len(summary.attacks) > 1
    groups: dict[str, list[dict[str, Any]]] = {}
    for key, definition in MEASURES.items():
        cells = [_cell(attack.measures.get(key), definition.unit, attack.distance_norm) for attack in summary.attacks]
        overall = summary.overall.get(key)
        if together:
            cells.insert(0, _cell(overall, definition.unit, "l2"))
        if any(cell["text"] for cell in cells):
            unit = "grey levels of 255" if definition.unit == "grey levels" else ""
            row = {"name": definition.name, "unit": unit, "description": definition.description, "cells": cells}
            groups.setdefault(definition.group, []).append(row)
    heads = [{"label": attack.label, "under": _kind(attack)} for attack in summary.attacks]
    if together:
        heads.insert(0, {"label": "all attacks", "under": "best of all, image by image"})
    return {"heads": heads, "groups": groups}


def _kind(attack: AttackSummary) -> str:
    return f"{attack.kind}, {norm_text(attack.norm)}"


def _cell(measured: Measured | None, unit: str, norm: str) -> dict[str, str]:
    if measured is None:
        return {"text": "", "interval": "", "count": ""}
    text = value_text(measured.value, unit, norm)
    if unit == "distance" and measured.value is not None:
        text += f" {norm_text(norm)}"
    return {"text": text, "interval": interval_text(measured, unit, norm), "count": count_text(measured)}


def cost_rows(summary: Summary) -> list[dict[str, Any]]:
    """Passes and time per attack, with the share of the slowest attack's time for a bar."""
    slowest = max((attack.measures["seconds"].value or 0.0 for attack in summary.attacks), default=0.0)
    rows = []
    for attack in summary.attacks:
        cost = {
            key: attack.measures[key].value for key in ("steps", "forwards", "backwards", "seconds", "total_seconds")
        }
        seconds, total = cost["seconds"], cost["total_seconds"]
        texts = [value_text(cost[key], "passes") for key in ("steps", "forwards", "backwards")]
        rows.append(
            {
                "label": attack.label,
                "passes": texts,
                "seconds": value_text(seconds, "seconds"),
                "total": NONE if total is None else duration(total),
                "bar": (seconds or 0.0) / slowest if slowest else 0.0,
            }
        )
    return rows


def flag_cards(summary: Summary) -> list[dict[str, Any]]:
    """One card per code with all its messages, doubts first; codes of other versions keep their messages."""
    cards: dict[str, dict[str, Any]] = {}
    for flag in summary.flags:
        meaning = FLAGS.get(flag.code)
        card = cards.setdefault(
            flag.code,
            {
                "code": flag.code,
                "weight": meaning.weight if meaning else "doubt",
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


def case_caption(manifest: View, case: Case) -> dict[str, Any]:
    """Names, confidences and distances of a case."""
    return {
        "role": case.role,
        "example": case.example,
        "label": class_name(manifest, case.label),
        "target": None if case.target is None else class_name(manifest, case.target),
        "before": class_name(manifest, case.clean_prediction),
        "sure_before": percent(case.clean_confidence),
        "after": class_name(manifest, case.adversarial_prediction),
        "sure_after": percent(case.adversarial_confidence),
        "distance": distance_text(case.distance, case.norm),
        "typical": significant(case.typical_change, 2),
        "largest": significant(case.largest_change, 2),
        "survives": case.survives_8bit,
    }


def class_name(manifest: View, index: int) -> str:
    """The name of a class, or its number where it has none."""
    return manifest.class_names[index] if 0 <= index < len(manifest.class_names) else f"class {index}"


def repeat_facts(manifest: View) -> list[tuple[str, str]]:
    """Everything needed to repeat the run, as term and value."""
    channels, height, width = manifest.image_shape
    facts = [
        ("Model", manifest.model),
        ("Model fingerprint", manifest.model_fingerprint),
        ("Data", manifest.data),
        ("Data fingerprint", manifest.data_fingerprint),
        ("Images", f"{manifest.examples:,}, {width} \u00d7 {height} pixels, {counted(channels, 'channel')}"),
        ("Adversarial images kept", KEPT[manifest.images]),
        ("Goal", manifest.goal),
        ("Seed", str(manifest.seed)),
        ("Device", manifest.device),
        *((f"Version of {name}", version) for name, version in manifest.versions.items()),
        ("Record schema", str(manifest.schema_version)),
        ("Created", manifest.created),
    ]
    return [*facts, ("Batch size, without effect on results", str(manifest.record.batch_size))]
