"""The engine: examples x attacks, a shard at a time, graded and recorded. The same call again resumes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from brittle.attacks import Attack
from brittle.data.examples import Examples
from brittle.errors import BrittleError
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.models.preflight import check_compatible, preflight
from brittle.records import (
    AttackSpec,
    Kept,
    Manifest,
    kept_of,
    read_manifest,
    read_records,
    readable_shard,
    shard_path,
)
from brittle.records.seals import Stamp, is_intact, seal_of, stamp_of
from brittle.rng import Rng
from brittle.run.attack import Found, attack_graded
from brittle.run.grade import to_8bit
from brittle.run.labels import check_class_count, in_classes_of
from brittle.run.longer import longer_ratio
from brittle.run.mended import is_mended
from brittle.run.plan import plan
from brittle.run.storage import check_place, check_same, encoded, opened, write_images, write_records
from brittle.run.table import Clean, table_of
from brittle.types import Images

_PROBE = 64


@final
@dataclass(frozen=True, slots=True)
class Run:
    """A finished run on disk."""

    directory: Path
    manifest: Manifest

    @property
    def records(self) -> pd.DataFrame:
        """One row per example and attack; see ``brittle.records.RECORD`` for the columns."""
        return read_records(self.directory, self.manifest)


@final
@dataclass(frozen=True, slots=True)
class Progress:
    """What has just been finished: ``examples`` rows of one attack, of which ``fooled`` are fooled."""

    attack: str
    examples: int
    fooled: int
    resumed: bool


def run(
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
    """Attacks all examples with all attacks (untargeted) and records what a fresh pass makes of every image.

    out: a new or empty directory, or that of the same run interrupted, which is then resumed: shards that are there
    are kept. seed: of every random draw. model, command: for the manifest, for people. shard_size: examples for one
    file; an interruption loses at most the shards in flight. images: what is kept of the adversarial ones, "all",
    "fooled" (those that are), "8bit" (rounded after they are graded) or "none" (nor the originals). on_plan,
    on_progress: called as work goes on.

    Where examples and classifier both have class names, labels are mapped by name: see ``brittle.run.labels``.

    Raises BrittleError before anything is written: no examples or attacks, images or labels that do not fit the
    classifier, non-finite logits, an output directory that holds something else. Later, for an image that cannot be
    decoded or a full disk: what is finished is kept, and the same call resumes once the fault is mended.
    """
    if isinstance(attacks, (str, bytes)) or not isinstance(attacks, Sequence):
        raise BrittleError(f"expected a list of attacks such as [DeepFool()], got {attacks!r}")
    directory = Path(out)
    if not len(examples):
        raise BrittleError(f"expected at least one example, got none from {examples.source}")
    if shard_size is not None and shard_size < 1:
        raise BrittleError(f"expected a shard size of at least 1, got {shard_size}")
    if seed < 0:
        raise BrittleError(f"expected a seed of at least 0, got {seed}")
    kept = kept_of(images)
    check_place(directory)
    examples = in_classes_of(classifier.class_names, examples)
    wanted = _planned(classifier, examples, attacks, directory, seed, model, command, shard_size, kept)
    resumed = (directory / "manifest.json").exists()
    mended = resumed and is_mended(directory, read_manifest(directory), wanted, examples)
    check_same(directory, wanted, mended=mended)
    with opened(directory, wanted, mended=mended) as manifest:
        if on_plan:
            on_plan(manifest)
        try:
            for shard in range(-(-len(examples) // manifest.shard_size)):
                _run_shard(classifier, examples, attacks, directory, manifest, shard, on_progress)
        except BrittleError as error:
            raise BrittleError(
                f"{error}; what is finished is kept in {str(directory)!r}, and the same command resumes"
            ) from error
    return Run(directory, manifest)


def _planned(
    classifier: Classifier,
    examples: Examples,
    attacks: Sequence[Attack],
    directory: Path,
    seed: int,
    model: str | None,
    command: str | None,
    shard_size: int | None,
    images: Kept,
) -> Manifest:
    """The manifest, after every check that can refuse the run; an existing run keeps its shard size and its flags."""
    resumed = (directory / "manifest.json").exists()
    probe = examples.images(0, _PROBE).to(classifier.device)
    labels = examples.labels
    check_compatible(classifier, probe, labels)
    check_class_count(classifier.class_names, classifier.num_classes, examples)
    channels, height, width = probe.shape[1:]
    return plan(
        classifier,
        examples,
        attacks,
        seed=seed,
        image_shape=(channels, height, width),
        images=images,
        flags=() if resumed else preflight(classifier, probe, None if labels is None else labels[: len(probe)]),
        model=model or classifier.name,
        command=command,
        shard_size=read_manifest(directory).shard_size if resumed and shard_size is None else shard_size,
    )


def _run_shard(
    classifier: Classifier,
    examples: Examples,
    attacks: Sequence[Attack],
    directory: Path,
    manifest: Manifest,
    shard: int,
    on_progress: Callable[[Progress], None] | None,
) -> None:
    start = shard * manifest.shard_size
    stop = min(start + manifest.shard_size, len(examples))
    tables = [_finished(directory, manifest, spec, shard) for spec in manifest.attacks]
    stamp = _confirmed_originals(directory, manifest, shard, tables)
    images = None
    if stamp is None:
        images = examples.images(start, stop).to(classifier.device)
        stamp = _keep_originals(directory, manifest, shard, images)
        # The same data makes the same file; where it does not, what was made of the other is not finished.
        tables = [one if one is not None and seal_of(one.schema).clean == stamp else None for one in tables]
    for spec, table in zip(manifest.attacks, tables, strict=True):
        if table is not None and on_progress:
            on_progress(Progress(spec.label, stop - start, int(pc.sum(table["fooled"]).as_py()), resumed=True))
    if all(table is not None for table in tables):
        return
    images = examples.images(start, stop).to(classifier.device) if images is None else images
    clean = Clean.of(classifier, examples, images, start)
    for spec, method, table in zip(manifest.attacks, attacks, tables, strict=True):
        if table is not None:
            continue
        rng = Rng(manifest.seed, clean.ids)
        found = attack_graded(classifier, images, Untargeted(clean.labels), method, rng, clean.logits)
        # With the records of the first shard, so that an interruption loses or keeps both.
        longer = None if shard else longer_ratio(classifier, method, found, clean.logits, rng, of=manifest.examples)
        adversarial = _keep(directory, manifest, spec, shard, found)
        # The records come last: a shard of images without records is done again.
        write_records(
            shard_path(directory, "records", spec.slug, shard), table_of(spec, clean, found, longer), stamp, adversarial
        )
        if on_progress:
            on_progress(Progress(spec.label, stop - start, int(found.fooled.sum()), resumed=False))


def _finished(directory: Path, manifest: Manifest, spec: AttackSpec, shard: int) -> pa.Table | None:
    """The records of a shard that needs no more work: they are whole, and so are its adversarial images."""
    table = readable_shard(shard_path(directory, "records", spec.slug, shard))
    if table is None or manifest.images == "none":
        return table
    stamp = seal_of(table.schema).adversarial
    return table if stamp and is_intact(shard_path(directory, "images", spec.slug, shard), stamp) else None


def _confirmed_originals(
    directory: Path, manifest: Manifest, shard: int, tables: Sequence[pa.Table | None]
) -> Stamp | None:
    """The stamp of the originals where finished records confirm it and the file, where one is kept, fits it."""
    stamps = {seal_of(table.schema).clean.sha256: seal_of(table.schema).clean for table in tables if table is not None}
    if len(stamps) != 1:
        return None
    (stamp,) = stamps.values()
    kept = manifest.images != "none"
    return None if kept and not is_intact(shard_path(directory, "images", "clean", shard), stamp) else stamp


def _keep_originals(directory: Path, manifest: Manifest, shard: int, images: Images) -> Stamp:
    if manifest.images == "none":
        return stamp_of(encoded(images))
    return write_images(shard_path(directory, "images", "clean", shard), images)


def _keep(directory: Path, manifest: Manifest, spec: AttackSpec, shard: int, found: Found) -> Stamp | None:
    """Stores what the run keeps of the images; they are graded by now."""
    path = shard_path(directory, "images", spec.slug, shard)
    if manifest.images == "none":
        return None
    if manifest.images == "fooled":
        rows = found.fooled.nonzero().squeeze(1)
        return write_images(path, found.images[rows], rows)
    return write_images(path, to_8bit(found.images) if manifest.images == "8bit" else found.images)
