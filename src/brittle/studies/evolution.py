"""How a search for few pixels goes on: the probability of the label that is to be left, or reached, by generation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, final

import pandas as pd
from pydantic import Field

from brittle.attacks import FewPixel
from brittle.measure import Curve, Sized, Told, rate
from brittle.measure.attack import mean
from brittle.models.classifier import Classifier
from brittle.records import UNTARGETED, Manifest
from brittle.rng import Rng
from brittle.run.grade import Rules, grade
from brittle.run.sources import Shard
from brittle.studies.goals import CHOICES, drawn_goal
from brittle.studies.per_image import PerImageSpec, register_per_image
from brittle.text import counted

_ALONE = 4  # images of a network whose curves are drawn one by one; of more, their mean is

Target = Literal["untargeted", "least-likely", "next-best", "random"]
assert set(CHOICES) == set(Target.__args__)  # type: ignore[attr-defined]


@final
class EvolutionSpec(PerImageSpec):
    """How the probability of a label falls, or rises, while few pixels evolve.

    pixels: a search for each. The rest as of ``few-pixel``: stop_below, stop_above are where it ends, untargeted and
    targeted.
    """

    study: Literal["evolution"] = "evolution"
    pixels: list[int] = Field(default=[1, 3, 5], min_length=1)
    goals: list[Target] = Field(default=["untargeted"], min_length=1)
    population: int = 100
    generations: int = 50
    levels: int = 256
    stop_below: float | None = 0.1
    stop_above: float | None = 0.5

    def attack(self, pixels: int) -> FewPixel:
        """The search for so many pixels; BrittleError for options that it does not take."""
        return FewPixel(
            eps=pixels,
            population=self.population,
            generations=self.generations,
            levels=self.levels,
            stop_below=self.stop_below,
            stop_above=self.stop_above,
        )


def work(spec: EvolutionSpec, classifier: Classifier, shard: Shard) -> Mapping[str, Sequence[Any]]:
    """A row for each image, goal, number of pixels and generation, 0 being the first; one for images that are wrong."""
    right = shard.prediction == shard.labels
    rows = right.nonzero().squeeze(1)
    ids, images, logits = [shard.ids[row] for row in rows.tolist()], shard.images[rows], shard.logits[rows]
    wrong = [(shard.ids[row], int(shard.labels[row])) for row in (~right).nonzero().squeeze(1).tolist()]
    made: list[tuple[Any, ...]] = [(one, False, UNTARGETED, label, 0, False, 0, 0, 0.0) for one, label in wrong]
    for name in spec.goals if len(rows) else ():
        rng = Rng(spec.seed, tuple(ids))
        goal = drawn_goal(name, shard.labels[rows], logits, rng, reject=classifier.reject)
        for pixels in spec.pixels:
            method = spec.attack(pixels)
            with classifier.settled(images, logits) as rounding:
                wanted = replace(goal, rounding=rounding)  # type: ignore[type-var]
                outcome, curve = method.evolve(classifier, images, wanted, rng=rng)
            met = grade(classifier, images, outcome, wanted, Rules.of(method)).fooled.tolist()
            steps, labels = outcome.steps.tolist(), goal.labels.tolist()
            for row, example in enumerate(ids):
                said = (example, True, name, labels[row], pixels, met[row], steps[row])
                made += [(*said, generation, float(one)) for generation, one in enumerate(curve[:, row])]
    made.sort(key=lambda row: shard.ids.index(row[0]))
    return {name: [row[at] for row in made] for at, name in enumerate(COLUMNS)}


COLUMNS = ("example", "right", "goal", "label", "pixels", "met", "steps", "generation", "probability")
"""label: the one that is to be left, or reached."""
HEADS = ("model", "goal", "pixels", "met rate", "probability at the end", "generations")


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """Curves, of few images one by one and of more their means; and where they end as a table."""
    rows: list[tuple[Any, ...]] = []
    curves = list[Curve]()
    records = records[records["right"]]
    for (model, goal, pixels), mine in records.groupby(["model", "goal", "pixels"], sort=False):
        called = counted(int(str(pixels)), "pixel")
        last = mine[mine["generation"] == mine["generation"].max()]
        met = rate(int(last["met"].sum()), len(last))
        ends = Sized(mean(last["probability"]), ""), Sized(mean(last["steps"]), "steps")
        rows.append((str(model), str(goal), called, met, *ends))
        said = ", ".join([str(model), called, *([] if goal == UNTARGETED else [str(goal)])])
        if len(last) > _ALONE:
            by_generation = mine.groupby("generation")["probability"].mean()
            curves.append(_curve(f"{said}, mean", by_generation))
        else:
            names = {one.name: one.class_names for one in manifest.models}[str(model)]
            for number, (_, image) in enumerate(mine.groupby("example", sort=False), 1):
                of = names[int(image["label"].iloc[0])]
                curves.append(_curve(f"{said}, image {number}: {of}", image.set_index("generation")["probability"]))
    sentence = (
        f"How the probability of the label {'falls' if manifest.settings['goals'] == [UNTARGETED] else 'goes'} while"
        f" few pixels evolve, on {counted(records['example'].nunique(), 'image')}."
    )
    return Told((sentence,), "generation", "probability of the label", tuple(curves), HEADS, tuple(rows))


def _curve(name: str, points: "pd.Series[float]") -> Curve:
    return Curve(name, tuple(map(float, points.index)), tuple(map(float, points)))


register_per_image("evolution", EvolutionSpec, work, tell)
