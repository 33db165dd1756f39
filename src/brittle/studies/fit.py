"""Fitting as a study: one perturbation for many images, and what it does to them, to others, and beside chance."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from brittle.attacks import AddPerturbation
from brittle.attacks.universal.pool import OnStep
from brittle.catalog import FITTERS
from brittle.checks import whole
from brittle.data import load_data
from brittle.data.examples import Examples
from brittle.data.perturbation import Perturbation, content_of, perturbation_in
from brittle.errors import BrittleError
from brittle.geometry.box import clip
from brittle.goals import Untargeted
from brittle.measure import Told, rate
from brittle.measure.quantities import new_of
from brittle.models.classifier import Classifier, checked_classifier
from brittle.records import FITTED, Manifest
from brittle.run.attack import check_access
from brittle.run.grade import Rules, grade, looked_at
from brittle.run.plan import about, attack_specs
from brittle.run.sources import Sources
from brittle.run.spec import ModelSpec, Spec
from brittle.run.study import Done, Files, Unit
from brittle.studies.opening import opened_models, the_only
from brittle.studies.perturbations import FILE, PICTURE, drawn, picked, random_like
from brittle.studies.registry import register_study
from brittle.text import counted

FIT, FITTED_TO, UNSEEN = "fit", "fitted", "unseen"


@final
class FitSpec(Spec):
    """What a fit is asked to do.

    attack: one that fits, as on the command line. test_data: unseen examples, test_limit of
    them; by default every second one of the data is held out."""

    study: Literal["fit"] = "fit"
    models: list[ModelSpec]
    data: str
    limit: int | None = None
    test_data: str | None = None
    test_limit: int | None = None
    attack: str
    seed: int = 0
    batch_size: int | None = None
    device: str = "auto"

    def open(self) -> "Fitting":
        """The study, with its model and data loaded."""
        attack = FITTERS.one(self.attack)
        if len(self.models) != 1:
            raise BrittleError(f"expected one model to fit to, got {len(self.models)}")
        name, loaded = the_only(opened_models(self.models, self.device, self.batch_size, self.seed))
        examples = load_data(self.data, limit=self.limit, fit=loaded.fit)
        if self.test_data is None and self.test_limit is not None:
            raise BrittleError(f"expected test_limit with test_data only, got {self.test_limit}")
        unseen = None if self.test_data is None else load_data(self.test_data, limit=self.test_limit, fit=loaded.fit)
        return Fitting.of(
            loaded,
            attack,
            examples,
            unseen,
            seed=self.seed,
            model=name,
            spec=self.toml(),
        )


class Place(NamedTuple):
    """Where a unit stands: the part of the data, and the shard of it."""

    part: str
    shard: int


@final
@dataclass(frozen=True)
class Fitting:
    """Fits a perturbation to some examples, and grades it on them and on others.

    Beside what it does is what a random perturbation of the same size in the same norm does (in L-infinity random
    signs, otherwise normal draws). on_step: told how far the fit is, in this process only.
    """

    attack: Any
    parts: Mapping[str, Sources]
    held_out: bool
    seed: int = 0
    spec: dict[str, Any] | None = None
    on_step: OnStep | None = field(default=None, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return Fitting, (self.attack, self.parts, self.held_out, self.seed, self.spec)

    @staticmethod
    def of(
        classifier: Classifier,
        attack: Any,
        examples: Examples,
        unseen: Examples | None = None,
        *,
        seed: int = 0,
        model: str | None = None,
        spec: dict[str, Any] | None = None,
    ) -> "Fitting":
        """With every second example held out where there are no unseen ones."""
        checked_classifier(classifier)
        FITTERS.entry_of(attack)  # or it is refused
        held_out = unseen is None
        if unseen is None:
            if len(examples) < 2:
                raise BrittleError(
                    f"expected at least 2 examples, to fit to one half and try the other, got {len(examples)}"
                )
            examples, unseen = (picked(examples, range(start, len(examples), 2)) for start in (0, 1))
        name = model or classifier.name
        parts = {
            part: Sources.made_of({name: classifier}, {name: data})
            for part, data in ((FITTED_TO, examples), (UNSEEN, unseen))
        }
        return Fitting(attack, parts, held_out, whole("seed", seed, least=0), spec)

    @property
    def name(self) -> str:
        return "fit"

    @property
    def model(self) -> str:
        return next(iter(self.parts[FITTED_TO].of))

    @property
    def classifier(self) -> Classifier:
        return self.parts[FITTED_TO].first.classifier

    def plan(self, stored: Manifest | None, command: str | None) -> Manifest:
        """The manifest; BrittleError for data that do not fit the classifier, Unsupported for an attack that asks for
        more than it gives."""
        check_access(self.attack, self.classifier)
        facts, other = self.parts[FITTED_TO].facts(stored, None), self.parts[UNSEEN].facts(stored, None)
        (model,), (unseen,) = facts.pop("models"), other["models"]
        both = hashlib.sha256(f"{model.data_fingerprint}\0{unseen.data_fingerprint}".encode()).hexdigest()
        return Manifest(
            study=self.name,
            spec=self.spec,
            seed=self.seed,
            models=[model.model_copy(update={"data_fingerprint": both})],
            attacks=attack_specs([self.attack]),
            settings={
                "fitted": facts["examples"],  # more of them would be another fit
                "unseen": other["examples"],
                "held_out": self.held_out,
                "unseen_data": other["data"],
            },
            **facts,
            **about(command),
        )

    def units(self, manifest: Manifest) -> Sequence[Unit]:
        """The fit, and then each part of the data, shard by shard."""
        size = manifest.shard_size
        first = Unit(key=FIT, group=manifest.attacks[0].label, start=0, stop=manifest.examples, at=Place(FIT, 0))
        counts = {FITTED_TO: manifest.examples, UNSEEN: manifest.settings["unseen"]}
        return [
            first,
            *(
                Unit(
                    key=f"{part}/{number:05d}",
                    group=f"graded, {part}",
                    start=start,
                    stop=min(start + size, count),
                    at=Place(part, number),
                    stage=1,
                )
                for part, count in counts.items()
                for number, start in enumerate(range(0, count, size))
            ),
        ]

    def given(self, unit: Unit) -> str:
        return self.parts[FITTED_TO if unit.at.part == FIT else unit.at.part].given(self.model, unit)

    def shared(self, unit: Unit, manifest: Manifest) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def do(self, unit: Unit, manifest: Manifest, files: Files) -> Done:
        """The perturbation and its picture; or what it does to some examples, by the grader."""
        if unit.at.part == FIT:
            return Done(FITTED.empty_table(), self._fitted(unit))
        perturbation = perturbation_in(files.read(FILE), FILE)
        shard = self.parts[unit.at.part].shard(self.model, unit, manifest)
        values = perturbation.values.unsqueeze(0).to(shard.images.device)
        goal, rules = Untargeted(shard.labels, self.classifier.reject), Rules.of(AddPerturbation(file=perturbation))
        fooled, by_chance = (
            grade(self.classifier, shard.images, looked_at(clip(shard.images + one)), goal, rules)
            for one in (values, random_like(values, perturbation, self.seed))
        )
        right = shard.prediction == shard.labels
        rows = len(shard.ids)
        columns = {
            "model": [self.model] * rows,
            "attack": [manifest.attacks[0].label] * rows,
            "part": [unit.at.part] * rows,
            "example": list(shard.ids),
            "position": list(range(shard.start, shard.start + rows)),
            "label": shard.labels.tolist(),
            "reject": [self.classifier.reject] * rows,
            "clean_prediction": shard.prediction.tolist(),
            "adversarial_prediction": fooled.prediction.tolist(),
            "fooled": (right & fooled.fooled).tolist(),
            "fooled_by_chance": (right & by_chance.fooled).tolist(),
            "flags": [["non-finite-logits"] if bad else [] for bad in fooled.non_finite.tolist()],
        }
        return Done(pa.table(columns, schema=FITTED), {})

    def joined(self, unit: Unit, parts: Sequence[tuple[Unit, Done]]) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def count(self, table: pa.Table) -> int:
        """Examples fooled."""
        return int(pc.sum(table["fooled"]).as_py() or 0)

    def _fitted(self, unit: Unit) -> dict[str, bytes]:
        source = self.parts[FITTED_TO].first
        examples = source.examples
        if len(unit) < len(examples):
            examples = picked(examples, range(unit.start, unit.stop))
        made: Perturbation = self.attack.fit(source.classifier, examples, seed=self.seed, on_step=self.on_step)
        return {FILE: content_of(made), PICTURE: drawn(made.values)[0]}


def tell(manifest: Manifest, records: pd.DataFrame) -> Told:
    """How many of the images are fooled, of those fitted to and of others, and how many by chance."""
    label = manifest.attacks[0].label
    columns = {"fooled": label, "fooled_by_chance": "random, of the same size"}
    parts = {FITTED_TO: "fooled among those fitted to", UNSEEN: "fooled in the test data"}
    if manifest.settings["held_out"]:
        parts[UNSEEN] = "fooled in the unseen half"
    right = records[records["clean_prediction"] == records["label"]]
    rates = {
        name: [rate(int(mine[column].sum()), len(mine)) for mine in (right[right["part"] == part] for part in parts)]
        for column, name in columns.items()
    }
    unseen = new_of(manifest, right)
    fooled = int(unseen["fooled"].sum())
    return Told(
        (
            f"{label} fools {fooled:,} of {counted(len(unseen), 'image')} that it was not fitted to and that"
            f" {manifest.models[0].name} gets right.",
        ),
        heads=("perturbation", *parts.values()),
        rows=tuple((name, *each) for name, each in rates.items()),
        pictures=(("the perturbation around mid-grey", PICTURE),),
    )


register_study("fit", FitSpec, tell)
