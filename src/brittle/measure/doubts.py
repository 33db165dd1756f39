"""A run's doubts about itself, derived from its records."""

from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from brittle.errors import Flag
from brittle.flags import STUCK
from brittle.measure.attack import rate
from brittle.measure.intervals import LUCK, sign_test
from brittle.measure.models import AttackSummary
from brittle.measure.outcomes import NORMS
from brittle.measure.sweeps import families
from brittle.records import AttackSpec, View, rows_where
from brittle.text import counted, percent, size

FEW = 100
LOST = 0.10
ELSEWHERE = 0.05
SHRUNK = 0.05
_FEWEST_LONGER = 8
NEWLY = 0.05
_FEWEST_NEWLY = 2
ON_RECORDS = {
    "outside-box": "have pixels outside [0, 1]",
    "over-budget": "exceed the budget",
    "non-finite-logits": "give logits that are NaN or infinite: not fooled, and not robust either",
    "changed-answers": "were attacked on a network that answers otherwise than it did before",
    "miscounted-passes": "come with another number of passes than was counted",
}


def doubts(view: View, rows: pd.DataFrame, attacks: Sequence[AttackSummary]) -> list[Flag]:
    """Flags raised by the judged records of a run and its measured attacks; those of the preflight are in its view.

    Each code is explained in docs/flags.md.
    """
    return [
        *_incomplete(view, rows),
        *_data(view, rows),
        *(flag for attack in attacks for flag in _attack(attack, rows_where(rows, rows["attack"] == attack.label))),
        *_sweeps(view, rows),
        *_elsewhere(view, rows),
    ]


def _incomplete(view: View, records: pd.DataFrame) -> list[Flag]:
    expected = view.examples * len(view.attacks)
    if len(records) >= expected:
        return []
    return [Flag("incomplete", f"{len(records):,} of {expected:,} records are present")]


def _data(view: View, rows: pd.DataFrame) -> list[Flag]:
    """Doubts about the images and the classifier before any attack; each image counts once."""
    images = rows.drop_duplicates("position")
    right, classes = int(images["correct"].sum()), len(view.class_names)
    flags = []
    accuracy = rate(right, len(images))
    if view.labelled and classes > 1 and accuracy.low is not None and accuracy.low <= 1 / classes:
        message = f"clean accuracy is {percent(right / len(images))} of {len(images):,} images"
        flags.append(Flag("near-chance", f"{message}; guessing among {classes:,} classes gives {percent(1 / classes)}"))
    if len(images) and right < FEW:
        flags.append(Flag("few-examples", f"{counted(right, 'correctly classified image')}"))
    return flags


def _attack(attack: AttackSummary, rows: pd.DataFrame) -> list[Flag]:
    flags = []
    success, unconfirmed = attack.measures["attack_success_rate"], attack.measures["unconfirmed"].value
    if attack.kind != "budget" and success.of and success.count != success.of:
        left = success.of - (success.count or 0)
        flags.append(
            Flag("unbounded-below-100", f"{attack.label} failed on {left:,} of {counted(success.of, 'image')}")
        )
    if unconfirmed:
        flags.append(Flag("unconfirmed", f"{attack.label} claims {counted(unconfirmed, 'image')} not confirmed"))
    flags += [*_headway(attack, rows), *_longer(attack, rows)]
    fooled = rows[rows["correct"] & rows["success"]]
    lost = int((~fooled["fooled_8bit"]).sum())
    if lost > LOST * len(fooled):
        share = percent(lost / len(fooled))
        message = f"{lost:,} of {len(fooled):,} images that {attack.label} fooled ({share}) revert"
        typical = attack.measures["typical_change"].value
        if attack.kind == "minimal" and typical is not None and typical < 1:
            message += f"; the typical change is {typical:.2g} grey levels, which 8 bits cannot hold"
        flags.append(Flag("lost-8bit", message))
    counts = Counter(code for codes in rows["flags"] if len(codes) for code in set(codes))
    for code, what in ON_RECORDS.items():
        if counts[code]:
            flags.append(Flag(code, f"{counts[code]:,} of {len(rows):,} images of {attack.label} {what}"))
    return flags


def _headway(attack: AttackSummary, rows: pd.DataFrame) -> list[Flag]:
    """A budget attack by gradients that ends no nearer to its goal than it began, though it took several steps."""
    tried = rows[rows["attacked"]]
    walked = (tried["backwards"] > 0) & (tried["steps"] > 1) & ~tried["success"]
    stuck = int((walked & (tried["adversarial_margin"] >= tried["clean_margin"])).sum())
    if attack.kind != "budget" or stuck <= STUCK * len(tried):
        return []
    return [Flag("no-headway", f"{attack.label} ends no nearer to its goal on {stuck:,} of {len(tried):,} images")]


