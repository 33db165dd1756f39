"""The verdicts of claims, by closed forms: figures against intervals, orders, sequences, and what is printed."""

import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from brittle.measure.attack import mean, rate
from brittle.measure.claims import FACT, Claim, against, beyond, judge
from brittle.measure.expressions import measured, names_in, printed
from brittle.measure.intervals import student
from brittle.measure.ledger import doubts_of
from brittle.measure.models import Measured
from brittle.measure.quantities import Quantities, always_below, joined, paired_difference, pooled


def one(value: float, half: float | None = 0.02) -> Measured:
    return Measured(value=value) if half is None else Measured(value=value, low=value - half, high=value + half)


def given_of(**values: Measured) -> Quantities:
    return Quantities({f"s/a/{name}": value for name, value in values.items()})


def claim(kind: str, *names: str, **changes: Any) -> Claim:
    quantities = tuple(name if " " in name else f"s/a/{name}" for name in names)
    return Claim(
        **{"id": "c", "kind": kind, "says": "so", "quantities": quantities, "place": "p", "read": "paper"} | changes
    )


@pytest.mark.parametrize(
    ("value", "half", "tolerance", "verdict"),
    [
        (0.50, 0.01, 0.02, "reproduced"),  # all of 0.49 .. 0.51 within 0.48 .. 0.52
        (0.52, 0.01, 0.02, "untested"),  # a part of 0.51 .. 0.53 is
        (0.50, 0.10, 0.02, "untested"),  # right on the figure, by too few images
        (0.60, 0.05, 0.02, "refuted"),  # none of 0.55 .. 0.65 is
        (0.50, None, 0.02, "untested"),
    ],
)
def test_a_figure_is_held_against_the_whole_interval(value: float, half: float, tolerance: float, verdict: str) -> None:
    assert against(one(value, half), 0.5, tolerance)[0] == verdict


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.001, 0.5), st.floats(0.001, 0.5))
def test_more_images_never_turn_a_verdict_into_its_contrary(
    value: float, figure: float, half: float, room: float
) -> None:
    wide, narrow = (against(one(value, size), figure, room)[0] for size in (half, half / 3))
    assert wide == narrow or wide == "untested"


def test_a_bound_needs_the_whole_interval_on_one_side() -> None:
    assert beyond(one(0.95), 0.9, above=True)[0] == "reproduced"
    assert beyond(one(0.91), 0.9, above=True)[0] == "untested"
    assert beyond(one(0.85), 0.9, above=True)[0] == "refuted"
    assert beyond(one(0.85), 0.9, above=False)[0] == "reproduced"
    assert beyond(one(0.0, 0.0), 0.0, above=True)[0] == "refuted"


def test_an_order_is_untested_where_intervals_overlap_and_refuted_where_it_is_reversed() -> None:
    seen = given_of(high=one(0.9), middle=one(0.5), near=one(0.49), low=one(0.1))
    said = {
        ("high", "middle", "low"): "reproduced",
        ("high", "middle", "near", "low"): "untested",
        ("middle", "high", "low"): "refuted",
        ("high", "low", "middle"): "refuted",
    }
    for names, verdict in said.items():
        assert judge(claim("ordering", *names), seen, {}).verdict == verdict
    first = claim("ordering", "high", "low", "middle", relation="largest-first")
    last = claim("ordering", "low", "high", "middle", relation="smallest-first")
    assert judge(first, seen, {}).verdict == judge(last, seen, {}).verdict == "reproduced"
    assert judge(claim("ordering", "low", "middle", relation="rising"), seen, {}).verdict == "reproduced"


def test_a_sequence_may_rest_but_not_turn() -> None:
    seen = given_of(a=one(0.1), b=one(0.5), c=one(0.5), d=one(0.9))
    rising = claim("invariant", "a", "b", "c", "d", relation="rising")
    assert judge(rising, seen, {}).verdict == "reproduced"
    assert judge(claim("invariant", "b", "c", relation="rising"), seen, {}).verdict == "untested"
    assert judge(claim("invariant", "a", "d", "b", relation="rising"), seen, {}).verdict == "refuted"
    assert judge(claim("invariant", "a", "b", "d", relation="falling"), seen, {}).verdict == "refuted"
    assert judge(claim("invariant", "b", "c", relation="constant", tolerance=0.1), seen, {}).verdict == "reproduced"
    assert judge(claim("invariant", "b", "c", relation="constant", tolerance=0.01), seen, {}).verdict == "untested"
    assert judge(claim("invariant", "a", "d", relation="constant", tolerance=0.01), seen, {}).verdict == "refuted"


