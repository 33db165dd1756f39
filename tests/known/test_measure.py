"""Measures against closed forms, published values and hand counts."""

import json
import math
from fractions import Fraction
from itertools import count
from typing import Any

import numpy as np
import pytest
from fake_run import manifest_of

from brittle.measure import (
    MEASURES,
    NORMS,
    accuracy_at,
    cases,
    curve,
    families,
    hero_of,
    summarize,
)
from brittle.measure import thin as thinned
from brittle.measure.intervals import median_ranks, sign_test, wilson
from brittle.records import AttackSpec, FlagRecord, View, slugs_of
from brittle.text import percent
from known.rows import row, table


def spec(label: str = "a", kind: str = "minimal", norm: str = "l2", **config: Any) -> AttackSpec:
    facts = {
        "label": label,
        "name": label.split("(")[0],
        "slug": slugs_of([label])[0],
        "paper": "folklore",
        "eps": config.get("eps") if kind == "budget" else None,
        "config": config,
    }
    return AttackSpec.model_validate(facts | {"kind": kind, "norm": norm})


def failed(position: int, attack: str = "a", **other: Any) -> dict[str, Any]:
    nothing = {"l0": 0, "l1": 0.0, "l2": 0.0, "linf": 0.0, "relative_l2": 0.0, "adversarial_margin": 1.0}
    missed: dict[str, Any] = {"adversarial": 0, "claimed": False, "fooled": False, "fooled_8bit": False}
    return row(position, attack, **(missed | nothing | other))


def manifest(examples: int, *attacks: AttackSpec, goal: str = "untargeted", **other: Any) -> View:
    facts: dict[str, Any] = {"examples": examples, "attacks": list(attacks or (spec(),)), "goals": [goal]}
    return next(manifest_of(**(facts | other)).views())


def value(records: list[dict[str, Any]], key: str, examples: int | None = None, **other: Any) -> float | None:
    made = manifest(examples if examples is not None else len(records), **other)
    return summarize(made, table(records)).attacks[0].measures[key].value


