"""A run in numbers: records -> Summary."""

import pandas as pd

from brittle.measure.attack import measure_attack, rate
from brittle.measure.definitions import FAINT, INVISIBLE, MEASURES
from brittle.measure.doubts import doubts
from brittle.measure.models import AttackSummary, Measured, Summary
from brittle.measure.outcomes import grey_levels_rms, judged
from brittle.measure.wording import headline
from brittle.records import FlagRecord, Manifest, View


def summarize(manifest: View, records: pd.DataFrame) -> Summary:
    """All measures of a run, per attack and overall, with flags and a headline; works on unfinished and empty runs."""
    attacks = [measure_attack(manifest, spec, records) for spec in manifest.attacks]
    derived = [FlagRecord(code=flag.code, message=flag.message) for flag in doubts(manifest, records)]
    summary = Summary(
        schema_version=manifest.schema_version,
        model=manifest.model,
        data=manifest.data,
        goal=manifest.goal,
        labelled=manifest.labelled,
        complete=len(records) >= manifest.examples * len(manifest.attacks),
        headline=[],
        overall=_overall(manifest, judged(records)),
        attacks=attacks,
        strongest=_strongest(attacks),
        strongest_minimal=_strongest([attack for attack in attacks if attack.kind == "minimal"]),
        flags=[*manifest.flags, *derived],
        definitions=MEASURES,
    )
    return summary.model_copy(update={"headline": headline(summary)})


def summaries(manifest: Manifest, records: pd.DataFrame) -> list[Summary]:
    """An audit in numbers: a summary for each model and goal, in the manifest's order."""
    return [summarize(view, view.of(records)) for view in manifest.views()]


def _overall(manifest: View, rows: pd.DataFrame) -> dict[str, Measured]:
    """All attacks together: an image counts as fooled where any of them fools it.

    In an unfinished run, rates are over the images that every attack which has begun has reached.
    """
    images = rows.drop_duplicates("position")
    right, present = int(images["correct"].sum()), len(images)
    expected = manifest.examples * len(manifest.attacks)
    accuracy = rate(right, present)
    reached = rows.groupby("position")["attack"].transform("nunique") == rows["attack"].nunique()
    common = rows[reached]
    rms, peak = grey_levels_rms(common["l2"], manifest.image_shape), common["linf"] * 255
    invisible = common["changed"] & (rms <= INVISIBLE[0]) & (peak <= INVISIBLE[1])
    faint = common["changed"] & (rms <= FAINT[0]) & (peak <= FAINT[1])
    any_attack = (
        common[["position", "correct", "changed"]]
        .assign(invisible=invisible, faint=faint)
        .groupby("position")
        .agg({"correct": "first", "changed": "any", "invisible": "any", "faint": "any"})
        .astype(bool)
    )
    of = any_attack[any_attack["correct"]]
    return {
        "examples": Measured(value=present),
        "completeness": Measured(value=len(rows) / expected if expected else None, count=len(rows), of=expected),
        "correct": Measured(value=right),
        "clean_accuracy": accuracy if manifest.labelled else Measured(value=None, count=right, of=present),
        "fooling_rate": rate(int(of["changed"].sum()), len(of)),
        "robust_accuracy": rate(int((~of["changed"]).sum()), len(any_attack)),
        "invisible": rate(int(of["invisible"].sum()), len(of)),
        "faint": rate(int(of["faint"].sum()), len(of)),
    }


def _strongest(attacks: list[AttackSummary]) -> str | None:
    """The highest fooling rate; among equals a minimal attack, then the smaller typical change. None if none fooled."""

    def order(attack: AttackSummary) -> tuple[float, bool, float]:
        change = attack.measures["typical_change"].value
        return attack.measures["fooling_rate"].value or 0.0, attack.kind == "minimal", -(change or 0.0)

    best = max(attacks, key=order, default=None)
    return best.label if best is not None and best.measures["fooling_rate"].count else None
