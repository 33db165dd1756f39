"""JudgedDefence defences in words: for the page, the terminal and files."""

from collections.abc import Sequence
from typing import Any

from brittle.measure import JudgedAlone, JudgedDefence, JudgedDefences, JudgedDetector, Measured, Told
from brittle.measure.told import Cell, Sized
from brittle.report.leaderboard import budget_text
from brittle.report.sections import told_cell
from brittle.text import NONE, counted, percent

_ATTACKED = ("Unaware", "Aware", "Without gradients", "Transferred", "Figure", "Certified")
_BESIDE = ("Right, with it", "Right, without", "Robust, without", "Passes an answer")
_RULE = (
    "Every figure is a share of all images: those still right. Unaware changes are made for the model without its"
    " defence, and graded with it; aware ones are made through the defence, by its own gradient, an approximation or"
    " the mean over draws of the attacker's own. Transferred ones are made for other models of the run. The figure of a"
    " defence is what is left when for each image the worst of all of them counts, so it is at most the lowest. Beside"
    " it is what the model gets right before any attack, with its defence and without, how robust it is without under"
    " the same attacks, and how many passes of it an answer takes. What is certified is proved to be left, up to the"
    " chance that the defence states: the truth lies between that and the figure."
)


def judged_told(found: Sequence[JudgedDefence], *, beside: bool = True) -> Told:
    """A row for each defended model and budget, and how far the unaware figure lies above.

    beside: also what needs no attacker to be known, and how the model is without its defences.
    """
    several = len({one.goal for one in found}) > 1
    rows = tuple(
        (
            ", ".join([_where(one), *([one.goal] if several else [])]),
            *map(_said, (one.unaware, one.aware, one.blind, one.transferred, one.figure, one.certified)),
            *(_beside(one) if beside else ()),
        )
        for one in found
    )
    heads = ("defended model, within", *_ATTACKED, *(_BESIDE if beside else ()))
    return Told((_RULE, *map(_above, found)), heads=heads, rows=rows)


def detectors_told(found: Sequence[JudgedDetector]) -> Told:
    """A row for each model that may refuse, and budget: false positives beside true ones."""
    rows = tuple((_where(one), *map(_said, (one.refused, one.unaware, one.aware, one.worst))) for one in found)
    return Told(
        (
            "What those that may refuse an answer do refuse: of clean images, and of those that a change within the"
            " budget makes the model without its defence take for another class, where both are right before. Of the"
            " latter, those are caught of which no change gets through, be it refused or still answered rightly: none"
            " that was made without knowing, none by gradients through the detector, none of all.",
        ),
        heads=("defended model, within", "Clean refused", "Caught, unaware", "Caught, aware", "Caught, of all"),
        rows=rows,
    )


def each_told(found: Sequence[JudgedAlone]) -> Told:
    """A row for each defended model and attack."""
    rows = tuple((f"{_where(one)}, {one.attack}", _said(one.unaware), _said(one.aware)) for one in found)
    return Told(
        ("Each attack by itself, as it is made for the model without its defence and for the one with it.",),
        heads=("defended model, within, attack", "Unaware", "Aware"),
        rows=rows,
    )


def defences_section(judged: JudgedDefences) -> dict[str, Any] | None:
    """What the page shows; None without any."""
    if not judged.defences:
        return None
    told, each = judged_told(judged.defences), each_told(judged.alone)
    refusing = [_below("Refused, and caught", detectors_told(judged.detectors))] if judged.detectors else []
    return {
        "rule": told.sentences[0],
        "sentences": told.sentences[1:],
        "tables": [
            _table("Defences, judged", told),
            *refusing,
            _below("Each attack by itself", each, folded=True),
        ],
    }


def _table(title: str, told: Told) -> dict[str, Any]:
    rows = [[row[0], *map(told_cell, row[1:])] for row in told.rows]
    return {"title": title, "heads": told.heads, "rows": rows, "sentences": (), "folded": False}


def _below(title: str, told: Told, *, folded: bool = False) -> dict[str, Any]:
    return _table(title, told) | {"sentences": told.sentences, "folded": folded}


def _beside(one: JudgedDefence) -> tuple[Cell, ...]:
    return one.clean, one.clean_bare, one.robust_bare, Sized(Measured(value=one.passes), "passes")


def _said(measured: Measured) -> Cell:
    return NONE if measured.value is None else measured


def _where(one: JudgedDefence | JudgedDetector | JudgedAlone) -> str:
    return f"{one.model}, {budget_text(one.budget)}"


def _above(one: JudgedDefence) -> str:
    left = f"{_where(one)}: {percent(one.figure.value or 0)} are left"
    if one.overstated is None:
        return f"{left}; nothing was made for the model without its defence."
    if one.inside:
        left += f" ({counted(one.inside, 'image')} by a change within a certified radius, which none should)"
    points = f"{100 * one.overstated:.0f} points more"
    said = f"{left}; who does not know of the defence would report {percent(one.unaware.value or 0)}, {points}."
    if one.missed:
        said += (
            f" Gradients through the defence miss {counted(one.missed, 'image')} that something else takes, beyond"
            " luck: they are not the strongest attack on it, and their figure alone is none."
        )
    return said
