"""Transfer in an audit: which changes are graded on which other models, in which sizes, and what is refused."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from brittle.attacks import Attack
from brittle.catalog import label_of
from brittle.catalog.grammar import number_of
from brittle.errors import BrittleError
from brittle.geometry.norms import L0, norm_named
from brittle.records import AttackSpec, Manifest, ModelRecord, shard_key, transfer_slug
from brittle.run.attack import check_access
from brittle.run.sources import Sources
from brittle.run.study import Unit
from brittle.studies.levels import customary
from brittle.types import ACCESSES

Sizes = Mapping[str, Sequence[float]]
"""Sizes to which changes are scaled, by the name of the norm; an attack's are those of its own norm."""


class Crossing(NamedTuple):
    """Where a unit of a transfer stands."""

    source: str
    goal: str
    attack: str
    target: str
    shard: int


def sizes_from(texts: Sequence[str], shape: Sequence[int]) -> dict[str, list[float]]:
    """``["linf=8/255", "l2=0.5", "l2=1"]`` by norm; of none, the customary budgets for images of this shape."""
    sizes: dict[str, list[float]] = {}
    for text in texts or [f"{norm}={customary(norm, shape)}" for norm in ("linf", "l2", "l1")]:
        name, _, typed = text.partition("=")
        try:
            size = number_of(typed)
        except (ValueError, ZeroDivisionError):
            size = math.nan
        if not 0 < size < math.inf:
            raise BrittleError(f"expected the size of a change as NORM=SIZE, such as linf=8/255, got {text!r}")
        norm = norm_named(name)
        if norm == L0:
            raise BrittleError(
                f"expected a size in linf, l2, l1 or lP, as pixels cannot be scaled to be fewer, got {text!r}"
            )
        mine = sizes.setdefault(norm.name, [])
        if size in mine:
            raise BrittleError(f"expected different sizes, got {text!r} twice")
        mine.append(size)
    return sizes


def sizes_of(manifest: Manifest, spec: AttackSpec) -> Sequence[float | None]:
    """The sizes in which the changes of an attack are graded; None is each change's own."""
    return (None, *(manifest.transfer or {}).get(spec.norm, ()))


def check_transfer(
    attacks: Sequence[Attack], sources: Sources, models: Sequence[ModelRecord], stored: Manifest | None, images: str
) -> None:
    """Refuses one model, models of different classes or channels, images that are not kept, and an attack for which no
    model gives enough."""
    if images != "all":
        raise BrittleError(
            "expected images as all for a transfer or a defence, which grade what is kept for other models, got"
            f" {images!r}"
        )
    missing = [one.name for one in stored.models if one.name not in sources.of] if stored else []
    if missing:
        raise BrittleError(
            f"the run that is to grow has the model {missing[0]!r} too; name all, as each is graded on each"
        )
    if len(models) < 2:
        raise BrittleError(f"expected two models or more for a transfer, got {models[0].name} alone")
    most = max((one.classifier for one in sources.of.values()), key=lambda one: ACCESSES.index(one.access))
    for method in attacks:
        check_access(method, most)
    first = models[0]
    for model in models[1:]:
        for what, one, other in (
            ("classes", *_classes(first, model)),
            ("image channels", first.image_shape[0], model.image_shape[0]),
        ):
            if one != other:
                raise BrittleError(
                    f"expected models of as many {what} for a transfer, got {one} of {first.name} and {other} of"
                    f" {model.name}"
                )
        _check_names(sources, first.name, model.name)


def _classes(*models: ModelRecord) -> list[int]:
    """Of each; where they differ, without a last one by which it refuses to answer."""
    counts = [model.probe.classes for model in models]
    if len(set(counts)) == 1:
        return counts
    return [count - (model.reject == count - 1) for model, count in zip(models, counts, strict=True)]


def _check_names(sources: Sources, first: str, second: str) -> None:
    one, other = (_names(sources, name) for name in (first, second))
    for k, (name, named) in enumerate(zip(one, other, strict=False)):
        if name.casefold() != named.casefold():
            raise BrittleError(
                f"expected models of the same classes for a transfer, got class {k} as {name!r} of {first} and"
                f" {named!r} of {second}; give them the same class_names"
            )


def _names(sources: Sources, name: str) -> Sequence[str]:
    """What labels are counted by; empty where nobody says."""
    source = sources.of[name]
    return source.classifier.class_names or source.examples.class_names or ()


def transfer_units(
    manifest: Manifest, sources: Sources, attacks: Sequence[Attack], goals: Sequence[str]
) -> Iterator[Unit]:
    """One for each source, shard, goal, attack and target, so that a source's shard is read once."""
    mine = {label_of(attack) for attack in attacks}
    models = [model for model in manifest.models if model.name in sources.of]
    for source in models:
        for number, start, stop in sources.spans(manifest):
            for view in manifest.views():
                if view.record is not source or view.goal not in goals:
                    continue
                for spec in (one for one in view.attacks if one.label in mine):
                    for target in models:
                        yield Unit(
                            key=shard_key(transfer_slug(view, spec, target), number),
                            group=f"graded on {target.name}",
                            start=start,
                            stop=stop,
                            at=Crossing(source.name, view.goal, spec.label, target.name, number),
                            stage=1,
                            guess=(1 + 2 * len(sizes_of(manifest, spec))) * sources.pace(target.name),
                        )
