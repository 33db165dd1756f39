"""Two audits beside each other: hand counts, closed forms, and a run with itself."""

import math
from dataclasses import replace

import pandas as pd
import pytest
from fake_run import DEEPFOOL, FGSM, PGD, manifest_of

from brittle.errors import BrittleError
from brittle.measure import Measured, Side, Sized, Told, comparison
from brittle.measure.intervals import mcnemar
from known.rows import row, table


def side(name: str, rows: list[dict], *, attacks=(FGSM,), **facts) -> Side:  # type: ignore[no-untyped-def,type-arg]
    rows = [one | {"model": facts.get("models", ("net",))[0]} for one in rows]
    examples = len({one["example"] for one in rows})
    return Side(name, manifest_of(attacks=list(attacks), examples=examples, **facts), table(rows))


def outcomes(fooled: str, attack: str = FGSM.label, start: int = 0) -> list[dict]:  # type: ignore[type-arg]
    """A row for each letter: x fooled, . withstood, w wrong to begin with."""
    made = {
        "x": {},
        ".": {"adversarial": 0, "claimed": False, "fooled": False, "fooled_8bit": False},
        "w": {"clean": 1, "adversarial": 1},
    }
    return [row(start + place, attack, **made[letter]) for place, letter in enumerate(fooled)]


def cells(told: Told, title: str, measure: str) -> tuple:  # type: ignore[type-arg]
    return next(one for one in told.rows if one[0] == title and str(one[1]).startswith(measure))


def test_mcnemar_is_the_two_sided_binomial_of_discordant_pairs() -> None:
    assert mcnemar(10, 2) == 2 * sum(math.comb(12, k) for k in range(3)) / 2**12
    assert mcnemar(2, 10) == mcnemar(10, 2)
    assert mcnemar(3, 3) == mcnemar(0, 0) == 1
    assert mcnemar(8, 0) == 2 / 2**8
    assert 0 < mcnemar(3000, 2500) < 1e-9  # in whole numbers, without overflow


def test_a_model_is_compared_by_the_attacks_that_it_takes() -> None:
    rows = {"net": outcomes("xx.") + outcomes(".xx", PGD.label), "tree": outcomes("..x")}
    sides = []
    for name in "ab":
        manifest = manifest_of(
            attacks=[FGSM, PGD.model_copy(update={"access": "gradient"})], models=["net", "tree"], examples=3
        )
        models = [one.model_copy(update={"access": "score"}) if one.name == "tree" else one for one in manifest.models]
        records = table([one | {"model": model} for model, mine in rows.items() for one in mine])
        sides.append(Side(name, manifest.model_copy(update={"models": models, "transfer": {}}), records))
    told = comparison(*sides)
    said = "tree, untargeted: Of 3 images, a is still right under fgsm(eps=0.01) on 66.7 %, b on the same."
    assert told.sentences[1] == said
    assert [row[0] for row in told.rows if str(row[0]).startswith("tree") and PGD.label in str(row[0])] == []


def test_counts_by_hand() -> None:
    #                             0123456789
    a = side("before", outcomes("xxxxxxx..w"))
    b = side("after", outcomes(".....xx.x."))
    told = comparison(a, b)
    assert told.heads == (
        "attack",
        "measure",
        "in before",
        "in after",
        "change",
        "more in before",
        "more in after",
        "p",
    )
    _, _, one, other, difference, more, fewer, p = cells(told, "fgsm(eps=0.01)", "Robust accuracy")
    assert ((one.count, one.of), (other.count, other.of)) == ((2, 10), (7, 10))
    assert (more, fewer) == (1, 6)  # image 8 against 0 to 4 and 9
    assert p == 2 * (1 + 7) / 2**7
    assert difference.measured.value == pytest.approx(0.5)
    _, _, one, other, _, more, fewer, p = cells(told, "fgsm(eps=0.01)", "Fooling rate")
    assert ((one.count, one.of), (other.count, other.of)) == ((7, 9), (3, 9))  # image 9 is right in one alone
    assert (more, fewer, p) == (5, 1, 2 * 7 / 2**6)
    _, _, one, other, _, more, fewer, _ = cells(told, "before any attack", "Clean accuracy")
    assert (one.count, other.count, more, fewer) == (9, 10, 0, 1)
    assert "before is still right under fgsm(eps=0.01) on 20.0 %, after on 70.0 %: +50.0 points" in told.sentences[0]
    assert "luck may explain" in told.sentences[0]  # p is 0.125


def test_distances_are_of_what_both_fooled() -> None:
    sizes = [row(i, DEEPFOOL.label, l2=float(1 + i)) for i in range(8)]
    larger = [row(i, DEEPFOOL.label, l2=2.0 * (1 + i)) for i in range(8)]
    larger[7] |= {"adversarial_prediction": 0, "fooled": False, "fooled_8bit": False}
    told = comparison(side("a", sizes, attacks=[DEEPFOOL]), side("b", larger, attacks=[DEEPFOOL]))
    _, name, one, other, ratio, more, fewer, p = cells(told, "deepfool", "Median distance")
    assert name == "Median distance of 7 images"
    assert (one.measured.value, other.measured.value, ratio.measured.value) == (4, 8, 2)
    assert (one.measured.low, one.measured.high) == (1, 7)
    assert (more, fewer, p) == (0, 7, 2 / 2**7)


