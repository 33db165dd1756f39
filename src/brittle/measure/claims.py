"""Claims: what a source says of quantities, and the verdict of what has been measured. Pure: laws on intervals."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Literal, TypeAlias

from brittle.errors import did_you_mean
from brittle.measure.expressions import difference, measured, printed
from brittle.measure.models import Measured, Plain
from brittle.measure.quantities import Quantities

Kind: TypeAlias = Literal["value", "ordering", "existence", "invariant", "curve"]
Verdict: TypeAlias = Literal["reproduced", "refuted", "untested", "not comparable"]
Relation: TypeAlias = Literal["falling", "rising", "largest-first", "smallest-first", "constant", "always"]
Read: TypeAlias = Literal["paper", "second hand", "recalled", "own"]

VERDICTS: tuple[Verdict, ...] = ("reproduced", "refuted", "untested", "not comparable")
FACT = "yes or no"
"""The unit of what is a fact and no measurement."""
FACTORS: Mapping[str, float] = {"": 1.0, "%": 0.01, "ms": 0.001, "s": 1.0, FACT: 1.0}
"""What a figure in a unit is in that of the measures."""
TIMES = ("seconds", "seconds_low", "seconds_high", "total_seconds")
"""Measures that depend on the machine, of which no value can be reproduced."""


class Claim(Plain):
    """One thing that a source says, about quantities by name.

    kind: "value": a figure, within the tolerance. "curve": several of them. "ordering": quantities in an order.
    "invariant": what holds along a sequence, or for every image. "existence": a quantity above or below a bound.
    taken: the quantities as the source took them, where that is not what its text defines; then they decide.
    read: how its figures were read; "own": it is the recipe's, not the source's.
    published: as printed, times factor; None: not printed. arm: the one that it is about, where it is about one.
    """

    id: str
    arm: str | None = None
    kind: Kind
    says: str
    quantities: tuple[str, ...]
    taken: tuple[str, ...] = ()
    published: tuple[float | None, ...] = ()
    factor: float = 1.0
    unit: str = ""
    tolerance: float | None = None
    relation: Relation | None = None
    above: float | None = None
    below: float | None = None
    place: str
    read: Read


class Judged(Plain):
    """A claim with its verdict. measured: what decides; defined: the quantities themselves, where these differ.

    bears: whether the source's own figures bear the claim out; None where it does not print them.
    """

    claim: Claim
    measured: tuple[Measured | None, ...]
    defined: tuple[Measured | None, ...] = ()
    noise: Measured | None = None
    verdict: Verdict
    why: str
    bears: bool | None = None


def judge(
    claim: Claim,
    given: Quantities,
    published: Mapping[str, float],
    *,
    other: str | None = None,
    absent: str | None = None,
) -> Judged:
    """The verdict of what has been measured. published: all figures of the source, by quantity.

    other: why the networks are not those of the claim; absent: why there is none. A value is then not comparable, and
    both numbers stand beside each other all the same.
    """
    texts = claim.taken or claim.quantities
    found = tuple(found_in(text, given) for text in texts)
    defined = tuple(found_in(text, given) for text in claim.quantities) if claim.taken else ()
    verdict, why = _verdict(claim, texts, found, given, other, absent)
    bears = None if claim.read == "own" else _bears(claim, published)
    return Judged(claim=claim, measured=found, defined=defined, verdict=verdict, why=why, bears=bears)


def found_in(text: str, given: Quantities) -> Measured | None:
    """The value of an expression; None where a quantity in it is not known."""
    try:
        return measured(text, given)
    except KeyError:
        return None


def _verdict(
    claim: Claim,
    texts: Sequence[str],
    found: Sequence[Measured | None],
    given: Quantities,
    other: str | None,
    absent: str | None,
) -> tuple[Verdict, str]:
    if absent is not None:
        return "untested", absent
    for text in texts:
        try:
            if measured(text, given).value is None:
                return "untested", f"{text} is not defined here: nothing was fooled, or a value is not finite"
        except KeyError as error:
            name = str(error.args[0])
            return "untested", f"no record has {name!r}{did_you_mean(name, given.known) if _near(name, given) else ''}"
    if other is not None:
        return "not comparable", other
    if claim.kind in ("value", "curve") and texts[0].rpartition("/")[2] in TIMES:
        return "not comparable", "the time of another machine"
    return _LAWS[claim.kind](claim, texts, [one for one in found if one is not None], given)


def _near(name: str, given: Quantities) -> bool:
    return "; did you mean" in did_you_mean(name, given.known)


# ---- laws, of which none looks at a model


def against(one: Measured, published: float, tolerance: float) -> tuple[Verdict, str]:
    """A figure: reproduced where the whole interval is within the tolerance, refuted where none of it is."""
    assert one.value is not None
    low, high = published - tolerance, published + tolerance
    if one.low is None or one.high is None:
        return "untested", "too few images for an interval"
    if one.high < low or one.low > high:
        return "refuted", "the interval does not reach the figure and its tolerance"
    if low <= one.low and one.high <= high:
        return "reproduced", "all of the interval is within the tolerance"
    return "untested", "the interval reaches beyond the tolerance: more images would tell"


def beyond(one: Measured, bound: float, *, above: bool) -> tuple[Verdict, str]:
    """A bound: by the whole interval on one side of it."""
    word = "above" if above else "below"
    if one.low is None or one.high is None:
        return "untested", "too few images for an interval"
    clear, wrong = (one.low > bound, one.high <= bound) if above else (one.high < bound, one.low >= bound)
    if clear:
        return "reproduced", f"all of the interval is {word} the bound"
    return ("refuted", f"none of the interval is {word} the bound") if wrong else ("untested", "the bound is inside it")


def sign(one: str, other: str, given: Quantities) -> int | None:
    """1: one quantity is surely above another, -1: below; 0: that cannot be told; None: there are no intervals."""
    gap = _gap(one, other, given)
    if gap.low is None or gap.high is None:
        return None
    return 1 if gap.low > 0 else -1 if gap.high < 0 else 0


def _gap(one: str, other: str, given: Quantities) -> Measured:
    """Of two names image by image where that can be; of expressions by their values."""
    if one in given.each and other in given.each:
        return measured(f"{one} - {other}", given)
    return difference(measured(one, given), measured(other, given))


def _apart(gap: Measured, tolerance: float) -> tuple[Verdict, str]:
    """A difference that is claimed to be none, within the tolerance."""
    verdict, why = against(gap, 0.0, tolerance)
    words: dict[Verdict, str] = {
        "reproduced": "the difference is within the tolerance",
        "refuted": "the difference is beyond the tolerance, with all of its interval",
    }
    return verdict, words.get(verdict, why)


_OF_FACTS: dict[Verdict, str] = {"reproduced": "so it is here", "refuted": "it is not so here"}


def _value(claim: Claim, texts: Sequence[str], found: Sequence[Measured], given: Quantities) -> tuple[Verdict, str]:
    verdicts = []
    for one, figure in zip(found, claim.published, strict=True):
        if figure is not None:
            verdicts.append(against(one, figure, claim.tolerance or 0.0))
    verdict, why = _together(verdicts)
    return verdict, why if claim.unit != FACT else _OF_FACTS.get(verdict, why)


def _existence(claim: Claim, texts: Sequence[str], found: Sequence[Measured], given: Quantities) -> tuple[Verdict, str]:
    bounds = [(bound, above) for bound, above in ((claim.above, True), (claim.below, False)) if bound is not None]
    return _together([beyond(one, bound, above=above) for one in found for bound, above in bounds])


def _together(verdicts: Sequence[tuple[Verdict, str]]) -> tuple[Verdict, str]:
    """Refuted where any is, reproduced where all are."""
    for verdict in ("refuted", "untested"):
        mine = [why for one, why in verdicts if one == verdict]
        if mine:
            several = f" ({len(mine)} of {len(verdicts)})" if len(verdicts) > 1 else ""
            return verdict, f"{mine[0]}{several}"
    return ("reproduced", verdicts[0][1]) if verdicts else ("untested", "the source prints no figure")


def _ordering(claim: Claim, texts: Sequence[str], found: Sequence[Measured], given: Quantities) -> tuple[Verdict, str]:
    signs = [sign(one, other, given) for one, other in _pairs(claim, texts)]
    if None in signs:
        return "untested", "too few images for an interval"
    wrong = signs.count(-1)
    if wrong:
        return "refuted", f"{wrong} of {len(signs)} pairs are the other way round, beyond their intervals"
    if 0 in signs:
        return "untested", f"{signs.count(0)} of {len(signs)} pairs cannot be told apart by their intervals"
    return "reproduced", "every pair is in this order, beyond its interval"


def _pairs(claim: Claim, texts: Sequence[str]) -> list[tuple[str, str]]:
    """(larger, smaller), as claimed."""
    first, *rest = texts
    pairs = {
        "largest-first": [(first, one) for one in rest],
        "smallest-first": [(one, first) for one in rest],
        "rising": [(after, before) for before, after in pairwise(texts)],
    }
    return pairs.get(claim.relation or "falling", list(pairwise(texts)))


def _invariant(claim: Claim, texts: Sequence[str], found: Sequence[Measured], given: Quantities) -> tuple[Verdict, str]:
    if claim.relation == "always":
        counts = [(one.count, one.of) for one in found if one.count is not None and one.of is not None]
        broken, every = sum(of - count for count, of in counts), sum(of for _, of in counts)
        if len(counts) < len(found) or not every:
            return "untested", "no image is counted"
        return (
            ("refuted", f"not so for {broken:,} of {every:,} images")
            if broken
            else ("reproduced", "so for every image")
        )
    if claim.relation == "constant":
        gaps = [_gap(one, other, given) for one, other in combinations(texts, 2)]
        return _together([_apart(gap, claim.tolerance or 0.0) for gap in gaps])
    way = 1 if claim.relation == "rising" else -1
    signs = {(before, after): sign(after, before, given) for before, after in combinations(texts, 2)}
    if None in signs.values():
        return "untested", "too few images for an interval"
    wrong = list(signs.values()).count(-way)
    if wrong:
        return "refuted", f"{wrong} of {len(signs)} pairs go the other way, beyond their intervals"
    if signs[texts[0], texts[-1]] == way:
        return "reproduced", f"{claim.relation} from the first to the last beyond the interval, and nowhere against it"
    return "untested", "the first and the last cannot be told apart by their intervals"


_Law: TypeAlias = Callable[[Claim, Sequence[str], Sequence[Measured], Quantities], tuple[Verdict, str]]
_LAWS: dict[Kind, _Law] = {
    "value": _value,
    "curve": _value,
    "existence": _existence,
    "ordering": _ordering,
    "invariant": _invariant,
}


def _bears(claim: Claim, published: Mapping[str, float]) -> bool | None:
    """Whether the figures that the source prints are as the claim says: the same laws, without any interval."""
    values = [printed(text, published) for text in claim.quantities]
    if any(value is None for value in values) or claim.relation == "always":
        return None
    known = [value for value in values if value is not None]
    if claim.kind in ("value", "curve"):
        room = (claim.tolerance or 0.0) * (1 + 1e-9)
        figures = zip(known, claim.published, strict=True)
        return all(
            figure is None or math.isclose(value, figure, rel_tol=1e-9, abs_tol=room) for value, figure in figures
        )
    if claim.kind == "existence":
        above = claim.above is None or min(known) > claim.above
        return above and (claim.below is None or max(known) < claim.below)
    if claim.relation == "constant":
        return max(known) - min(known) <= (claim.tolerance or 0.0) * (1 + 1e-9)
    by_name = dict(zip(claim.quantities, known, strict=True))
    if claim.kind == "invariant":  # a plateau does not break it
        ordered = known if claim.relation == "rising" else known[::-1]
        return all(one <= other for one, other in pairwise(ordered)) and ordered[0] < ordered[-1]
    return all(by_name[more] > by_name[less] for more, less in _pairs(claim, claim.quantities))
