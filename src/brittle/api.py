"""The Python calls that join several rooms."""

from collections.abc import Callable, Sequence
from pathlib import Path

from brittle.attacks import Attack
from brittle.data.examples import Examples
from brittle.models.classifier import Classifier
from brittle.records import Kept, Manifest
from brittle.report import write_report
from brittle.run.engine import Progress, Run, run


def audit(
    classifier: Classifier,
    examples: Examples,
    attacks: Sequence[Attack],
    *,
    out: str | Path,
    seed: int = 0,
    model: str | None = None,
    command: str | None = None,
    shard_size: int | None = None,
    images: Kept = "all",
    on_plan: Callable[[Manifest], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Attacks all examples with all attacks, records every result in ``out`` and writes ``out/report.html``.

    The same call again resumes what was interrupted. Arguments and errors are those of ``brittle.run.engine.run``.
    """
    done = run(
        classifier,
        examples,
        attacks,
        out=out,
        seed=seed,
        model=model,
        command=command,
        shard_size=shard_size,
        images=images,
        on_plan=on_plan,
        on_progress=on_progress,
    )
    write_report(done.directory)
    return done