def test_one_exception_refutes_what_is_said_of_every_image() -> None:
    less, more = pd.Series([1.0, 2.0, 3.0]), pd.Series([1.0, 2.5, 3.0])
    seen = Quantities({}, {"s/a/less": less, "s/a/more": more})
    always = {"relation": "always"}
    assert judge(claim("invariant", "s/a/less <= s/a/more", **always), seen, {}).verdict == "reproduced"
    found = judge(claim("invariant", "s/a/more <= s/a/less", **always), seen, {})
    assert (found.verdict, found.why) == ("refuted", "not so for 1 of 3 images")
    assert always_below(less, more.drop(1)).of == 2, "only images that both have"


def test_a_curve_is_refuted_by_one_point() -> None:
    seen = given_of(a=one(0.1), b=one(0.5), c=one(0.9))
    curve = claim("curve", "a", "b", "c", published=(0.1, 0.5, 0.9), tolerance=0.05)
    assert judge(curve, seen, {}).verdict == "reproduced"
    assert judge(curve.model_copy(update={"published": (0.1, 0.7, 0.9)}), seen, {}).verdict == "refuted"


def test_what_no_record_has_is_untested_and_says_the_nearest() -> None:
    found = judge(claim("value", "foolingrate", published=(0.5,)), given_of(fooling_rate=one(0.5)), {})
    assert found.verdict == "untested"
    assert found.why == "no record has 's/a/foolingrate'; did you mean 's/a/fooling_rate'?"
    assert found.measured == (None,)
    empty = judge(claim("value", "x", published=(0.5,)), given_of(x=Measured(value=None)), {})
    assert empty.verdict == "untested" and "not defined here" in empty.why


def test_another_network_is_not_comparable_with_both_numbers_kept() -> None:
    found = judge(claim("value", "x", published=(0.5,)), given_of(x=one(0.9)), {}, other="another network")
    assert (found.verdict, found.why, found.measured) == ("not comparable", "another network", (one(0.9),))
    absent = judge(claim("value", "x", published=(0.5,)), given_of(), {}, other="another", absent="none at hand")
    assert (absent.verdict, absent.why) == ("untested", "none at hand")


def test_a_time_is_that_of_another_machine() -> None:
    found = judge(claim("value", "seconds", published=(0.5,)), given_of(seconds=one(0.5)), {})
    assert found.verdict == "not comparable"


def test_what_the_source_took_decides_and_what_it_defines_stands_beside() -> None:
    seen = given_of(defined=one(0.9), taken=one(0.5))
    found = judge(claim("value", "defined", taken=("s/a/taken",), published=(0.5,), tolerance=0.1), seen, {})
    assert (found.verdict, found.measured, found.defined) == ("reproduced", (one(0.5),), (one(0.9),))


def test_printed_figures_are_held_against_the_claims_of_their_source() -> None:
    table = {"s/a/x": 0.3, "s/a/y": 0.5, "s/a/z": 0.4}
    said = {
        ("x", "y"): True,
        ("x", "y", "z"): False,  # an impossible order that was printed
        ("x", "unprinted"): None,
    }
    for names, bears in said.items():
        assert judge(claim("invariant", *names, relation="rising"), given_of(), table).bears is bears
    assert judge(claim("ordering", "x", "y"), given_of(), table).bears is False
    share = claim("curve", "1 - s/a/x / s/a/y", published=(0.4,))
    assert judge(share, given_of(), table).bears is True
    assert judge(share.model_copy(update={"published": (0.41,)}), given_of(), table).bears is False
    assert judge(claim("existence", "x", above=0.4), given_of(), table).bears is False
    assert judge(claim("ordering", "x", "y", read="own"), given_of(), table).bears is None


def test_doubts_are_about_order_chance_and_noise() -> None:
    wrong = judge(claim("ordering", "x", "y"), given_of(), {"s/a/x": 0.3, "s/a/y": 0.5})
    weak = judge(claim("value", "x", published=(0.5,)), given_of(x=one(0.3)), {})
    weak, like = (weak.model_copy(update={"noise": one(noise)}) for noise in (0.5, 0.31))
    found = doubts_of([wrong, weak, like], [("net", one(0.11), 0.1), ("good", one(0.9), 0.1)], [("row", 0.05, 0.1)])
    assert [(doubt.code, doubt.about) for doubt in found] == [
        ("printed-order", "c"),
        ("below-noise", "c"),
        ("like-noise", "c"),
        ("chance", "net"),
        ("chance", "row"),
    ]


