"""One unit of a transfer: what was made for a source, graded on a target, beside noise of the same size."""

from functools import partial

import pyarrow as pa
import torch
from safetensors.torch import load
from torch import Tensor

from brittle.attacks import Attack
from brittle.crafting.view import resized
from brittle.data.fit import Fit
from brittle.geometry.norms import norm_named
from brittle.geometry.scaling import scaled_to
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.classifier import Classifier
from brittle.models.front import Front, Fronted
from brittle.records import TRANSFERRED, AttackSpec, Manifest, View, image_file, pixels_of, shard_key
from brittle.rng import Rng
from brittle.run.grade import Rules, grade, looked_at
from brittle.run.sources import Shard, Sources
from brittle.run.study import Files, Unit
from brittle.studies.control import noise_like
from brittle.studies.goals import goal_of
from brittle.studies.transfer import Crossing, sizes_of
from brittle.types import Images, Labels

_BOX = Rules(box=True, budget=None)


def crossed(unit: Unit, manifest: Manifest, sources: Sources, method: Attack, files: Files) -> pa.Table:
    """The records of a unit, or of a part of it: for each image the change as it is, and then in each size.

    The target sees the source's own images, resized where it takes another size, before the change and after it.
    """
    at: Crossing = unit.at
    view = next(one for one in manifest.views() if (one.model, one.goal) == (at.source, at.goal))
    spec = next(one for one in view.attacks if one.label == at.attack)
    shard = sources.shard(at.source, unit, manifest)
    target = resizing(sources.of[at.target].classifier, view.image_shape, _shape_of(manifest, at.target))
    originals = shard.images.to(target.device)
    adversarial = _stored(files, view, spec, unit, manifest).to(target.device)
    clean = target.logits(originals, plain=True).argmax(1)
    labels = shard.labels.to(target.device) if manifest.labelled else clean
    goal = _goal(manifest, view, shard, labels, target)
    norm = norm_named(spec.norm)
    rng = Rng(manifest.seed, shard.ids).another("transfer")
    graded = []
    for size in sizes_of(manifest, spec):
        change, reached = adversarial, torch.ones_like(labels, dtype=torch.bool)
        sizes = norm.measure(adversarial - originals)
        if size is not None:
            change, reached = scaled_to(originals, adversarial - originals, size, norm)
            sizes = torch.full_like(sizes, size)
        noisy, as_large = noise_like(originals, sizes, norm, rng)
        of_change = grade(target, originals, looked_at(change), goal, Rules.of(method) if size is None else _BOX)
        of_noise = grade(target, originals, looked_at(noisy), goal, _BOX)
        graded.append(
            {
                "size": torch.full_like(sizes, torch.nan if size is None else size, dtype=torch.float64),
                "reached": reached if size is None else reached & as_large,
                "distance": norm.measure(change - originals).double(),
                "prediction": of_change.prediction,
                "fooled": of_change.fooled,
                "noise_distance": norm.measure(noisy - originals).double(),
                "noise_prediction": of_noise.prediction,
                "noise_fooled": of_noise.fooled,
            }
        )
    return _table(at, spec, shard, graded, label=labels, clean_prediction=clean, goal=goal)


def resizing(classifier: Classifier, given: tuple[int, int, int], taken: tuple[int, int, int]) -> Classifier:
    """A classifier for images ``[C, H, W]`` of the size that is given: itself, or behind a front that resizes them."""
    if given == taken:
        return classifier
    _, height, width = taken
    fit = Fit(channels=taken[0], height=height, width=width, resize=(height, width))
    return Fronted(classifier, Front(partial(resized, fit=fit)))


def _shape_of(manifest: Manifest, name: str) -> tuple[int, int, int]:
    return next(model.image_shape for model in manifest.models if model.name == name)


def _stored(files: Files, view: View, spec: AttackSpec, unit: Unit, manifest: Manifest) -> Images:
    """What the audit keeps of a source's images: those of the unit."""
    images = load(files.read(image_file(shard_key(view.slug(spec), unit.at.shard))))["images"]
    first = unit.at.shard * manifest.shard_size
    return pixels_of(images[unit.start - first : unit.stop - first])


def _goal(manifest: Manifest, view: View, shard: Shard, labels: Labels, target: Classifier) -> Goal:
    """The source's goal, for the target: the same class to reach, or its own class to leave."""
    made = goal_of(view.goal, view.record, shard.labels, shard.logits, Rng(manifest.seed, shard.ids))
    if isinstance(made, Targeted):
        return Targeted(made.labels.to(target.device))
    return Untargeted(labels, target.reject)


def _table(
    at: Crossing, spec: AttackSpec, shard: Shard, graded: list[dict[str, Tensor]], *, goal: Goal, **of_images: Tensor
) -> pa.Table:
    """Image by image, and for each what was graded."""
    times, rows = len(graded), len(shard.ids)
    every: dict[str, Tensor] = {key: torch.stack([one[key] for one in graded], 1).flatten() for key in graded[0]}
    each = {
        "example": list(shard.ids),
        "position": list(range(shard.start, shard.start + rows)),
        "wanted": goal.labels.tolist() if isinstance(goal, Targeted) else [None] * rows,
        "reject": [goal.reject if isinstance(goal, Untargeted) else None] * rows,
        **{key: values.tolist() for key, values in of_images.items()},
    }
    same = {"source": at.source, "target": at.target, "attack": spec.label, "goal": at.goal, "norm": spec.norm}
    columns = {
        **{key: [value] * (times * rows) for key, value in same.items()},
        **{key: [value for value in values for _ in range(times)] for key, values in each.items()},
        **{key: values.cpu().numpy() for key, values in every.items()},
    }
    arrays = [pa.array(columns[field.name], type=field.type, from_pandas=True) for field in TRANSFERRED]
    return pa.Table.from_arrays(arrays, schema=TRANSFERRED)
