"""A page on which somebody judges pictures without being told which is which, until all are judged."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from brittle.errors import BrittleError
from brittle.measure import rate
from brittle.measure.intervals import mcnemar
from brittle.measure.told import Blind, Trial
from brittle.pages.html import LIMIT, page
from brittle.pages.pictures import embedded
from brittle.pages.words import rate_text
from brittle.places import content_of
from brittle.report.page import HERE
from brittle.text import significant

BLIND = "blind.html"
"""Beside the page of a run."""
_AROUND = 1_200  # characters of what stands around a picture


def blind_page(blind: Blind, directory: Path) -> str:
    """One HTML file: pairs side by side, and what each number of right answers means.

    directory: where the files of the trials are. BrittleError for one that cannot be read.
    """
    groups = list(dict.fromkeys(trial.group for trial in blind.trials))
    room = LIMIT // (2 * len(blind.trials)) - _AROUND
    sections: list[dict[str, Any]] = [
        {"name": group, "trials": [_trial(one, number, directory, room) for number, one in mine]}
        for group in groups
        for mine in [[(at, one) for at, one in enumerate(blind.trials) if one.group == group]]
    ]
    key = {
        "answers": [[one["left"] for one in section["trials"]] for section in sections],
        "names": [blind.one, blind.other],
        "verdicts": [_verdicts(section["name"], section["trials"]) for section in sections],
    }
    context = {"title": blind.question, "says": blind.says, "one": blind.one, "sections": sections, "key": key}
    scripts = [(HERE / "blind.js").read_text(encoding="utf-8")]
    return page(HERE, "blind.html.j2", context, styles=["page.css"], scripts=scripts)


def _trial(trial: Trial, number: int, directory: Path, room: int) -> dict[str, Any]:
    files = (trial.one, trial.other) if trial.left else (trial.other, trial.one)
    return {"number": number + 1, "left": trial.left, "pictures": [_picture(directory / one, room) for one in files]}


def _picture(path: Path, room: int) -> Any:
    try:
        with Image.open(BytesIO(content_of(path))) as image:
            return embedded(image.convert("RGB"), room)
    except OSError as error:
        raise BrittleError(f"cannot read {str(path)!r} ({error}); the same command makes it again") from None


def _verdicts(group: str, trials: Sequence[Any]) -> list[str]:
    """For each number of right answers what follows from it."""
    n = len(trials)
    said = []
    for right in range(n + 1):
        found = rate(right, n)
        told = rate_text(found.value, found.low, found.high, right, n)
        p = mcnemar(right, n - right)
        verdict = "You tell them apart" if p < 0.05 else "You do not tell them apart"
        chance = f"who guesses is as far from half with a chance of {significant(p, 2)}"
        said.append(f"{group}: {told}. {verdict}: {chance}.")
    return said