def test_all_attacks_count_an_image_once_and_only_where_each_has_reached_it() -> None:
    a = outcomes("x..x", FGSM.label) + outcomes(".x.", PGD.label)  # PGD has not reached image 3
    b = outcomes("....", FGSM.label) + outcomes(".x..", PGD.label)
    told = comparison(side("a", a, attacks=[FGSM, PGD]), side("b", b, attacks=[FGSM, PGD]))
    _, _, one, other, _, more, fewer, _ = cells(told, "all attacks", "Robust accuracy")
    assert ((one.count, one.of), (other.count, other.of), more, fewer) == ((1, 3), (2, 3), 0, 1)
    assert cells(told, "fgsm(eps=0.01)", "Robust accuracy")[2].of == 4


def test_only_what_both_have() -> None:
    a = side("a", outcomes("xx..") + outcomes("xxxx", PGD.label), attacks=[FGSM, PGD])
    changed = PGD.model_copy(update={"config": {**PGD.config, "steps": 99}})
    b = side("b", outcomes("x.x.", start=2) + outcomes("....", PGD.label), attacks=[FGSM, changed], data="elsewhere")
    told = comparison(a, b)
    assert {one[0] for one in told.rows} == {"before any attack", "fgsm(eps=0.01)"}
    robust = cells(told, "fgsm(eps=0.01)", "Robust accuracy")
    assert (robust[2].count, robust[3].count, robust[3].of) == (2, 1, 2)  # images 2 and 3
    said = " ".join(told.sentences)
    for name in "ab":
        assert f"only {name} has it with these settings: pgd(eps=0.01)" in said
    assert "elsewhere in b" in said


def test_a_run_with_itself_does_not_differ() -> None:
    a = side("a", outcomes("x.xw.x") + outcomes("xxxwx.", PGD.label), attacks=[FGSM, PGD])
    told = comparison(a, replace(a, name="b"))
    assert len(told.rows) == 9
    for _, _, one, other, difference, more, fewer, p in told.rows:
        assert one == other
        assert isinstance(difference, Sized)
        assert difference.measured.value == (1 if difference.unit == "times" else 0)
        assert (more, fewer, p) == (0, 0, 1)
    assert told.sentences[0].endswith("b on the same.")
    back = comparison(replace(a, name="b"), a)
    assert [one[2:4] for one in back.rows] == [one[2:4] for one in told.rows]


def test_models_of_other_names_are_paired_where_there_is_one_each() -> None:
    a, b = side("a", outcomes("xx"), models=("plain",)), side("b", outcomes("x."), models=("hard",))
    assert "The model is plain in a and hard in b." in comparison(a, b).sentences
    two = side("b", outcomes("x."), models=("hard", "harder"))
    with pytest.raises(BrittleError, match=r"expected a model that both runs have.* got plain in 'a' and hard, harder"):
        comparison(a, two)


def test_doubts_are_told() -> None:
    a = side("a", outcomes("x.x."))
    b = side("b", [one | {"claimed": True} for one in outcomes("x.x.")])
    assert [one for one in comparison(a, b).sentences if one.startswith("Doubts about")] == [
        "Doubts about b: unconfirmed."
    ]


@pytest.mark.parametrize(
    ("b", "message"),
    [
        (side("b", outcomes("xx", PGD.label), attacks=[PGD]), "expected an attack that both runs have, got fgsm"),
        (side("b", outcomes("xx", start=7)), "expected examples that both runs have, got none"),
        (side("b", outcomes("xx"), goals=["next-best"]), "expected a goal that both runs have"),
        (side("b", outcomes("xx"), labelled=False), "expected labels in both runs or in neither"),
        (
            side("b", [row(0, FGSM.label), row(1, FGSM.label, label=5, clean=5)]),
            "expected the same images in both runs, got example 'image 1' labelled 'airplane' in 'a' and 'dog' in 'b'",
        ),
    ],
)
def test_what_cannot_be_paired_is_refused_in_one_line(b: Side, message: str) -> None:
    with pytest.raises(BrittleError, match=message) as refused:
        comparison(side("a", outcomes("xx")), b)
    assert "\n" not in str(refused.value)


def test_labels_are_compared_by_the_names_of_classes() -> None:
    """Networks may count the same classes in another order."""
    a = side("a", [row(0, FGSM.label, label=1, clean=1, adversarial=0)], class_names=["cat", "dog"])
    b = side("b", [row(0, FGSM.label, label=0, clean=0, adversarial=1)], class_names=["dog", "cat"])
    (_, _, one, *_), *_ = comparison(a, b).rows
    assert one == Measured(value=1, low=one.low, high=1, count=1, of=1)  # type: ignore[union-attr]


def test_an_empty_run_is_refused_not_divided_by() -> None:
    a = side("a", outcomes("xx"))
    empty = Side("b", a.manifest, pd.DataFrame(columns=a.records.columns).astype(a.records.dtypes))
    with pytest.raises(BrittleError, match="expected examples that both runs have, got none"):
        comparison(a, empty)
