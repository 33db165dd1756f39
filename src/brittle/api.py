"""The Python calls that join several rooms: run, then report."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from brittle.attacks import Attack
from brittle.craft.written import write_crafted
from brittle.data.given import as_examples
from brittle.errors import BrittleError
from brittle.measure import Side, Told, comparison
from brittle.models.classifier import Classifier
from brittle.records import UNTARGETED, FlagRecord, Kept, read_manifest, read_records
from brittle.report import write_report
from brittle.report.compared import write_compared
from brittle.report.plain import write_told
from brittle.run import engine
from brittle.run.engine import Run
from brittle.run.sources import Sources
from brittle.run.spec import Spec
from brittle.run.study import Study, Watch
from brittle.run.workers import Executor
from brittle.studies import STUDIES, spec_of
from brittle.studies.audit import Audit
from brittle.studies.fit import Fitting


def audit(
    classifier: Classifier | Mapping[str, Classifier],
    examples: Any,
    attacks: Sequence[Attack],
    *,
    out: str | Path,
    goals: Sequence[str] = (UNTARGETED,),
    seed: int = 0,
    images: Kept = "all",
    levels: int | None = None,
    shard_size: int | None = None,
    workers: int | Executor = 1,
    watch: Watch | None = None,
) -> Run:
    """Attacks all examples with all attacks, records every result in ``out`` and writes ``out/report.html``.

    The same call again resumes what was interrupted. classifier: one, or several by name. examples: ``Examples``,
    ``(images, labels)``, or a Dataset or DataLoader of (image, label): see ``brittle.data.given``. goals: "untargeted",
    "least-likely", "next-best", "random", or a class. seed: of every random draw. images: what is kept of the
    adversarial ones, "all", "fooled" (those that are), "8bit" (rounded after they are graded) or "none" (nor the
    originals). levels: 256, where every attack shall end on what a file of 8 bits can hold, and be graded by that.
    shard_size: examples for one file; an interruption loses at most the units in flight. workers: processes to share
    the work among; the records do not depend on it.

    Where examples and classifier both have class names, labels are mapped by name: see ``brittle.run.labels``. Raises
    BrittleError as ``brittle.run.engine.run`` does, before anything is written for no examples or attacks, images or
    labels that do not fit the classifier, and non-finite logits.
    """
    by_name = classifier if isinstance(classifier, Mapping) else {classifier.name: classifier}
    sources = Sources.made_of(by_name, dict.fromkeys(by_name, as_examples(examples)))
    study = Audit(sources, attacks, goals, seed, images, levels, shard_size)
    return _reported(study, out, None, workers, watch)


def fit(
    classifier: Classifier,
    attack: Any,
    examples: Any,
    *,
    out: str | Path,
    unseen: Any = None,
    seed: int = 0,
    workers: int | Executor = 1,
    watch: Watch | None = None,
) -> Run:
    """Fits one perturbation to the examples, and grades it on them and on ``unseen`` ones, beside chance.

    attack: one that fits, such as ``UniversalSGD()``. unseen: other examples; by default every second one of
    ``examples`` is held out. ``out`` gets the perturbation, its picture, and a record for each example.
    """
    others = None if unseen is None else as_examples(unseen)
    study = Fitting.of(classifier, attack, as_examples(examples), others, seed=seed)
    return _reported(study, out, None, workers, watch)


def run_spec(
    spec: Spec | Mapping[str, Any],
    *,
    out: str | Path,
    command: str | None = None,
    workers: int | Executor = 1,
    watch: Watch | None = None,
) -> Run:
    """Runs a spec of any study, as a TOML file says it, and reports it. Relative paths start from where one stands."""
    asked = spec_of(spec, "spec") if isinstance(spec, Mapping) else spec
    return _reported(asked.open(), out, command, workers, watch)


def write_page(directory: str | Path, *, on_flag: Callable[[FlagRecord], None] | None = None) -> Path | None:
    """Writes the page of a run directory again, of any study, from that directory alone; None where it has none.

    on_flag: is told what only shows now: that images on the disk are damaged.
    """
    place = Path(directory)
    manifest = read_manifest(place)
    if manifest.study == "audit":
        return write_report(place, on_flag=on_flag)
    if manifest.study == "craft":
        return write_crafted(place)
    tell = STUDIES[manifest.study].tell
    return None if tell is None else write_told(place, manifest, tell(manifest, read_records(place, manifest)))


def compare(*directories: str | Path, out: str | Path | None = None) -> list[Told]:
    """The first of some audits against each of the others, example by example; see ``brittle.measure.comparison``.

    directories: two or more, named by their last parts where these differ. out: an HTML file to write the same to.
    Raises BrittleError for what is no audit, or cannot be paired.
    """
    places = [Path(directory) for directory in directories]
    if len({place.resolve() for place in places}) < max(2, len(places)):
        raise BrittleError(f"expected two or more different runs, got {', '.join(map(repr, map(str, places)))}")
    names = [place.resolve().name for place in places]
    if len(set(names)) < len(names):
        names = [str(place) for place in places]
    sides = []
    for name, place in zip(names, places, strict=True):
        manifest = read_manifest(place)
        if manifest.study != "audit":
            raise BrittleError(f"expected audits to compare, got {str(place)!r}, a {manifest.study} run")
        sides.append(Side(name, manifest, read_records(place, manifest)))
    told = [comparison(sides[0], other) for other in sides[1:]]
    if out is not None:
        write_compared(Path(out), sides, told)
    return told


def _reported(study: Study, out: str | Path, command: str | None, workers: int | Executor, watch: Watch | None) -> Run:
    done = engine.run(study, out=out, command=command, workers=workers, watch=watch)
    write_page(done.directory)
    return done