def _longer(attack: AttackSummary, rows: pd.DataFrame) -> list[Flag]:
    """An attack that finds smaller perturbations, or within a budget more of them, where it is given more time."""
    ratios = rows["longer_ratio"].dropna()
    if attack.kind == "budget":
        newly, tried = int((ratios == 0).sum()), len(ratios)
        if newly < _FEWEST_NEWLY or newly <= NEWLY * tried:
            return []
        message = f"with more steps, draws and another start {attack.label} fools {newly:,} more of {tried:,} images"
        return [Flag("longer-fools-more", f"{message} that were tried again")]
    left = float(ratios.median()) if len(ratios) >= _FEWEST_LONGER else 1.0
    if left >= 1 - SHRUNK:
        return []
    message = f"a longer run leaves {percent(left)} of the distances of {attack.label}"
    return [Flag("longer-is-smaller", f"{message} (median of {len(ratios):,} images)")]


def _sweeps(view: View, rows: pd.DataFrame) -> list[Flag]:
    """Pairs of one budget attack at two budgets where the larger one breaks fewer of the same images, beyond luck."""
    flags = []
    for family in families(view):
        broken = [(spec, _broken(rows, spec)) for spec in family.attacks if len(family.attacks) > 1]
        for (small, by_small), (large, by_large) in combinations(broken, 2):
            paired = by_small.to_frame("small").join(by_large.rename("large"), how="inner")
            back = int((paired["small"] & ~paired["large"]).sum())
            forth = int((~paired["small"] & paired["large"]).sum())
            if back > forth and sign_test(back, forth) < LUCK:
                message = f"{back:,} images that {small.label} fools withstand {large.label}"
                flags.append(Flag("not-monotone", f"{message}; the other way round {forth:,}"))
    return flags


def _elsewhere(view: View, rows: pd.DataFrame) -> list[Flag]:
    """Budgets at which the best attack by gradients misses what another kind of attack finds within them, beyond luck.

    That is any minimal attack, and any that asks for scores or decisions. An attack by gradients that takes one step is
    no measure of what gradients can do, and is left out.
    """
    by_gradients = set(rows.loc[rows["backwards"] > 0, "attack"])
    iterated = by_gradients & set(rows.loc[rows["steps"] > 1, "attack"])
    walks = [spec for spec in view.attacks if spec.kind == "budget" and spec.label in iterated]
    others = [spec for spec in view.attacks if spec.kind == "minimal" or spec.label not in by_gradients]
    flags = []
    for norm, eps in dict.fromkeys((spec.norm, spec.eps) for spec in walks):
        if norm not in NORMS or eps is None:
            continue
        same = [spec for spec in walks if (spec.norm, spec.eps) == (norm, eps)]
        best = max(same, key=lambda spec: int(_broken(rows, spec).sum()))
        found = {spec.label: _broken(rows, spec, within=(norm, eps)) for spec in others}
        if found:
            other = max(found, key=lambda label: int(found[label].sum()))
            flags += _missed((best.label, other), _broken(rows, best), found[other], f"{norm} {size(eps)}")
    return flags


def _missed(labels: tuple[str, str], broken: "pd.Series[bool]", found: "pd.Series[bool]", budget: str) -> list[Flag]:
    best, other = labels
    paired = broken.to_frame("best").join(found.rename("other"), how="inner")
    more = int((paired["other"] & ~paired["best"]).sum())
    fewer = int((~paired["other"] & paired["best"]).sum())
    if more - fewer <= ELSEWHERE * len(paired) or sign_test(more, fewer) >= LUCK:
        return []
    figures = f"of {len(paired):,} images {other} fools {int(paired['other'].sum()):,} within {budget}"
    message = f"{figures}, and {best}, the best by gradients, {int(paired['best'].sum()):,}"
    return [Flag("stronger-elsewhere", f"{message}; {more:,} withstand the gradients alone")]


def _broken(rows: pd.DataFrame, spec: AttackSpec, within: tuple[str, float] | None = None) -> "pd.Series[bool]":
    """By position, for correctly classified images: was the prediction changed, by no more than a size in a norm?"""
    mine = rows_where(rows, rows["attack"] == spec.label)
    mine = mine[mine["correct"]].set_index("position")
    changed: pd.Series[bool] = mine["changed"].astype(bool)
    return changed if within is None else changed & (mine[within[0]] <= within[1] * (1 + 1e-6))
