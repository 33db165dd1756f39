"""What becomes of each class: counts that one can make by hand."""

from typing import Any

import pandas as pd
from fake_run import manifest_of, spec

from brittle.measure import classes, summarize
from brittle.records import View

FGSM = spec("fgsm", "budget", "linf", eps=0.1)
PGD = spec("pgd", "budget", "linf", eps=0.1)
NAMES = ["ant", "bee", "cat", "dog"]
# label, answer before, answer under fgsm, answer under pgd
IMAGES = [
    (0, 0, 0, 1),
    (0, 0, 1, 2),
    (0, 0, 1, 1),
    (0, 3, 3, 3),  # wrong to begin with
    (1, 1, 1, 1),
    (1, 1, 1, 0),
]


def view_of(labelled: bool = True) -> View:
    made = manifest_of(class_names=NAMES, examples=len(IMAGES), attacks=[FGSM, PGD], labelled=labelled)
    return next(made.views())


def records() -> pd.DataFrame:
    rows: list[dict[str, Any]] = [
        {
            "attack": attack.label,
            "position": position,
            "label": image[0],
            "target": None,
            "reject": None,
            "clean_prediction": image[1],
            "adversarial_prediction": image[2 + number],
            "adversarial_confidence": 0.5,
            "fooled": image[2 + number] != image[0],
            "fooled_8bit": False,
            "claimed": False,
            "flags": [],
            "longer_ratio": None,
            **dict.fromkeys(("l0", "l1", "l2", "linf", "relative_l2", "clean_margin", "adversarial_margin"), 0.1),
            **dict.fromkeys(("steps", "forwards", "backwards", "seconds"), 1),
        }
        for number, attack in enumerate((FGSM, PGD))
        for position, image in enumerate(IMAGES)
    ]
    made: pd.DataFrame = pd.DataFrame(rows)
    return made


def counts(attack: str | None) -> list[tuple[object, ...]]:
    return [
        (one.name, one.clean_accuracy.count, still.count, still.of, one.taken_for, one.attracts)
        for one in classes(view_of(), records(), attack)
        for still in [one.robust_accuracy]
    ]


def test_each_class_is_counted_before_and_under_the_attack() -> None:
    assert counts("pgd") == [("ant", 3, 0, 4, {1: 2, 2: 1}, 1), ("bee", 2, 1, 2, {0: 1}, 2), ("cat", 0, 0, 0, {}, 1)]
    assert counts("fgsm") == [("ant", 3, 1, 4, {1: 2}, 0), ("bee", 2, 2, 2, {}, 2)]
    assert counts(None) == [("ant", 3, 3, 4, {}, 0), ("bee", 2, 2, 2, {}, 0)]


def test_a_summary_has_them_under_its_strongest_attack_and_they_add_up_to_it() -> None:
    summary = summarize(view_of(), records())
    assert summary.strongest == "pgd"
    assert summary.classes == classes(view_of(), records(), "pgd")
    whole = summary.attack("pgd").measures["robust_accuracy"]
    assert sum(one.robust_accuracy.count or 0 for one in summary.classes) == whole.count
    assert sum(one.attracts for one in summary.classes) == sum(sum(one.taken_for.values()) for one in summary.classes)


def test_without_labels_there_is_no_accuracy_before() -> None:
    found = classes(view_of(labelled=False), records(), "pgd")
    assert [one.clean_accuracy.value for one in found] == [None, None, None]
    assert list(found[0].taken_for) == [1, 2], "the most frequent first"
