"""Whether the numbers of an audit will do, as an exit code: what a pipeline asks. torch waits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, final

import typer

from brittle.errors import BrittleError, did_you_mean
from brittle.flags import is_doubt
from brittle.text import counted

if TYPE_CHECKING:
    from brittle.measure import Summary
    from brittle.run.engine import Run

DOUBTED, UNDER = 3, 4
"""Exit codes. Where both hold it is the first: a number that may be wrong is neither good nor bad enough."""

Strict = Annotated[
    bool, typer.Option("--strict", help=f"end with exit code {DOUBTED} where there is a doubt about the results")
]
FailUnder = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help=f"end with exit code {UNDER} where a measure of all attacks together is less, such as"
        " robust_accuracy=0.4; repeatable",
    ),
]


@final
@dataclass(frozen=True, slots=True)
class Gate:
    """What is asked of an audit after it is written. least: by the keys of ``summary.overall``."""

    strict: bool
    least: dict[str, float]

    @staticmethod
    def of(strict: bool, fail_under: Sequence[str] | None) -> "Gate":
        """What the options say; BrittleError for a measure that there is not, or no number."""
        return Gate(strict, dict(map(_threshold, fail_under or ())))

    def judge(self, run: "Run") -> None:
        """Ends the command with an exit code, and a line on stderr for each reason, where the run does not pass."""
        if not self.strict and not self.least:
            return
        from brittle.measure import summaries

        if run.manifest.study != "audit":
            raise BrittleError(
                f"expected an audit for --strict and --fail-under, got {str(run.directory)!r}, a"
                f" {run.manifest.study} run"
            )
        found = summaries(run.manifest, run.records)
        codes = [flag.code for summary in found for flag in summary.flags if is_doubt(flag.code)]
        doubts = list(dict.fromkeys(codes)) if self.strict else []
        under = [text for summary in found for text in self._under(summary, alone=len(found) == 1)]
        if under:
            typer.echo(f"brittle: --fail-under: {'; '.join(under)}", err=True)
        if doubts:
            typer.echo(f"brittle: --strict: {counted(len(doubts), 'doubt')}: {', '.join(doubts)}", err=True)
        if doubts or under:
            raise typer.Exit(DOUBTED if doubts else UNDER)

    def _under(self, summary: "Summary", alone: bool) -> list[str]:
        """A number that does not exist is not enough."""
        where = "" if alone else f" of {summary.model}, {summary.goal}"
        values = {key: summary.overall[key].value for key in self.least}
        return [
            f"{key}{where} is {'not known' if value is None else f'{value:.6g}'}, under {self.least[key]:g}"
            for key, value in values.items()
            if value is None or value < self.least[key]
        ]


def _threshold(text: str) -> tuple[str, float]:
    from brittle.measure import MEASURES, OVERALL

    key, _, number = text.partition("=")
    if key not in OVERALL:
        raise BrittleError(f"expected --fail-under as a measure and a number, got {text!r}{did_you_mean(key, OVERALL)}")
    most = 1.0 if MEASURES[key].unit == "fraction" else math.inf
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value <= most):
        what = "fraction of at most 1" if most == 1 else "number"
        raise BrittleError(
            f"expected --fail-under {key} as a {what}, such as {key}={0.4 if most == 1 else 100:g}, got {text!r}"
        )
    return key, value
