"""What a page says of all results together: sentences, figures and rows of numbers."""

from collections.abc import Callable, Sequence
from statistics import fmean, median
from typing import Any, TypeAlias

from brittle.crafting.crafted import Crafted
from brittle.pages.figures import Figure
from brittle.text import colour, counted, duration, of, percent, similarity, sure, wanted

Row: TypeAlias = tuple[str, str, str, Crafted]
"""Space, penalty, optimiser, and what they made."""

_SPREAD: dict[str, tuple[str, Callable[[Crafted], float], Callable[[float], str]]] = {
    "confidence": ("after reading the saved PNG again", lambda one: one.confidence, percent),
    "colour, mean": ("CIEDE2000; about 1 can be seen", lambda one: one.visibility.colour_mean, colour),
    "colour, 99th percentile": ("CIEDE2000", lambda one: one.visibility.colour_p99, colour),
    "SSIM": ("1 is equal", lambda one: one.visibility.ssim, similarity),
    "passes": ("forward, through the network", lambda one: one.passes, "{:,.0f}".format),
    "time": ("of the attack, for each picture", lambda one: one.seconds, duration),
}


def _at(crafted: Sequence[Crafted]) -> str:
    asked = {one.wanted for one in crafted}
    return f"at {wanted(asked.pop())} confidence or more" if len(asked) == 1 else "at the confidence asked for"


def headline(crafted: Sequence[Crafted]) -> list[str]:
    """How often wishes came true, and how visible that is."""
    if not crafted:
        return ["No photograph has been crafted yet."]
    reached, whole = sum(one.reached for one in crafted), len(crafted)
    if whole == 1:
        share = "The one picture is" if reached else "The one picture is not"
    else:
        verb = "is" if reached == 1 else "are"
        share = f"{'All' if reached == whole else f'{reached:,} of'} {counted(whole, 'picture')} {verb}"
    middle = median(one.visibility.colour_mean for one in crafted)
    return [
        f"{share} taken for what was wished, {_at(crafted)}.",
        f"The median change is {colour(middle)} CIEDE2000; about 1 can just be seen.",
    ]


def figures(crafted: Sequence[Crafted]) -> list[Figure]:
    """Three big numbers: how often, how visible, at what cost."""
    if not crafted:
        return []
    reached, whole = sum(one.reached for one in crafted), len(crafted)
    mean, p99 = (median(getattr(one.visibility, name) for one in crafted) for name in ("colour_mean", "colour_p99"))
    often = f"taken for what was wished {_at(crafted)}, as the saved 8-bit PNG is read again."
    visible = (
        "is the median change of colour; the bar ends where a change can just be seen. One pixel in a hundred changes"
        f" by more than {colour(p99)}."
    )
    cost = f"is the median time for a picture, with {median(one.passes for one in crafted):,.0f} forward passes."
    return [
        Figure("How often", of(reached, whole), often, bar=reached / whole),
        Figure("How visible", colour(mean), visible, unit="CIEDE2000", bar=min(mean, 1.0)),
        Figure("How long", duration(median(one.seconds for one in crafted)), cost),
    ]


def spread(crafted: Sequence[Crafted]) -> list[dict[str, str]]:
    """Least, median and most of every number."""
    lines = []
    for name, (under, value, text) in _SPREAD.items():
        values = [value(one) for one in crafted]
        if values:
            least, middle, most = (text(one(values)) for one in (min, median, max))
            lines.append({"name": name, "under": under, "least": least, "median": middle, "most": most})
    return lines


def median_of(crafted: Sequence[Crafted]) -> Crafted | None:
    """The result of median visibility among those that reached what was wished, or else among all."""
    ranked = sorted([one for one in crafted if one.reached] or crafted, key=lambda one: one.visibility.colour_mean)
    return ranked[(len(ranked) - 1) // 2] if ranked else None


def settings_of(rows: Sequence[Row], subjects: int) -> list[dict[str, Any]]:
    """A line for each space, penalty and optimiser: those that reached most come first, of those the least visible."""
    found: dict[tuple[str, str, str], list[Crafted]] = {}
    for space, penalty, optimiser, one in rows:
        found.setdefault((space, penalty, optimiser), []).append(one)
    lines = []
    for setting, ones in found.items():
        reached = sum(one.reached for one in ones)
        names = ("colour_mean", "colour_p99", "ssim")
        mean, p99, ssim = (fmean(getattr(one.visibility, name) for one in ones) for name in names)
        lines.append(
            {
                "setting": setting,
                "reached": reached,
                "of": len(ones),
                "all": reached == len(ones) == subjects,
                "confidence": percent(min(one.confidence for one in ones)),
                "visible": mean,
                "mean": colour(mean),
                "bar": min(mean, 1.0),
                "p99": colour(p99),
                "ssim": similarity(ssim),
                "passes": f"{fmean(one.passes for one in ones):,.0f}",
                "seconds": duration(fmean(one.seconds for one in ones)),
            }
        )
    return sorted(lines, key=lambda line: (-line["reached"] / line["of"], line["visible"]))


def comparison_headline(settings: Sequence[dict[str, Any]], crafted: Sequence[Crafted]) -> list[str]:
    """How many ways reach every wish, and which of them shows least."""
    if not settings:
        return ["Nothing has been compared yet."]
    good = [line for line in settings if line["all"]]
    verb = "reaches" if len(good) == 1 else "reach"
    every = f"{len(good):,} of {len(settings):,} ways of crafting {verb} every wish {_at(crafted)}."
    if not good:
        return [f"None of {len(settings):,} ways of crafting reaches every wish {_at(crafted)}."]
    space, penalty, optimiser = good[0]["setting"]
    best = (
        f"The least visible is {optimiser} with the penalty {penalty} in the space {space}: {good[0]['mean']}"
        " CIEDE2000, where about 1 can just be seen."
    )
    return [every, best]


def facts(crafted: Sequence[Crafted]) -> list[tuple[str, str]]:
    """What stands at the foot of a page."""
    attacks = list(dict.fromkeys(one.attack for one in crafted))
    return [("Attack" if len(attacks) == 1 else "Attacks", "; ".join(attacks))]


def line_of(crafted: Crafted, *, by: bool = False) -> str:
    """A result in one line: from what to what, at which confidence, how visible; by: and by which attack."""
    name, likely = crafted.before[0]
    now, after = crafted.after[0]
    seen = crafted.visibility
    said = sure(after, crafted.wanted) if crafted.target_name == now else percent(after)
    wish = "" if crafted.target_name in (None, now) else f", not {crafted.target_name}"
    short = "" if crafted.reached else f"; short of the {wanted(crafted.wanted)} asked for"
    return (
        f"{crafted.photo}: {name} ({percent(likely)}) -> {now} ({said}{wish}{short}), CIEDE2000 mean"
        f" {colour(seen.colour_mean)}, 99th percentile {colour(seen.colour_p99)}, SSIM {similarity(seen.ssim)}"
        + (f"; by {crafted.attack}" if by else "")
    )
