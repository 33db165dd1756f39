"""From the run directories of a study to its ledger: nothing is run, and nothing but records and images is read."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar, final

import numpy as np
import pandas as pd

from brittle.catalog.grammar import split
from brittle.data.perturbation import read_perturbation
from brittle.defend import defences_from
from brittle.measure.claims import FACTORS, Judged, found_in, judge
from brittle.measure.convention import from_images
from brittle.measure.defended import defence_quantities
from brittle.measure.ledger import BesideTold, Drawn, Ledger, doubts_of, stopped
from brittle.measure.models import Measured, exactly
from brittle.measure.quantities import Quantities, joined, quantities
from brittle.measure.told import Curve, Told
from brittle.measure.transfer import transfer_errors, undone
from brittle.recipes.arms import told as arms_told
from brittle.recipes.arms import unlike
from brittle.recipes.claims import Posed, posed, published, target_of
from brittle.recipes.facts import facts
from brittle.recipes.format import Asked, Plot, Recipe
from brittle.recipes.steps import Step, steps_of
from brittle.recipes.templates import at_scale, constants, filled
from brittle.records import (
    MANIFEST,
    Manifest,
    pixels_of,
    read_certificates,
    read_manifest,
    read_records,
    read_transfers,
    stored_images,
)
from brittle.studies import STUDIES
from brittle.studies.opening import name_of
from brittle.studies.perturbations import FILE

T = TypeVar("T")


@final
class Seen(NamedTuple):
    """What has been measured by all steps, the accuracy of each network before any attack, beside chance, the curves
    that a step tells, by its name, and how many records of how many the audits have that were stopped."""

    given: Quantities
    accuracies: list[tuple[str, Measured, float]]
    curves: dict[str, list[Curve]]
    stopped: dict[str, tuple[int, int]]


def ledger_of(name: str, recipe: Recipe, asked: Asked, directory: Path) -> Ledger:
    """The ledger of a study in a directory, of whatever of it has been done."""
    steps = steps_of(recipe, asked, out=str(directory))
    seen = _seen(recipe, asked, steps, directory)
    figures = published(recipe)
    judged = [_judged(one, recipe, asked, seen.given, figures) for one in posed(recipe, asked)]
    chance = 1 / recipe.data.classes
    printed = [(key, figure, chance) for key, figure in figures.items() if key.endswith("/clean_accuracy")]
    return Ledger(
        name=name,
        title=recipe.title,
        source=recipe.source,
        scale=asked.scale,
        data=asked.data,
        published_data=recipe.data.published,
        arms=arms_told(recipe, asked),
        judged=tuple(judged),
        doubts=(*stopped(seen.stopped), *doubts_of(judged, seen.accuracies, printed)),
        plots=tuple(_drawn(recipe, asked, seen, figures)),
        besides=tuple(_besides(recipe, asked, seen.given)),
        deviations=tuple((one.what, one.why) for one in recipe.deviations),
        steps=tuple((step.key, step.folder) for step in steps if (directory / step.folder / MANIFEST).exists()),
    )


def _judged(
    one: Posed,
    recipe: Recipe,
    asked: Asked,
    given: Quantities,
    figures: Mapping[str, float],
) -> Judged:
    missing = next((asked.absent[arm] for arm in one.arms if arm in asked.absent), None)
    other = unlike(recipe, asked, one.arms, one.same)
    found = judge(one.claim, given, figures, other=other, absent=missing)
    noise = given.known.get(one.noise) if one.noise else None
    return found if noise is None else found.model_copy(update={"noise": noise})


def _seen(recipe: Recipe, asked: Asked, steps: list[Step], directory: Path) -> Seen:
    parts, accuracies = [facts()], {}
    curves, unfinished = dict[str, list[Curve]](), dict[str, tuple[int, int]]()
    for step in steps:
        place = directory / step.folder
        if not (place / MANIFEST).exists():
            continue
        manifest = read_manifest(place)
        records = read_records(place, manifest)
        every = manifest.examples * sum(len(view.attacks) for view in manifest.views())
        if manifest.study == "audit" and len(records) < every:
            unfinished[step.folder] = len(records), every
        if manifest.study == "audit" and recipe.centre is not None and manifest.images != "none":
            records = with_images(place, manifest, records, recipe.centre)
        tell = STUDIES[manifest.study].tell
        told: Told | None = None if tell is None else tell(manifest, records)
        found = quantities(manifest, records, told)
        if told is not None:
            curves.setdefault(step.key, []).extend(told.curves)
        if manifest.study == "train":
            found = _by_trained(found, step, asked)
        if manifest.study == "fit":
            found = joined([found, passes_of(place, manifest)])
        if manifest.study == "audit":
            found = joined([found, *_elsewhere(place, manifest, records)])
        parts.append(_by_arms(found, asked).below(step.key))
        for model in manifest.models:
            accuracy = found.known.get(f"{model.name}/clean_accuracy")
            if accuracy is not None and manifest.labelled:
                accuracies[model.name] = (model.name, accuracy, 1 / max(len(model.class_names), 1))
    return Seen(joined(parts), list(accuracies.values()), curves, unfinished)


def _elsewhere(place: Path, manifest: Manifest, records: pd.DataFrame) -> Iterator[Quantities]:
    """What an audit's changes do to the other models, and by whom those were made that a model does not withstand."""
    transfers = read_transfers(place, manifest)
    if manifest.transfer is not None:
        yield Quantities(transfer_errors(manifest, transfers) | undone(manifest, records, transfers))
    yield defence_quantities(manifest, records, transfers, read_certificates(place, manifest))