# --- intervals


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [  # Newcombe 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_gives_the_published_intervals(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == pytest.approx((low, high), abs=5e-5)


def test_wilson_bounds_solve_the_score_equation() -> None:
    """By definition, each bound p has |rate - p| = z * sqrt(p (1 - p) / n)."""
    for bound in wilson(37, 120) or ():
        assert abs(37 / 120 - bound) == pytest.approx(
            1.959963984540054 * math.sqrt(bound * (1 - bound) / 120), rel=1e-12
        )


def test_wilson_at_the_ends() -> None:
    assert wilson(0, 0) is None
    assert wilson(7, 7) == pytest.approx((1 / (1 + 1.959963984540054**2 / 7), 1.0), rel=1e-12)


@pytest.mark.parametrize(
    ("n", "ranks"), [(5, None), (6, (1, 6)), (9, (2, 8)), (10, (2, 9)), (25, (8, 18)), (100, (40, 61))]
)
def test_median_ranks_are_those_of_the_tables(n: int, ranks: tuple[int, int] | None) -> None:
    assert median_ranks(n) == ranks


def test_a_median_is_a_number_of_an_image_the_lower_of_two_in_the_middle() -> None:
    records = table([row(i, l2=float(size)) for i, size in enumerate((8, 1, 4, 2))])
    summary = summarize(manifest(4), records)
    (shown,) = [case for case in cases(manifest(4), spec(), records) if case.role == "median"]
    assert summary.attacks[0].measures["median_distance"].value == shown.distance == 2
    assert summary.attacks[0].measures["typical_change"].value == shown.typical_change


def test_median_ranks_are_the_tightest_with_95_percent() -> None:
    def coverage(n: int, k: int) -> Fraction:  # P(k <= Binomial(n, 1/2) <= n - k)
        return Fraction(sum(math.comb(n, j) for j in range(k, n - k + 1)), 2**n)

    for n in range(6, 120):
        low, high = median_ranks(n) or (0, 0)
        assert high == n + 1 - low
        assert coverage(n, low) >= Fraction(95, 100) > coverage(n, low + 1), n


def test_sign_test_counts_coins() -> None:
    assert sign_test(5, 0) == 1 / 32
    assert sign_test(3, 1) == 5 / 16
    assert sign_test(0, 4) == 1.0


# --- rates


def test_the_three_rates_of_a_targeted_run_have_their_own_denominators() -> None:
    targeted: dict[str, Any] = {"goal": "targeted", "target": 2}
    records = [
        row(0, adversarial=2, **targeted),  # right, reaches the target
        row(1, adversarial=1, **targeted, fooled=False, fooled_8bit=False),  # right, lands on a third class
        failed(2, **targeted),  # right, unchanged
        failed(3, **targeted),  # right, unchanged
        row(4, label=1, clean=0, adversarial=2, **targeted),  # wrong to begin with, reaches the target
        row(5, label=1, clean=2, adversarial=2, **targeted),  # wrong, at the target to begin with
        row(6, adversarial=1, **targeted, fooled=False, fooled_8bit=False, flags=["over-budget"]),  # does not count
    ]
    measures = summarize(manifest(8, goal="random"), table(records)).attacks[0].measures
    counts = {key: (measures[key].count, measures[key].of) for key in measures if measures[key].count is not None}
    assert counts == {
        "completeness": (7, 8),
        "clean_accuracy": (5, 7),
        "fooling_rate": (2, 5),  # 0 and 1 changed, of 0 1 2 3 6
        "attack_success_rate": (2, 6),  # 0 and 4, of all but 5
        "robust_accuracy": (3, 7),  # 2 3 6, of all
        "fooling_rate_8bit": (1, 5),
    }
    assert measures["fooling_rate"].value == 2 / 5
    assert (measures["fooling_rate"].low, measures["fooling_rate"].high) == wilson(2, 5)
    assert measures["mean_distance"].of == 1, "distances are over correctly classified images that met the goal"


def test_the_rates_of_an_untargeted_run() -> None:
    records = [
        row(0),
        row(1, fooled_8bit=False),
        failed(2),
        failed(3, claimed=True),  # claimed but not confirmed
        row(4, adversarial=1, fooled=False, fooled_8bit=False, flags=["outside-box"]),
        row(5, label=3, clean=0, adversarial=0, l2=0.0),  # wrong to begin with: nothing to do, nothing to count
    ]
    measures = summarize(manifest(6), table(records)).attacks[0].measures
    assert (measures["clean_accuracy"].count, measures["clean_accuracy"].of) == (5, 6)
    assert (measures["fooling_rate"].count, measures["fooling_rate"].of) == (2, 5)
    assert (measures["attack_success_rate"].count, measures["attack_success_rate"].of) == (2, 5)
    assert (measures["robust_accuracy"].count, measures["robust_accuracy"].of) == (3, 6)
    assert (measures["fooling_rate_8bit"].count, measures["fooling_rate_8bit"].of) == (1, 5)
    assert measures["unconfirmed"].value == 2  # positions 3 and 4
    assert measures["examples"].value == 6
    assert measures["correct"].value == 5


def test_the_worst_case_over_attacks_is_a_union_of_images() -> None:
    records = [row(0, "a"), failed(1, "a"), failed(2, "a"), failed(3, "a", label=1)]
    records += [row(0, "b"), row(1, "b"), failed(2, "b"), failed(3, "b", label=1)]
    overall = summarize(manifest(4, spec("a"), spec("b")), table(records)).overall
    assert (overall["fooling_rate"].count, overall["fooling_rate"].of) == (2, 3)
    assert (overall["robust_accuracy"].count, overall["robust_accuracy"].of) == (1, 4)


def test_an_unfinished_attack_does_not_make_the_others_look_better() -> None:
    """Only images that every attack has reached enter the union."""
    records = [failed(0, "a"), failed(1, "a"), row(0, "b")]
    overall = summarize(manifest(2, spec("a"), spec("b"), spec("c")), table(records)).overall
    assert (overall["robust_accuracy"].count, overall["robust_accuracy"].of) == (0, 1)
    assert (overall["clean_accuracy"].count, overall["clean_accuracy"].of) == (2, 2)


def test_without_labels_there_is_no_accuracy() -> None:
    summary = summarize(manifest(2, labelled=False), table([row(0), failed(1)]))
    assert summary.overall["clean_accuracy"].value is None
    assert summary.attacks[0].measures["clean_accuracy"].low is None
    assert summary.attacks[0].measures["fooling_rate"].value == 0.5


# --- distances, confidence, cost


def test_distances_are_over_fooled_correct_images_in_the_attacks_norm() -> None:
    sizes = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8]
    records = [row(i, linf=size, l2=9.0, relative_l2=size / 10, l0=i) for i, size in enumerate(sizes)]
    records += [row(7, label=1, linf=99.0), failed(8, linf=99.0)]
    measures = summarize(manifest(9, spec(norm="linf")), table(records)).attacks[0].measures
    assert measures["mean_distance"].value == pytest.approx(sum(sizes) / 7)
    assert measures["median_distance"].value == 0.4
    assert (measures["median_distance"].low, measures["median_distance"].high) == (0.1, 0.8)  # ranks 1 and 7 of 7
    assert measures["quartile_low"].value == pytest.approx(0.25)
    assert measures["quartile_high"].value == pytest.approx(0.55)
    assert measures["max_distance"].value == 0.8
    assert measures["relative_distance"].value == pytest.approx(sum(sizes) / 70)
    assert measures["changed_pixels"].value == 3 / 16  # median of 0..6 changed pixels, of 4 x 4