def test_expressions_are_read_from_the_weakest_sign() -> None:
    text = "1 - s/a/x(eps=8/255)/d / s/a/y/d"
    assert names_in(text) == ["s/a/x(eps=8/255)/d", "s/a/y/d"]
    seen = Quantities({"s/a/x(eps=8/255)/d": one(2.0, 0.1), "s/a/y/d": one(4.0, 0.0)})
    found = measured(text, seen)
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == pytest.approx((1 - 2.1 / 4, 1 - 1.9 / 4))
    assert printed(text, {"s/a/y/d": 4.0}) is None
    with pytest.raises(KeyError, match="s/a/z"):
        measured("s/a/y/d - s/a/z", seen)


def test_the_difference_of_independent_quantities_has_the_root_of_their_squares() -> None:
    found = measured("s/a/x - s/a/y", given_of(x=one(0.9, 0.03), y=one(0.5, 0.04)))
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.35, 0.45))


def test_a_sum_has_the_root_of_the_squares_and_brackets_belong_to_names() -> None:
    given = given_of(**{"best-of(attacks=fgsm + pgd)/x": one(0.5, 0.03), "y": one(0.2, 0.04), "z": one(0.1, 0.12)})
    text = "s/a/best-of(attacks=fgsm + pgd)/x"
    found = measured(f"{text} + s/a/y", given)
    assert (found.value, found.low, found.high) == pytest.approx((0.7, 0.65, 0.75))
    assert measured(f"{text} - s/a/y + s/a/z", given).value == pytest.approx(0.4), "from left to right"
    assert names_in(f"{text} + s/a/y") == [text, "s/a/y"]


def test_the_difference_image_by_image_is_bonett_and_prices() -> None:
    before = pd.Series([1.0] * 30 + [0.0] * 70)
    after = pd.Series([1.0] * 20 + [0.0] * 75 + [1.0] * 5)
    found = paired_difference(before, after)  # 10 of the one kind, 5 of the other
    centre, half = 5 / 102, 1.959963984540054 * math.sqrt((17 / 102 - (5 / 102) ** 2) / 102)
    assert (found.value, found.low, found.high) == pytest.approx((0.05, centre - half, centre + half))
    same = paired_difference(before, before)
    assert same.low is not None and same.low < 0 < (same.high or 0), "no difference in 100 images is not none at all"
    far = Quantities({}, {"s/a/x": before, "s/b/x": after})
    with pytest.raises(KeyError):
        measured("s/a/x - s/b/x", far)  # of another network: their images differ, the rates decide


@pytest.mark.parametrize(("freedom", "quantile"), [(5, 2.570582), (10, 2.228139), (30, 2.042272), (1000, 1.962339)])
def test_students_quantile(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, rel=1e-3)


def test_a_mean_has_students_interval() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    found = mean(values)
    half = 2.570582 * math.sqrt(3.5 / 6)
    assert (found.value, found.low) == pytest.approx((3.5, 3.5 - half), rel=1e-3)
    assert mean(values[:5]).low is None


def test_what_always_holds_is_counted_over_all_seeds_and_untested_where_nothing_is_counted() -> None:
    def verdict(*seeds: Measured) -> str:
        found = judge(claim("invariant", "x", relation="always"), joined([given_of(x=one) for one in seeds]), {})
        return found.verdict

    assert verdict(rate(8, 8), rate(9, 9)) == "reproduced"
    assert verdict(rate(8, 8), rate(8, 9)) == "refuted"
    assert verdict(one(1.0)) == verdict(rate(8, 8), one(1.0)) == verdict(rate(0, 0)) == "untested"


def test_seeds_are_pooled_to_their_spread() -> None:
    found = pooled([one(0.5), one(0.6), one(0.7, None)])
    assert (found.value, found.low, found.high) == pytest.approx((0.6, 0.48, 0.7))
    assert pooled([one(0.5), Measured(value=None)]).value is None
    bare = [one(value, None) for value in (0.5, 0.51, 0.52)]
    assert (pooled(bare).low, pooled(bare).high) == (0.5, 0.52)
    assert (pooled(bare[:2]).value, pooled(bare[:2]).low, pooled(bare[:2]).high) == (0.505, None, None)
    both = joined([given_of(x=one(0.5)), given_of(x=one(0.9), y=one(0.1))])
    spread = judge(claim("ordering", "x", "y"), both, {})
    assert spread.verdict == "reproduced"
    assert judge(claim("value", "x", published=(0.7,), tolerance=0.05), both, {}).verdict == "untested"


def test_a_fact_that_the_source_does_not_state_is_not_said_to_be_otherwise() -> None:
    def why(*figures: float | None) -> tuple[str, str]:
        found = judge(claim("value", "x", published=figures, unit=FACT), given_of(x=one(1.0, 0.0)), {})
        return found.verdict, found.why

    assert why(1.0) == ("reproduced", "so it is here")
    assert why(0.0) == ("refuted", "it is not so here")
    assert why(None) == ("untested", "the source prints no figure")
