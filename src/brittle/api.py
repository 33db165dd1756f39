"""The Python calls that join several rooms: run, then report."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from brittle import checks
from brittle.attacks import Attack
from brittle.checks import brief
from brittle.crafting.written import write_crafted
from brittle.data.given import as_examples
from brittle.defend import AnyDefence
from brittle.errors import BrittleError
from brittle.loggers import LOGGERS, TENSORBOARD, check_loggers
from brittle.measure import Compared, Side, comparison
from brittle.measure.quantities import quantities
from brittle.models import load_model
from brittle.models.classifier import Classifier, checked_classifier
from brittle.places import is_remote
from brittle.records import UNTARGETED, FlagRecord, Kept, read_manifest, read_records
from brittle.report import write_report
from brittle.report.compared import write_compared
from brittle.report.plain import write_told
from brittle.run import engine
from brittle.run.engine import Run
from brittle.run.executors import Workers
from brittle.run.progress import Bars
from brittle.run.sources import Sources
from brittle.run.spec import Spec
from brittle.run.study import Study, Watch
from brittle.studies import STUDIES, spec_of
from brittle.studies.audit import Audit
from brittle.studies.craft import Crafting
from brittle.studies.fit import Fitting
from brittle.studies.guarded import behind
from brittle.studies.levels import attacks_of
from brittle.studies.opening import device_of
from brittle.studies.photographs import Photograph, given_photographs
from brittle.studies.transfer import Sizes, sizes_from
from brittle.studies.ways import ways_from
from brittle.studies.wishes import wishes_from


def audit(
    classifier: Classifier | Mapping[str, Classifier],
    examples: Any,
    attacks: Sequence[Attack] | None = None,
    *,
    out: str | Path,
    goals: Sequence[str] = (UNTARGETED,),
    seed: int = 0,
    images: Kept = "all",
    levels: int | None = None,
    transfer: bool | Sequence[str] = False,
    trained_on: Mapping[str, str] | None = None,
    defences: Sequence[AnyDefence] = (),
    defence_data: Any = None,
    shard_size: int | None = None,
    workers: Workers = 1,
    watch: Watch | None = None,
    progress: bool = False,
) -> Run:
    """Attacks all examples with all attacks, records every result in ``out`` and writes ``out/report.html``.

    The same call again resumes what was interrupted. classifier: one, or several by name. examples: ``Examples``,
    ``(images, labels)``, or a Dataset or DataLoader of (image, label): see ``brittle.data.given``. attacks: by default
    ``brittle.level("standard", ...)`` in L-infinity and L2, with the budgets that are customary for such images.
    goals: "untargeted", "least-likely", "next-best", "random", or a class. seed: of every random draw. images: what is
    kept of the adversarial ones, "all", "fooled" (those that are), "8bit" (rounded after they are graded) or "none"
    (nor the originals). levels: 256, where every attack shall end on what a file of 8 bits can hold, and be graded by
    that. transfer: what is made for each model is graded on every other too; ``True``, or sizes that it is also scaled
    to, such as ``["linf=8/255"]``. trained_on: what the training images of a model are called. defences: what each is
    put behind, in this order, and judged beside itself without; see ``brittle.defend``. defence_data: clean images, in
    the same forms as examples, for those that are fitted on some. shard_size: examples of one file. workers: processes
    to share the work among, or ``"ray"`` or ``"ray:ADDRESS"``, a Ray cluster; the records do not depend on it.
    progress: shown on stderr, as bars on a terminal and elsewhere a line every half minute. watch: is told instead; by
    default Python's logger ``brittle`` is.

    Where examples and classifier both have class names, labels are mapped by name: see ``brittle.run.labels``. Raises
    BrittleError as ``brittle.run.engine.run`` does, before anything is written for no examples or attacks, images or
    labels that do not fit the classifier, and non-finite logits.
    """
    if not isinstance(classifier, Mapping):
        checked_classifier(classifier)
    by_name = classifier if isinstance(classifier, Mapping) else {classifier.name: classifier}
    beside, guards = behind(by_name, defences, seed, None if defence_data is None else as_examples(defence_data))
    sources = Sources.made_of(beside, dict.fromkeys(beside, as_examples(examples)))
    if attacks is None:
        attacks = attacks_of(shape=sources.image_shape, defended=bool(guards))
    sizes: Sizes | None = {} if guards else None
    if transfer is not False:
        sizes = sizes_from([] if transfer is True else transfer, sources.image_shape)
    study = Audit(sources, attacks, goals, seed, images, levels, shard_size, sizes, trained_on or {}, guards)
    return reported(study, out, None, workers, _watching(watch, progress))


def fit(
    classifier: Classifier,
    attack: Any,
    examples: Any,
    *,
    out: str | Path,
    unseen: Any = None,
    seed: int = 0,
    workers: Workers = 1,
    watch: Watch | None = None,
    progress: bool = False,
) -> Run:
    """Fits one perturbation to the examples, and grades it on them and on ``unseen`` ones, beside chance.

    attack: one that fits, such as ``UniversalSGD()``. unseen: other examples; by default every second one of
    ``examples`` is held out. ``out`` gets the perturbation, its picture, and a record for each example.
    """
    others = None if unseen is None else as_examples(unseen)
    study = Fitting.of(classifier, attack, as_examples(examples), others, seed=seed)
    return reported(study, out, None, workers, _watching(watch, progress))


def craft(
    classifier: Classifier | str,
    photographs: Any,
    *,
    out: str | Path,
    target: str | int | Sequence[str | int] = UNTARGETED,
    attack: Attack | str | Sequence[Attack | str] = "craft",
    confidence: float = 0.99,
    weights: str | Path | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    seed: int = 0,
    device: str = "auto",
    workers: Workers = 1,
    progress: bool = False,
    watch: Watch | None = None,
) -> Run:
    """Noise that nobody sees, which makes a network take photographs for what is wished; ``read_crafted`` has them.

    classifier: one, or a model spec as on the command line, to which weights, mean, std and device belong. photographs:
    one or several, as paths, Pillow images, tensors ``[C, H, W]`` or arrays ``[H, W, C]`` of 8-bit values or floats in
    [0, 1]; they go through the classifier's own ``fit``. target: one or several of a class name or index,
    "least-likely", "next-best", "random" and "untargeted". attack: one or several, as attacks or as text; all that can
    aim at a confidence do so at this one. ``out`` gets the pictures, numbers and records, and of several results a
    page, ``out/index.html``. The same call again resumes what was interrupted.

    Raises BrittleError before anything is written for whatever cannot be read, loaded or wished for.
    """
    files = given_photographs(photographs)
    wishes = wishes_from(target)
    ways = ways_from(attack if isinstance(attack, list | tuple) else [attack], confidence)
    given = {"weights": weights, "mean": mean, "std": std}
    if isinstance(classifier, str):
        loaded = load_model(classifier, **given, device=device_of(device))  # type: ignore[arg-type]
    else:
        loaded = checked_classifier(classifier)
        if beside := [name for name, value in given.items() if value is not None]:
            raise BrittleError(f"expected {' and '.join(beside)} with a model spec only; a classifier has its own")
    taken = [Photograph.of(one, loaded) for one in files]
    name = classifier if isinstance(classifier, str) else loaded.name
    study = Crafting(loaded, loaded.fit, taken, wishes, ways, confidence=confidence, seed=seed, model=name)
    return reported(study, out, None, workers, _watching(watch, progress))


def run_spec(
    spec: Spec | Mapping[str, Any],
    *,
    out: str | Path,
    command: str | None = None,
    workers: Workers = 1,
    watch: Watch | None = None,
    progress: bool = False,
) -> Run:
    """Runs a spec of any study, as a TOML file says it, and reports it. Relative paths start from where one stands."""
    if not isinstance(spec, Mapping | Spec):
        raise BrittleError(
            f"expected a spec, or what a TOML file says of one as a dict, got {brief(spec)}; a file is run by `brittle"
            " run FILE.toml`"
        )
    asked = spec_of(spec, "spec") if isinstance(spec, Mapping) else spec
    return reported(asked.open(), out, command, workers, _watching(watch, progress))


def write_page(directory: str | Path, *, on_flag: Callable[[FlagRecord], None] | None = None) -> Path | None:
    """Writes the page of a run directory again, of any study, from that directory alone; None where it has none.

    on_flag: is told what only shows now: that images on the disk are damaged.
    """
    place = checks.place("a run directory", directory)
    manifest = read_manifest(place)
    if manifest.study == "audit":
        return write_report(place, on_flag=on_flag)
    if manifest.study == "craft":
        return write_crafted(place)
    tell = STUDIES[manifest.study].tell
    return None if tell is None else write_told(place, manifest, tell(manifest, read_records(place, manifest)))


def log_run(directory: str | Path, loggers: Sequence[str]) -> None:
    """Tells loggers the quantities of a run of any study, as claims name them, where its number of images is the step.

    loggers: ``"tensorboard"``, whose files go to ``tensorboard`` in the run directory, in place of older ones; and
    ``"mlflow"``, of which a run is the same when it is told again. Raises BrittleError for a run on another machine.
    """
    place = checks.place("a run directory", directory)
    check_loggers(loggers)
    manifest = read_manifest(place)
    if is_remote(place):
        raise BrittleError(f"expected a run on this machine to log, got {str(place)!r}; copy it here first")
    records, tell = read_records(place, manifest), STUDIES[manifest.study].tell
    known = quantities(manifest, records, None if tell is None else tell(manifest, records)).known
    numbers = {name: one.value for name, one in known.items() if one.value is not None}
    for older in (place / TENSORBOARD).glob("events*") if TENSORBOARD in loggers else ():
        older.unlink()
    for name in loggers:
        logger = LOGGERS[name](place.resolve().name, place)
        logger.tell(manifest.examples, numbers)
        logger.close()


def compare(*directories: str | Path, out: str | Path | None = None) -> Compared:
    """The first of some audits against each of the others, example by example; see ``brittle.measure.comparison``.

    directories: two or more, named by their last parts where these differ. out: an HTML file to write the same to.
    Raises BrittleError for what is no audit, or cannot be paired.
    """
    places = [checks.place("a run directory", directory) for directory in directories]
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
    told = Compared(comparison(sides[0], other) for other in sides[1:])
    if out is not None:
        write_compared(Path(out), sides, told)
    return told


def _watching(watch: Watch | None, progress: bool) -> Watch | None:
    if progress and watch is not None:
        raise BrittleError("expected progress=True or watch=..., got both; a Watch of your own shows what it likes")
    return Bars() if progress else watch


def reported(study: Study, out: str | Path, command: str | None, workers: Workers, watch: Watch | None) -> Run:
    """Runs a study, and writes its page."""
    checks.place("out", out)
    if watch is not None and not hasattr(watch, "planned"):
        raise BrittleError(f"expected a watch with planned, done and lost, got {brief(watch)}")
    with watch if isinstance(watch, Bars) else nullcontext():
        done = engine.run(study, out=out, command=command, workers=workers, watch=watch)
    write_page(done.directory)
    return done