def test_grey_levels_translate_a_distance() -> None:
    """Every one of 16 values off by 1/255 is an L2 distance of 4/255, and a typical change of one grey level."""
    assert value([row(0, l2=4 / 255, linf=1 / 255)], "typical_change") == pytest.approx(1)
    assert value([row(0, l2=4 / 255, linf=1 / 255)], "largest_change") == pytest.approx(1)
    assert value([row(0, l2=4 / 255)], "typical_change", shape=(3, 4, 4)) == pytest.approx(1 / math.sqrt(3))


def test_a_norm_without_a_column_is_given_in_l2() -> None:
    attack = summarize(manifest(1, spec(norm="l1.5")), table([row(0, l2=0.7)])).attacks[0]
    assert (attack.norm, attack.distance_norm, attack.measures["mean_distance"].value) == ("l1.5", "l2", 0.7)


@pytest.mark.parametrize("of_black", [math.inf, 0.5 / 1e-12])
def test_black_images_have_no_relative_distance(of_black: float) -> None:
    rows = [row(0, relative_l2=of_black), row(1, relative_l2=0.2), row(2, l2=0.5, relative_l2=0.5 * 255)]
    assert value(rows, "relative_distance") == pytest.approx((0.2 + 127.5) / 2)


def test_confidence_is_the_mean_over_fooled_images() -> None:
    records = [row(0, adversarial_confidence=0.5), row(1, adversarial_confidence=0.75), failed(2)]
    assert value(records, "confidence") == pytest.approx(0.625)


def test_cost_is_per_attacked_image_and_the_total_over_all() -> None:
    records = [row(0, steps=2, forwards=10, seconds=1.0), failed(1, steps=4, forwards=20, seconds=2.0)]
    records.append(row(2, label=1, adversarial=0, steps=0, forwards=1, backwards=0, seconds=0.5))
    assert value(records, "steps") == 3
    assert value(records, "forwards") == 15
    assert value(records, "backwards") == 5
    assert value(records, "seconds") == 1.5
    assert value(records, "total_seconds") == 3.5


# --- curves


@pytest.mark.parametrize("norm", NORMS)
def test_the_curve_is_a_count(norm: str) -> None:
    random = np.random.default_rng(3)
    records = []
    for i in range(150):
        sizes = {key: round(float(random.exponential()), 2) for key in ("l1", "l2", "linf")}  # rounded, so with ties
        label, adversarial, fooled = int(random.integers(2)), int(random.integers(2)), bool(random.integers(2))
        measured: dict[str, Any] = {"l0": int(random.integers(9))} | sizes
        records.append(row(i, label=label, adversarial=adversarial, fooled=fooled and adversarial != label, **measured))
    distances, accuracy = curve(table(records), "a", norm)
    assert distances[0] == 0
    assert (np.diff(distances) > 0).all()
    for size in [0.0, 1e-9, 0.5, 1, 2.5, 100, *(record[norm] for record in records[:40])]:
        broken = [r for r in records if r["fooled"] and r["adversarial_prediction"] != 0 and r[norm] <= size]
        right = sum(r["label"] == 0 for r in records) - sum(r["label"] == 0 for r in broken)
        assert accuracy[np.searchsorted(distances, size, "right") - 1] == right / 150


def test_curves_of_nothing_are_empty() -> None:
    distances, accuracy = curve(table([row(0)]), "another", "l2")
    assert len(distances) == len(accuracy) == 0
    assert accuracy_at(distances, accuracy, 1.0) is None


