"""``brittle check``: an audit as a step of a pipeline. torch is imported inside it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from brittle.cli.app import app
from brittle.cli.arguments import Workers
from brittle.cli.gate import end_by, judged
from brittle.errors import BrittleError
from brittle.places import place_of

_SUMMARY = "GITHUB_STEP_SUMMARY"


@app.command()
def check(
    spec: Annotated[Path, typer.Argument(metavar="FILE.toml", help="an audit, with a table [gate]")],
    out: Annotated[
        Path | None,
        typer.Option(parser=place_of, metavar="DIR", help="run directory; default: runs/ and the name of the file"),
    ] = None,
    workers: Workers = 1,
) -> None:
    """Runs the audit of a TOML file, and ends with an exit code where its [gate] does not hold."""
    from brittle.cli.running import run_spec, spec_in
    from brittle.measure import summaries
    from brittle.report.markdown import gate_markdown
    from brittle.studies.audit import AuditSpec

    place = (out or Path("runs") / spec.stem).absolute()
    told = os.environ.get(_SUMMARY)
    summary = Path(told).absolute() if told else None
    asked = spec_in(spec)()
    gate = asked.gate.gate() if isinstance(asked, AuditSpec) and asked.gate is not None else None
    if gate is None or not (gate.strict or gate.least):  # nothing asked is always met
        raise BrittleError(
            f"expected an audit with a table [gate] of strict, [gate.fail_under] or both, got {str(spec)!r}"
        )
    done = run_spec(lambda: asked, place, workers=workers, dry_run=False)
    if done is None:
        return
    judgement = judged(gate, done)
    if summary is not None:
        text = gate_markdown(f"brittle check {spec.name}", summaries(done.manifest, done.records), judgement)
        try:
            with summary.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise BrittleError(f"cannot write ${_SUMMARY}, {str(summary)!r}: {error.strerror}") from None
    end_by(judgement)