def _by_arms(found: Quantities, asked: Asked) -> Quantities:
    """An arm behind defences is the defended model: what a run calls by both goes by the arm's name alone, and the bare
    one, which an audit puts beside it under that name, by none; as what is made for it, and as what it is graded on."""
    arms = {
        name_of(network.model_copy(update={"name": arm}), each): arm
        for arm, network in asked.arms.items()
        for each in defences_from(network.defences)
    }
    if not arms:
        return found

    def renamed(part: str) -> str:
        target = target_of(part)
        return arms.get(part, part) if target is None else part.replace(target, arms.get(target, target), 1)

    def named(every: Mapping[str, T]) -> dict[str, T]:
        parts = {key: split(key, "/") for key in every}
        kept = {key: mine for key, mine in parts.items() if {mine[0], *map(target_of, mine)}.isdisjoint(arms.values())}
        return {"/".join(map(renamed, mine)): every[key] for key, mine in kept.items()}

    return Quantities(named(found.known), named(found.each))


def _by_trained(found: Quantities, step: Step, asked: Asked) -> Quantities:
    """What a step has trained goes by the names of the arms that are ``run:{dir}/FOLDER`` of it, or a network in it."""
    known: dict[str, Measured] = {}
    (seed,) = step.content["seeds"]
    for arm, network in asked.arms.items():
        place, _, called = network.model.replace("{seed}", str(seed)).partition("#")
        if place == f"run:{{dir}}/{step.folder}":
            for key, one in found.known.items():
                head, _, tail = key.partition("/")
                known |= {f"{arm}/{tail}": one} if called in ("", head) else {}
    return Quantities(known)


def passes_of(place: Path, manifest: Manifest) -> Quantities:
    """``MODEL/passes``: over its images, that a fit has made, as its perturbation says."""
    told = read_perturbation(place / FILE).about.get("passes")
    if told is None:
        return Quantities()
    return Quantities({f"{model.name}/passes": exactly(float(told)) for model in manifest.models})


def with_images(place: Path, manifest: Manifest, records: pd.DataFrame, centre: list[float]) -> pd.DataFrame:
    """Records of an audit with the columns that its stored images give: see ``measure.convention``."""
    parts = []
    for view in manifest.views():
        mine = view.of(records)
        colour = np.resize(np.asarray(centre), view.image_shape[0])
        for spec in view.attacks:
            rows = mine[mine["attack"] == spec.label]
            changed, places = stored_images(place, view.slug(spec), view, list(rows["position"]))
            originals, _ = stored_images(place, view.originals, view, places)
            columns = from_images(pixels_of(originals).numpy(), pixels_of(changed).numpy(), colour)
            parts.append(rows.merge(pd.DataFrame({"position": places, **columns}), on="position", how="left"))
    return pd.concat(parts, ignore_index=True) if parts else records


def _drawn(recipe: Recipe, asked: Asked, seen: Seen, figures: Mapping[str, float]) -> list[Drawn]:
    drawn = []
    for plot in recipe.plots:
        curves = (
            _over(plot, recipe, asked, seen.given, figures) if plot.told is None else seen.curves.get(plot.told, [])
        )
        if curves:
            drawn.append(Drawn(title=plot.title, place=plot.place, x=plot.x, y=plot.y, curves=tuple(curves)))
    return drawn


def _over(plot: Plot, recipe: Recipe, asked: Asked, given: Quantities, figures: Mapping[str, float]) -> list[Curve]:
    """A quantity over its variable, of each network, and the points that the source prints."""
    ((name, values),) = plot.over.items()
    chosen = [float(value) for value in at_scale(values, asked.scale) or []]
    factor, curves = FACTORS[plot.unit], []
    arms = dict.fromkeys((*asked.arms, *recipe.arms)) if "{arm}" in plot.quantity else [""]
    for arm in arms:
        names = [filled(plot.quantity, {"arm": arm, name: value}) for value in chosen]
        mine = {x: given.known[key].value for x, key in zip(chosen, names, strict=True) if key in given.known}
        printed = {x: figures[key] for x, key in zip(chosen, names, strict=True) if key in figures}
        own = recipe.arms[arm].published if arm in recipe.arms else ""
        for label, points in ((arm or "measured", mine), (f"{own or arm}, published".lstrip(", "), printed)):
            known = {x: y / factor for x, y in points.items() if y is not None}
            if known:
                curves.append(Curve(label, tuple(known), tuple(known.values())))
    return curves


def _besides(recipe: Recipe, asked: Asked, given: Quantities) -> list[BesideTold]:
    """Of networks of which nothing is known, nothing."""
    found = []
    for one in recipe.besides:
        fixed = constants(one.over, asked.scale)
        rows = [
            (arm, tuple(found_in(filled(text, {**fixed, "arm": arm}), given) for text in one.columns.values()))
            for arm in asked.arms
        ]
        known = tuple((arm, cells) for arm, cells in rows if any(cell is not None for cell in cells))
        units = tuple(one.units.get(head, "") for head in one.columns)
        if known:
            says = filled(one.says, fixed)
            found.append(BesideTold(title=one.title, says=says, heads=tuple(one.columns), units=units, rows=known))
    return found