def test_accuracy_at_a_budget_includes_float32_rounding() -> None:
    rounded = max(float(np.float32(x) + np.float32(0.01)) - float(np.float32(x)) for x in np.linspace(0.3, 0.9, 50))
    assert rounded > 0.01, "the case would be void"
    distances, accuracy = curve(table([row(0, linf=rounded)]), "a", "linf")
    assert accuracy_at(distances, accuracy, 0.01) == 0.0
    assert accuracy_at(distances, accuracy, 0.0099) == 1.0


def test_thinning_keeps_true_steps_and_heights() -> None:
    random = np.random.default_rng(0)
    distances = np.concatenate([[0.0], np.sort(random.lognormal(size=5000))])
    accuracy = 0.9 * (1 - np.arange(5001) / 5000)
    x, y = thinned(distances, accuracy)
    assert len(x) <= 200
    assert (x[0], y[0], y[-1]) == (0.0, accuracy[0], accuracy[-1])
    assert set(zip(x, y, strict=True)) <= set(zip(distances, accuracy, strict=True))
    shown = y[np.searchsorted(x, distances, "right") - 1]
    assert np.abs(shown - accuracy).max() <= 0.9 / 199 + 1e-12
    assert len(thinned(distances[:50], accuracy[:50])[0]) == 50


# --- which examples to show


def test_cases_are_the_smallest_the_lower_median_and_the_largest() -> None:
    sizes = [0.5, 0.1, 0.4, 0.2]
    records = [row(i, l2=size) for i, size in enumerate(sizes)] + [row(4, label=1, l2=0.01), failed(5)]
    found = cases(manifest(6), spec(), table(records))
    assert [(case.role, case.position) for case in found] == [("smallest", 1), ("median", 3), ("largest", 0)]
    assert [case.role for case in cases(manifest(1), spec(), table([row(0)]))] == ["median"]
    assert [case.role for case in cases(manifest(2), spec(), table([row(0), row(1)]))] == ["median", "largest"]
    assert cases(manifest(1), spec(), table([failed(0)])) == []


