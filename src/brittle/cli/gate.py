"""Whether the numbers of an audit will do, as an exit code: what a pipeline asks. torch waits."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from brittle.errors import BrittleError
from brittle.text import counted

if TYPE_CHECKING:
    from brittle.measure import Gate, Judgement
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


def gate_of(strict: bool, fail_under: Sequence[str] | None) -> "Gate | None":
    """What the options ask for; None for nothing."""
    if not strict and not fail_under:
        return None
    from brittle.measure import Gate

    least = dict(text.partition("=")[::2] for text in fail_under or ())
    try:
        return Gate.of(strict, least)
    except BrittleError as error:
        raise BrittleError(f"--fail-under: {error}") from None


def judged(gate: "Gate", run: "Run") -> "Judgement":
    """What a run says to a gate, defended models under all that was tried; BrittleError for one that is no audit."""
    from brittle.measure import summaries, under_all

    if run.manifest.study != "audit":
        raise BrittleError(
            f"expected an audit for --strict and --fail-under, got {str(run.directory)!r}, a {run.manifest.study} run"
        )
    told = summaries(run.manifest, run.records)
    return gate.judged(under_all(told, run.manifest, run.records, run.transfers))


def end_by(judgement: "Judgement | None") -> None:
    """Ends the command with an exit code, and a line on stderr for each reason, where a run does not pass."""
    if judgement is None or judgement.passed:
        return
    under = [one.words for one in judgement.asked if not one.met]
    if under:
        typer.echo(f"brittle: --fail-under: {'; '.join(under)}", err=True)
    if judgement.doubts:
        doubts = counted(len(judgement.doubts), "doubt")
        typer.echo(f"brittle: --strict: {doubts}: {', '.join(judgement.doubts)}", err=True)
    raise typer.Exit(DOUBTED if judgement.doubts else UNDER)
