"""What is asked of an audit's numbers: that none be less, and none in doubt."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from brittle.errors import BrittleError, did_you_mean
from brittle.flags import is_doubt
from brittle.measure.definitions import MEASURES
from brittle.measure.models import Measured, Summary
from brittle.measure.summary import OVERALL

_FLOORS = ("examples", "completeness", "correct", "clean_accuracy", "robust_accuracy")
"""Of the measures of all attacks together those of which less is worse."""


class Asked(NamedTuple):
    """One threshold, and what a model has under a goal. where: says which, if there are several."""

    key: str
    least: float
    measured: Measured
    where: str

    @property
    def met(self) -> bool:
        """A number that does not exist is not enough."""
        return self.measured.value is not None and self.measured.value >= self.least

    @property
    def words(self) -> str:
        """``"robust_accuracy of mine, untargeted is 0.31, under 0.4"``."""
        value = self.measured.value
        return f"{self.key}{self.where} is {'not known' if value is None else f'{value:.6g}'}, under {self.least:g}"


class Judgement(NamedTuple):
    """Every threshold, and the codes of what speaks against the numbers where that was asked for."""

    asked: list[Asked]
    doubts: list[str]

    @property
    def passed(self) -> bool:
        return not self.doubts and all(one.met for one in self.asked)


@final
@dataclass(frozen=True, slots=True)
class Gate:
    """strict: no doubt about the results. least: by the keys of ``summary.overall``."""

    strict: bool
    least: dict[str, float]

    @staticmethod
    def of(strict: bool, least: Mapping[str, Any]) -> "Gate":
        """Checked: BrittleError for a measure that there is not, or no number that it could have."""
        return Gate(strict, {key: _checked(key, value) for key, value in least.items()})

    def judged(self, summaries: Sequence[Summary]) -> Judgement:
        """What an audit's summaries say to it."""
        alone = len(summaries) == 1
        asked = [
            Asked(key, least, one.overall[key], "" if alone else f" of {one.model}, {one.goal}")
            for one in summaries
            for key, least in self.least.items()
        ]
        codes = [flag.code for one in summaries for flag in one.flags if is_doubt(flag.code)]
        return Judgement(asked, list(dict.fromkeys(codes)) if self.strict else [])


def _checked(key: str, value: Any) -> float:
    if key not in OVERALL:
        raise BrittleError(f"expected a measure of all attacks together, got {key!r}{did_you_mean(key, _FLOORS)}")
    if key not in _FLOORS:
        raise BrittleError(f"expected a measure of which less is worse, such as robust_accuracy, got {key!r}")
    most = 1.0 if MEASURES[key].unit == "fraction" else math.inf
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and 0 <= number <= most):
        what = "fraction from 0 to 1" if most == 1 else "number of at least 0"
        raise BrittleError(f"expected {key} as a {what}, such as {key}={0.4 if most == 1 else 100:g}, got {value!r}")
    return number
