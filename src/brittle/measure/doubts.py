"""A run's doubts about itself, derived from its records."""

from collections import Counter
from itertools import combinations

import pandas as pd

from brittle.measure.attack import measure_attack, rate
from brittle.measure.intervals import sign_test
from brittle.measure.models import AttackSummary
from brittle.measure.outcomes import judged
from brittle.measure.sweeps import families
from brittle.numbers import percent
from brittle.run.records import AttackSpec, Manifest
from brittle.types import Flag

FEW = 100
LOST = 0.10
NOISE = 0.01
ON_RECORDS = {
    "outside-box": "have pixels outside [0, 1]",
    "over-budget": "exceed the budget",
    "non-finite-logits": "give logits that are NaN or infinite: not fooled, and not robust either",
    "miscounted-passes": "come with another number of passes than was counted",
}


def doubts(manifest: Manifest, records: pd.DataFrame) -> list[Flag]:
    """Flags raised by the records of a run; those of the preflight are in ``manifest.flags``.

    Each code is explained in docs/flags.md.
    """
    attacks = [measure_attack(manifest, spec, records) for spec in manifest.attacks]
    rows = judged(records)
    return [
        *_incomplete(manifest, records),
        *_data(manifest, rows),
        *(flag for attack in attacks for flag in _attack(attack, rows[rows["attack"] == attack.label])),
        *_sweeps(manifest, rows),
    ]


def _incomplete(manifest: Manifest, records: pd.DataFrame) -> list[Flag]:
    expected = manifest.examples * len(manifest.attacks)
    if len(records) >= expected:
        return []
    return [Flag("incomplete", f"{len(records):,} of {expected:,} records are present")]


def _data(manifest: Manifest, rows: pd.DataFrame) -> list[Flag]:
    """Doubts about the images and the classifier before any attack; each image counts once."""
    images = rows.drop_duplicates("position")
    right, classes = int(images["correct"].sum()), len(manifest.class_names)
    flags = []
    accuracy = rate(right, len(images))
    if manifest.labelled and classes > 1 and accuracy.low is not None and accuracy.low <= 1 / classes:
        message = f"clean accuracy is {percent(right / len(images))} of {len(images):,} images"
        flags.append(Flag("near-chance", f"{message}; guessing among {classes:,} classes gives {percent(1 / classes)}"))
    if len(images) and right < FEW:
        flags.append(Flag("few-examples", f"{right:,} correctly classified {'image' if right == 1 else 'images'}"))
    return flags


def _attack(attack: AttackSummary, rows: pd.DataFrame) -> list[Flag]:
    flags = []
    success, unconfirmed = attack.measures["attack_success_rate"], attack.measures["unconfirmed"].value
    if attack.kind == "minimal" and success.of and success.count != success.of:
        left = success.of - (success.count or 0)
        flags.append(Flag("unbounded-below-100", f"{attack.label} failed on {left:,} of {success.of:,} images"))
    if unconfirmed:
        flags.append(Flag("unconfirmed", f"{attack.label} claims {unconfirmed:,.0f} images that were not confirmed"))
    fooled = rows[rows["correct"] & rows["success"]]
    lost = int((~fooled["fooled_8bit"]).sum())
    if lost > LOST * len(fooled):
        share = percent(lost / len(fooled))
        message = f"{lost:,} of {len(fooled):,} images that {attack.label} fooled ({share}) revert"
        typical = attack.measures["typical_change"].value
        if attack.kind == "minimal" and typical is not None and typical < 1:
            message += f"; the typical change is {typical:.2g} grey levels, which 8 bits cannot hold"
        flags.append(Flag("lost-8bit", message))
    counts = Counter(code for codes in rows["flags"] for code in set(codes))
    for code, what in ON_RECORDS.items():
        if counts[code]:
            flags.append(Flag(code, f"{counts[code]:,} of {len(rows):,} images of {attack.label} {what}"))
    return flags


def _sweeps(manifest: Manifest, rows: pd.DataFrame) -> list[Flag]:
    """Pairs of one budget attack at two budgets where the larger one breaks fewer of the same images, beyond luck."""
    flags = []
    for family in families(manifest):
        for small, large in combinations(family.attacks, 2):
            paired = _broken(rows, small).to_frame("small").join(_broken(rows, large).rename("large"), how="inner")
            back = int((paired["small"] & ~paired["large"]).sum())
            forth = int((~paired["small"] & paired["large"]).sum())
            if back > forth and sign_test(back, forth) < NOISE:
                message = f"{back:,} images that {small.label} fools withstand {large.label}"
                flags.append(Flag("not-monotone", f"{message}; the other way round {forth:,}"))
    return flags


def _broken(rows: pd.DataFrame, spec: AttackSpec) -> "pd.Series[bool]":
    """By position, for correctly classified images: was the prediction changed?"""
    mine = rows[(rows["attack"] == spec.label) & rows["correct"]]
    changed: pd.Series[bool] = mine.set_index("position")["changed"].astype(bool)
    return changed