@pytest.mark.parametrize("count", range(1, 12))
def test_more_cases_lie_evenly_between_them(count: int) -> None:
    records = [row(i, l2=float(i)) for i in range(count)] + [failed(100 + i) for i in range(count)]
    found = cases(manifest(count), spec(), table(records), fooled=5, withstood=2)
    ranks = [case.rank for case in found if case.rank is not None]
    assert (ranks[0], ranks[-1], len(ranks)) == (1, count, min(count, 5))
    assert [case.rank for case in found if case.role == "median"] == [(count + 1) // 2]
    assert all(case.distance == case.rank - 1 for case in found if case.rank is not None)
    assert max(np.diff(ranks), default=0) - min(np.diff(ranks), default=0) <= 1, "evenly"
    assert [case.position for case in found if not case.fooled] == sorted({100, 99 + count})


def test_the_first_case_to_show_survives_8_bits_where_one_does() -> None:
    kept = [False, True, False, False, False, True]
    records = table([row(i, l2=float(i), fooled_8bit=survives) for i, survives in enumerate(kept)])
    hero = hero_of(manifest(6), spec(), records)
    assert hero is not None
    assert (hero.rank, hero.of, hero.survives_8bit) == (2, 6, True)
    shown = []
    for classes in ([1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 0], [1, 0, 1, 1, 0, 1]):
        named = records.assign(fooled_8bit=True, label=classes, clean_prediction=classes, adversarial_prediction=2)
        shown.append(hero_of(manifest(6), spec(), named))
    assert [case.rank for case in shown if case] == [3, 4, 2], "of the first class, in the middle half"
    none = hero_of(manifest(6), spec(), records.assign(fooled_8bit=False))
    assert none is not None
    assert (none.role, none.survives_8bit) == ("median", False)
    assert hero_of(manifest(1), spec(), table([failed(0)])) is None


# --- words


def test_percent_never_rounds_to_certainty() -> None:
    shown = [percent(fraction) for fraction in (0, 0.0001, 0.0005, 0.81, 0.9991, 0.99999, 1)]
    assert shown == ["0 %", "< 0.1 %", "0.1 %", "81.0 %", "99.9 %", "> 99.9 %", "100 %"]


TINY: dict[str, Any] = {"l2": 4 / 255, "linf": 1 / 255}  # rms 1, peak 1 grey levels on 4 x 4
FAINT: dict[str, Any] = {"l2": 4 * 7 / 255, "linf": 7 / 255}  # rms 7, peak 7: too strong on average
SPIKE: dict[str, Any] = {"l2": 4 / 255, "linf": 31 / 255}  # rms 1, peak 31: too strong somewhere
STRONG: dict[str, Any] = {"l2": 4 * 40 / 255, "linf": 80 / 255}


def test_the_headline_names_the_size_of_change_that_fools_half() -> None:
    def said(*rows: dict[str, Any], **other: Any) -> str:
        return " ".join(summarize(manifest(len(rows), **other), table(list(rows))).headline)

    number = count()
    assert said(*(row(next(number), **TINY) for _ in range(4)), failed(next(number), label=1)) == (
        "This classifier is right on 80.0 % of 5 images. Changes too small to see make it wrong on every"
        " image it got right (saved in 8 bits, too)."
    )
    assert said(row(0, **TINY), row(1, **TINY), row(2, **STRONG), failed(3)) == (
        "This classifier is right on all 4 images. Changes too small to see make it wrong on 50.0 % of the images it"
        " got right (saved in 8 bits, too), and larger changes on 75.0 %."
    )
    assert said(row(0, **TINY, fooled_8bit=False), row(1, **FAINT), row(2, **SPIKE)) == (
        "This classifier is right on all 3 images. Changes that are barely visible make it wrong on every image it got"
        " right (66.7 % once saved in 8 bits)."
    )
    assert said(row(0, **TINY, fooled_8bit=False), row(0, "b", **FAINT)).endswith(
        "Changes too small to see make it wrong on the one image it got right (none once saved in 8 bits)."
    )
    assert said(row(0, **TINY), row(1, **STRONG), row(2, **STRONG)) == (
        "This classifier is right on all 3 images. The attacks of this run make it wrong on every image it got right;"
        " on 33.3 % with changes too small to see."
    )
    assert said(failed(0), failed(1)) == (
        "This classifier is right on all 2 images. No attack of this run changed any of those answers, which does not"
        " prove that none can."
    )
    assert (
        said(failed(0, label=1))
        == "This classifier is wrong on the only image. There is nothing left for an attack to break."
    )
    assert said(row(0, **TINY), labelled=False) == (
        "This image has no label, so the classifier's own answer stands in for it. Changes too small to see change its"
        " answer on it (saved in 8 bits, too)."
    )
    assert said() == "No image has been attacked yet."


def test_the_headline_of_a_targeted_run_says_how_often_the_target_is_reached() -> None:
    records = [row(0, goal="targeted", target=1), failed(1, goal="targeted", target=1)]
    records += [row(2, goal="targeted", target=0, clean=0, adversarial=0, fooled=False)]  # gives it anyway
    assert summarize(manifest(3, goal="random"), table(records)).headline[-1] == (
        "Told to get one chosen answer from it, the most successful attack does so on 50.0 % of the 2 images for which"
        " it was not the answer anyway."
    )
    assert summarize(manifest(1, goal="random"), table(records[2:])).headline[-1].endswith("nothing to attack.")


def test_the_strongest_attack_is_the_one_that_fools_most_then_by_least() -> None:
    a, b, c = spec("a"), spec("b"), spec("c", "budget", eps=0.1)
    records = [row(0, "a", l2=0.2), row(0, "b", l2=0.1), row(0, "c", l2=0.01)]
    summary = summarize(manifest(1, a, b, c), table(records))
    assert (summary.strongest, summary.strongest_minimal) == ("b", "b")
    summary = summarize(manifest(1, a, c), table([failed(0, "a"), row(0, "c")]))
    assert (summary.strongest, summary.strongest_minimal) == ("c", None)


# --- doubts


def codes(made: View, *rows: dict[str, Any]) -> dict[str, str]:
    return {flag.code: flag.message for flag in summarize(made, table(list(rows))).flags}


def test_a_good_run_raises_no_doubt() -> None:
    assert codes(manifest(100), *(row(i) for i in range(100))) == {}


def test_near_chance() -> None:
    wrong = [failed(i, label=1) for i in range(100)]
    assert "near-chance" not in codes(manifest(200), *(row(i) for i in range(100, 200)), *wrong)
    found = codes(manifest(110), *(row(i) for i in range(100, 110)), *wrong)
    assert found["near-chance"] == "clean accuracy is 9.1 % of 110 images; guessing among 10 classes gives 10.0 %"


def test_lost_8bit_counts_only_what_was_fooled() -> None:
    rows = [row(i, fooled_8bit=i >= 10, **TINY) for i in range(100)]
    assert "lost-8bit" not in codes(manifest(100), *rows), "10 % is not more than 10 %"
    rows[10]["fooled_8bit"] = False
    message = codes(manifest(100), *rows)["lost-8bit"]
    assert message == "11 of 100 images that a fooled (11.0 %) revert"
    for one in rows:
        one["l2"] /= 2
    assert codes(manifest(100), *rows)["lost-8bit"].endswith(
        "typical change is 0.5 grey levels, which 8 bits cannot hold"
    )


def test_unconfirmed_and_what_records_carry() -> None:
    rows = [row(i) for i in range(100)]
    rows.append(row(100, fooled=False, flags=["outside-box", "over-budget", "miscounted-passes"]))
    found = codes(manifest(101, spec(kind="budget", eps=1.0)), *rows)
    assert found == {
        "unconfirmed": "a claims 1 image not confirmed",
        "outside-box": "1 of 101 images of a have pixels outside [0, 1]",
        "over-budget": "1 of 101 images of a exceed the budget",
        "miscounted-passes": "1 of 101 images of a come with another number of passes than was counted",
    }


def test_unbounded_below_100_is_for_minimal_attacks() -> None:
    rows = [row(i) for i in range(100)] + [failed(100)]
    assert codes(manifest(101), *rows) == {"unbounded-below-100": "a failed on 1 of 101 images"}
    assert codes(manifest(101, spec(kind="budget", eps=1.0)), *rows) == {}


def test_incomplete_and_few() -> None:
    assert codes(manifest(100), *(row(i) for i in range(99))) == {
        "incomplete": "99 of 100 records are present",
        "few-examples": "99 correctly classified images",
    }


def sweep(back: int, forth: int) -> dict[str, str]:
    """Of 200 images the small budget alone fools ``back``, the large one alone ``forth``; the small one stands last."""
    small, large = spec("p(eps=0.1)", "budget", eps=0.1, steps=5), spec("p(eps=0.2)", "budget", eps=0.2, steps=5)
    rows = []
    for i in range(200):
        rows.append((failed if i < back else row)(i, large.label))
        rows.append((failed if back <= i < back + forth else row)(i, small.label))
    return codes(manifest(200, large, small), *rows)


def test_not_monotone_needs_more_than_luck() -> None:
    assert sweep(20, 5)["not-monotone"] == "20 images that p(eps=0.1) fools withstand p(eps=0.2); the other way round 5"
    assert sweep(5, 20) == {}
    assert sweep(8, 5) == {}
    assert sweep(0, 0) == {}


def test_not_monotone_compares_only_equal_attacks() -> None:
    small, large = spec("p(1)", "budget", eps=0.1, steps=50), spec("p(2)", "budget", eps=0.2, steps=5)
    rows = [row(i, "p(1)") for i in range(100)] + [failed(i, "p(2)") for i in range(100)]
    assert codes(manifest(100, small, large), *rows) == {}


def beside(gradients: int, other: int, name: str = "square", **others: Any) -> dict[str, str]:
    """Doubts where, of 100 images, PGD fools the first ``gradients`` and another attack the last ``other``."""
    walk = spec("pgd(eps=0.2)", "budget", "linf", eps=0.2)
    second = spec(
        name, "budget" if name == "square" else "minimal", "linf", **({"eps": 0.2} if name == "square" else {})
    )
    rows = [(row if i < gradients else failed)(i, walk.label, steps=20) for i in range(100)]
    facts = {"linf": 0.2, "backwards": 0 if name == "square" else 9} | others
    rows += [
        row(i, name, **facts) if i >= 100 - other else failed(i, name, backwards=facts["backwards"]) for i in range(100)
    ]
    return {
        code: text for code, text in codes(manifest(100, walk, second), *rows).items() if code == "stronger-elsewhere"
    }


def test_stronger_elsewhere_names_both_and_counts_both() -> None:
    message = "of 100 images square fools 79 within linf 0.2, and pgd(eps=0.2), the best by gradients, 5;"
    assert beside(5, 79)["stronger-elsewhere"] == f"{message} 79 withstand the gradients alone"
    assert beside(5, 79, "fmn").keys() == {"stronger-elsewhere"}


def test_stronger_elsewhere_needs_the_budget_and_more_than_luck() -> None:
    assert beside(5, 79, "fmn", linf=0.2001) == {}, "found beyond the budget"
    assert beside(60, 60) == {}, "as many"
    assert beside(0, 5) == {}, "5 % is not more than 5 %"
    assert beside(0, 6) == {}, "six of six may be luck"
    assert beside(0, 7).keys() == {"stronger-elsewhere"}
    walk = spec("fgsm(eps=0.2)", "budget", "linf", eps=0.2)
    rows = [failed(i, walk.label, steps=1) for i in range(100)] + [row(i, "fmn", linf=0.1) for i in range(100)]
    assert "stronger-elsewhere" not in codes(manifest(100, walk, spec("fmn", norm="linf")), *rows), "one step"


def test_no_headway_is_a_margin_that_several_steps_left_as_it_was() -> None:
    made = manifest(100, spec(kind="budget", eps=0.1))

    def stuck(count: int, **facts: Any) -> dict[str, str]:
        rows = [failed(i, **({"adversarial_margin": 5.0, "steps": 20} | facts)) for i in range(count)]
        return codes(made, *rows, *(row(i) for i in range(count, 100)))

    assert stuck(11) == {"no-headway": "a ends no nearer to its goal on 11 of 100 images"}
    assert stuck(10) == {}
    assert stuck(40, adversarial_margin=4.9) == stuck(40, steps=1) == stuck(40, backwards=0) == {}


def test_longer_is_smaller_goes_by_the_median() -> None:
    rows = [row(i, longer_ratio=0.94 if i < 5 else 1.0 if i < 9 else None) for i in range(100)]
    message = "a longer run leaves 94.0 % of the distances of a (median of 9 images)"
    assert codes(manifest(100), *rows) == {"longer-is-smaller": message}
    rows[0]["longer_ratio"] = 0.96
    assert codes(manifest(100), *rows) == {}


# --- what leaves the room


def test_the_json_is_strict_and_defines_every_measure() -> None:
    rows = [row(0, l2=math.inf, relative_l2=math.nan, adversarial_confidence=math.nan), failed(1, label=3)]
    summary = summarize(manifest(2, flags=[FlagRecord(code="random", message="m")]), table(rows))

    def forbidden(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    content = json.loads(summary.model_dump_json(), parse_constant=forbidden)
    assert content["attacks"][0]["measures"]["mean_distance"]["value"] is None
    assert content["attacks"][0]["measures"]["confidence"]["value"] is None
    assert content["definitions"].keys() == MEASURES.keys()
    assert content["attacks"][0]["measures"].keys() | content["overall"].keys() == MEASURES.keys()
    assert content["flags"][0] == {"code": "random", "message": "m"}


def test_every_edge_of_emptiness_has_a_summary() -> None:
    for made in (manifest(0), manifest(5), manifest(5, spec("a"), spec("b"))):
        summary = summarize(made, table([]))
        assert summary.headline == ["No image has been attacked yet."]
        assert summary.overall["fooling_rate"].value is None
        assert summary.complete == (made.examples == 0)


def test_a_sweep_is_one_curve_of_each_images_smallest_perturbation() -> None:
    small = [(row(k, "small", l2=1.0) if k == 0 else failed(k, "small")) for k in range(2)]
    large = [row(k, "large", l2=3.0) for k in range(2)]
    distances, accuracy = curve(table([*small, *large]), ["small", "large"], "l2")
    assert list(distances) == [0.0, 1.0, 3.0]
    assert list(accuracy) == [1.0, 0.5, 0.0]


@pytest.mark.parametrize(
    ("label", "stem"),
    [
        ("pgd(eps=0.1)", "pgd"),
        ("pgd(eps=0.1, steps=3)", "pgd(steps=3)"),
        ("pgd(eps=0.1, attack=fgsm(eps=0.1))", "pgd(attack=fgsm(eps=0.1))"),
    ],
)
def test_a_sweep_is_named_by_what_its_attacks_share(label: str, stem: str) -> None:
    specs = [spec(label.replace("0.1", str(eps)), kind="budget", eps=eps) for eps in (0.2, 0.1)]
    (family,) = families(manifest(1, *specs))
    assert family.title == f"{stem}, 2 eps from 0.1 to 0.2"
    assert [spec.config["eps"] for spec in family.attacks] == [0.1, 0.2]
