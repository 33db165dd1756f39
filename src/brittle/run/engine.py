"""The engine: examples x attacks, a shard at a time, graded and recorded. The same call again resumes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import torch

from brittle.attacks import Attack
from brittle.data.examples import Examples
from brittle.geometry.norms import L0, L1, L2, LINF
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.models.preflight import check_compatible, preflight
from brittle.rng import Rng
from brittle.run.attack import Found, attack_graded, broken_rules
from brittle.run.labels import check_class_count, in_classes_of
from brittle.run.longer import longer_ratio
from brittle.run.mended import is_mended
from brittle.run.plan import plan
from brittle.run.records import RECORD, AttackSpec, Manifest, read_manifest, read_records, read_shard
from brittle.run.storage import check_place, check_same, opened, shard_path, write_images, write_records
from brittle.types import BrittleError, Images

_PROBE = 64


@final
@dataclass(frozen=True, slots=True)
class Run:
    """A finished run on disk."""

    directory: Path
    manifest: Manifest

    @property
    def records(self) -> pd.DataFrame:
        """One row per example and attack; see ``brittle.run.records.RECORD`` for the columns."""
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
    on_plan: Callable[[Manifest], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Attacks all examples with all attacks (untargeted) and records what a fresh pass makes of every image.

    out: a new or empty directory, or that of the same run interrupted, which is then resumed: shards that are there
    are kept. seed: of every random draw. model, command: for the manifest, for people. shard_size: examples for one
    file; an interruption loses at most the shards in flight. on_plan, on_progress: called as work goes on.

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
    check_place(directory)
    examples = in_classes_of(classifier.class_names, examples)
    wanted = _planned(classifier, examples, attacks, directory, seed, model, command, shard_size)
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
        classes=classifier.num_classes,
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
    specs = list(zip(manifest.attacks, attacks, strict=True))
    done = [_is_done(directory, spec, shard) for spec, _ in specs]
    for (spec, _), is_done in zip(specs, done, strict=True):
        if is_done and on_progress:
            on_progress(Progress(spec.label, stop - start, _fooled_in(directory, spec, shard), resumed=True))
    if all(done):
        return
    images = examples.images(start, stop).to(classifier.device)
    clean = _Clean.of(classifier, examples, images, start)
    clean_path = shard_path(directory, "images", "clean", shard)
    if not clean_path.exists():
        write_images(clean_path, images)
    for (spec, method), is_done in zip(specs, done, strict=True):
        if is_done:
            continue
        rng = Rng(manifest.seed, clean.ids)
        found = attack_graded(classifier, images, Untargeted(clean.labels), method, rng)
        # With the records of the first shard, so that an interruption loses or keeps both.
        longer = None if shard else longer_ratio(classifier, method, found, rng, of=manifest.examples)
        write_images(shard_path(directory, "images", spec.slug, shard), found.images)
        # The records come last: a shard of images without records is done again.
        write_records(shard_path(directory, "records", spec.slug, shard), _table(spec, clean, found, longer))
        if on_progress:
            on_progress(Progress(spec.label, stop - start, int(found.fooled.sum()), resumed=False))


@final
@dataclass(frozen=True, slots=True)
class _Clean:
    """What is known of a shard before any attack."""

    ids: tuple[str, ...]
    start: int
    labels: torch.Tensor
    prediction: torch.Tensor
    confidence: torch.Tensor
    margin: torch.Tensor
    size: torch.Tensor

    @staticmethod
    def of(classifier: Classifier, examples: Examples, images: Images, start: int) -> "_Clean":
        logits = classifier.logits(images, plain=True)
        if not logits.isfinite().all():
            row = int((~logits.isfinite().all(1)).nonzero()[0])
            raise BrittleError(f"the network's logits are not finite on example {examples.ids[start + row]!r}")
        confidence, prediction = logits.softmax(1).max(1)
        labels = prediction if examples.labels is None else examples.labels[start : start + len(images)]
        labels = labels.to(images.device)
        margin = Untargeted(labels).margin(logits)
        ids = examples.ids[start : start + len(images)]
        return _Clean(ids, start, labels, prediction, confidence, margin, L2.measure(images))


def _table(spec: AttackSpec, clean: _Clean, found: Found, longer: list[float | None] | None) -> pa.Table:
    """The records of one attack on one shard."""
    delta = found.images - found.originals
    l2 = L2.measure(delta).double()
    passes = (found.forwards + found.backwards).double()
    share = passes / passes.sum() if passes.sum() > 0 else torch.full_like(passes, 1 / max(1, len(passes)))
    rows = len(clean.ids)
    columns = {
        "attack": [spec.label] * rows,
        "example": list(clean.ids),
        "position": list(range(clean.start, clean.start + rows)),
        "goal": ["untargeted"] * rows,
        "label": clean.labels,
        "target": [None] * rows,
        "clean_prediction": clean.prediction,
        "clean_confidence": clean.confidence,
        "adversarial_prediction": found.prediction,
        "adversarial_confidence": found.confidence,
        "clean_margin": clean.margin,
        "adversarial_margin": found.margin,
        "claimed": found.claimed,
        "fooled": found.fooled,
        "fooled_8bit": found.fooled_8bit,
        "l0": L0.measure(delta).long(),
        "l1": L1.measure(delta).double(),
        "l2": l2,
        "linf": LINF.measure(delta).double(),
        "relative_l2": l2 / clean.size.double().clamp_min(1e-12),
        "longer_ratio": longer or [None] * rows,
        "steps": found.steps,
        "forwards": found.forwards,
        "backwards": found.backwards,
        "seconds": share * found.seconds,
        "flags": _flags(found),
    }
    arrays = [
        pa.array(column.cpu().numpy() if isinstance(column, torch.Tensor) else column, type=field.type)
        for field, column in ((RECORD.field(name), column) for name, column in columns.items())
    ]
    return pa.Table.from_arrays(arrays, schema=RECORD)


def _flags(found: Found) -> list[list[str]]:
    flags: list[list[str]] = [[] for _ in range(len(found.claimed))]
    for code, mask in broken_rules(found).items():
        for row in mask.nonzero().squeeze(1).tolist():
            flags[row].append(code)
    return flags


def _is_done(directory: Path, spec: AttackSpec, shard: int) -> bool:
    files = (("records", spec.slug), ("images", spec.slug), ("images", "clean"))
    return all(shard_path(directory, kind, slug, shard).exists() for kind, slug in files)


def _fooled_in(directory: Path, spec: AttackSpec, shard: int) -> int:
    return int(pc.sum(read_shard(shard_path(directory, "records", spec.slug, shard))["fooled"]).as_py())
