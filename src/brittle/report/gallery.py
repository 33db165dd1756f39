"""The images of a view: one to show first, and many to look through."""

from typing import Any

import pandas as pd

from brittle.measure import AttackSummary, Case, Summary, cases, hero_of
from brittle.pages.pictures import Trio
from brittle.records import View
from brittle.report.sections import case_caption

CARDS = 240
"""Images that all galleries of a page may show."""
FOOLED, WITHSTOOD = 9, 3  # of one attack, at most

Pictures = dict[tuple[str, int], Trio]


def chosen(view: View, records: pd.DataFrame, share: int) -> dict[str, list[Case]]:
    """The cases of each attack by its label. share: so many attacks of this page want to show theirs."""
    most = CARDS // max(share, 1)
    fooled = FOOLED if most >= FOOLED + WITHSTOOD else 5 if most >= 6 else 3
    left = WITHSTOOD if fooled == FOOLED else min(1, most - fooled)
    return {spec.label: cases(view, spec, records, fooled=fooled, withstood=max(left, 0)) for spec in view.attacks}


def hero(view: View, summary: Summary, records: pd.DataFrame) -> Case | None:
    """The image to show first, which fools as it is shown if one of this run does.

    Of the strongest minimal attack where at least half of what it fooled survives 8 bits; else of the attack with the
    smallest changes of which that is true, or of which anything survives.
    """
    fooling = [attack for attack in summary.attacks if attack.measures["fooling_rate"].count]
    if not fooling:
        return None
    saved = {
        attack.label: (attack.measures["fooling_rate_8bit"].count or 0) / (attack.measures["fooling_rate"].count or 1)
        for attack in fooling
    }
    first = summary.strongest_minimal or summary.strongest

    def order(attack: AttackSummary) -> tuple[bool, bool, bool, float]:
        share = saved[attack.label]
        change = attack.measures["typical_change"].value or 0.0
        return share < 0.5, share == 0, attack.label != first, change

    best = min(fooling, key=order)
    return hero_of(view, next(spec for spec in view.attacks if spec.label == best.label), records)


def shown(view: View, summary: Summary, case: Case, pictures: Pictures) -> dict[str, Any]:
    """A case as the page has it: captions and pictures."""
    attack = summary.attack(case.attack)
    return case_caption(view, case) | {
        "minimal": attack.kind == "minimal",
        "trio": pictures.get((case.slug, case.position)),
        "kept": view.images != "none",
        "number": [one.label for one in summary.attacks].index(case.attack),
    }


def gallery(
    view: View, summary: Summary, found: dict[str, list[Case]], pictures: Pictures, first: str | None
) -> dict[str, Any]:
    """All cards, attack by attack, and what one may choose them by. first: label of the attack to begin with."""
    cards = [shown(view, summary, case, pictures) for each in found.values() for case in each]
    labels = [attack.label for attack in summary.attacks]
    return {
        "cards": cards,
        "attacks": labels,
        "first": labels.index(first) if first is not None else "",
        "classes": sorted({(card["label"], card["class"]) for card in cards}),
        "withstood": any(not card["fooled"] for card in cards),
    }
