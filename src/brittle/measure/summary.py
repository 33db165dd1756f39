"""A run in numbers: records -> Summary."""

import pandas as pd

from brittle.measure.attack import measure_attack, rate
from brittle.measure.classes import classes
from brittle.measure.definitions import FAINT, INVISIBLE, MEASURES
from brittle.measure.doubts import doubts
from brittle.measure.models import AttackSummary, Measured, Summary
from brittle.measure.outcomes import NORMS, grey_levels_rms, judged, reached
from brittle.measure.wording import headline
from brittle.records import FlagRecord, Manifest, View

OVERALL = (
    "examples",
    "completeness",
    "correct",
    "clean_accuracy",
    "fooling_rate",
    "robust_accuracy",
    "invisible",
    "invisible_8bit",
    "faint",
    "faint_8bit",
)
"""The measures of all attacks together: the keys of ``Summary.overall``."""


def summarize(view: View, records: pd.DataFrame) -> Summary:
    """All measures of a run, per attack and overall, with flags and a headline; works on unfinished and empty runs."""
    rows = judged(records)
    attacks = [measure_attack(view, spec, rows) for spec in view.attacks]
    minimal = [attack for attack in attacks if attack.kind == "minimal"]
    strongest = _strongest(attacks)
    derived = [FlagRecord(code=flag.code, message=flag.message) for flag in doubts(view, rows, attacks)]
    summary = Summary(
        schema_version=view.schema_version,
        model=view.model,
        data=view.data,
        goal=view.goal,
        labelled=view.labelled,
        levels=view.levels,
        complete=len(records) >= view.examples * len(view.attacks),
        headline=[],
        overall=_overall(view, rows),
        attacks=attacks,
        strongest=strongest,
        strongest_minimal=_strongest(minimal),
        by_norm={
            norm: label
            for norm in NORMS
            if (label := _strongest([attack for attack in minimal if attack.norm == norm])) is not None
        },
        classes=classes(view, rows, strongest),
        flags=[*view.flags, *derived],
        definitions=MEASURES,
    )
    return summary.model_copy(update={"headline": headline(summary)})


def summaries(manifest: Manifest, records: pd.DataFrame) -> list[Summary]:
    """An audit in numbers: a summary for each model and goal, in the manifest's order."""
    return [summarize(view, view.of(records)) for view in manifest.views()]


def _overall(view: View, rows: pd.DataFrame) -> dict[str, Measured]:
    """All attacks together: an image counts as fooled where any of them fools it.

    In an unfinished run, rates are over the images that every attack which has begun has reached.
    """
    images = rows.drop_duplicates("position")
    right, present = int(images["correct"].sum()), len(images)
    expected = view.examples * len(view.attacks)
    accuracy = rate(right, present)
    common = reached(rows)
    rms, peak = grey_levels_rms(common["l2"], view.image_shape), common["linf"] * 255
    invisible = common["changed"] & (rms <= INVISIBLE[0]) & (peak <= INVISIBLE[1])
    faint = common["changed"] & (rms <= FAINT[0]) & (peak <= FAINT[1])
    kept = common["fooled_8bit"]
    sizes = {"invisible": invisible, "invisible_8bit": invisible & kept, "faint": faint, "faint_8bit": faint & kept}
    any_attack = (
        common[["position", "correct", "changed", "lost"]]
        .assign(**sizes)
        .groupby("position")
        .agg({"correct": "first", "changed": "any", "lost": "any", **dict.fromkeys(sizes, "any")})
        .astype(bool)
    )
    of = any_attack[any_attack["correct"]]
    return {
        "examples": Measured(value=present),
        "completeness": Measured(value=len(rows) / expected if expected else None, count=len(rows), of=expected),
        "correct": Measured(value=right),
        "clean_accuracy": accuracy if view.labelled else Measured(value=None, count=right, of=present),
        "fooling_rate": rate(int(of["changed"].sum()), len(of)),
        "robust_accuracy": rate(int((~of["lost"]).sum()), len(any_attack)),
        **{key: rate(int(of[key].sum()), len(of)) for key in sizes},
    }


def _strongest(attacks: list[AttackSummary]) -> str | None:
    """The highest fooling rate; among equals a minimal attack, then the smaller typical change. None if none fooled."""

    def order(attack: AttackSummary) -> tuple[float, bool, float]:
        change = attack.measures["typical_change"].value
        return attack.measures["fooling_rate"].value or 0.0, attack.kind == "minimal", -(change or 0.0)

    best = max(attacks, key=order, default=None)
    return best.label if best is not None and best.measures["fooling_rate"].count else None
