"""The audit: every attack on every example of every model for every goal, graded and recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple, final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, Strict

from brittle.attacks import Attack
from brittle.catalog import attacks_from, guessed_passes, label_of
from brittle.checks import whole
from brittle.errors import BrittleError
from brittle.geometry.levels import to_8bit
from brittle.measure import Gate
from brittle.models.trained import trained_on
from brittle.records import UNTARGETED, AttackSpec, Kept, Manifest, image_file, kept_of, shard_key
from brittle.rng import Rng
from brittle.run.attack import Found, attack_graded, check_access, check_goal, ending_on
from brittle.run.image_shards import encoded, joined_images
from brittle.run.plan import about, attack_specs, grown
from brittle.run.sources import Sources
from brittle.run.spec import Keys, ModelSpec, Spec
from brittle.run.study import Done, Files, Unit
from brittle.studies.certifying import Certifying, certified, certifying_units
from brittle.studies.crossing import crossed
from brittle.studies.goals import check_goals, goal_of, kind_of
from brittle.studies.guarded import Guard, beside_bare, patient, with_clean, with_guards
from brittle.studies.levels import NORMS, STANDARD, attacks_of
from brittle.studies.longer import longer_ratio
from brittle.studies.opening import opened_sources
from brittle.studies.registry import register_study
from brittle.studies.rows import table_of
from brittle.studies.transfer import Sizes, check_transfer, sizes_from, transfer_units
from brittle.types import Precision


@final
class GateSpec(Keys):
    """What ``brittle check`` asks of an audit: no doubt, and measures of all attacks together that are no less."""

    strict: bool = False
    fail_under: dict[str, Annotated[float, Strict()]] = Field(default={})

    def gate(self) -> Gate:
        """Checked; BrittleError for a measure that there is not."""
        return Gate.of(self.strict, self.fail_under)


@final
class AuditSpec(Spec):
    """What an audit is asked to do.

    attacks: as on the command line, sweeps too. level: adds its attacks for each of the norms, with a budget of eps for
    each or with the customary ones; where neither is given it is "standard". goals: "untargeted", "least-likely",
    "next-best", "random", or a class. levels: 256, where every attack shall end on what a file of 8 bits can hold.
    images: what is kept of the adversarial ones, "all", "fooled", "8bit" (rounded after they are graded) or "none".
    transfer: what is made for each model is graded on every other, also scaled to the sizes ``at``, such as
    "linf=8/255", of which an attack takes those in its own norm; by default the customary budgets. What a model of
    ``run:DIR`` was trained on its card says, where nobody else does.
    precision: what budget attacks and searches multiply, as for ``Network``. gate: what ``brittle check`` asks of its
    numbers.
    A model with defences is judged beside itself without them: what is made for each is graded on each, and the attacks
    of a level are joined by some that ask for no gradients.
    """

    study: Literal["audit"] = "audit"
    models: list[ModelSpec]
    data: str
    limit: int | None = None
    attacks: list[str] = Field(default=[])
    level: str | None = None
    norms: list[str] = Field(default=[])
    eps: list[float | str] = Field(default=[])
    goals: list[str] = Field(default=[UNTARGETED], min_length=1)
    levels: Literal[256] | None = None
    images: str = "all"
    transfer: bool = False
    at: list[str] = Field(default=[])
    seed: int = 0
    batch_size: int | None = None
    device: str = "auto"
    precision: Precision = "fp32"
    gate: GateSpec | None = None

    @property
    def announced(self) -> bool:
        return self.level is not None or not self.attacks

    def open(self) -> "Audit":
        """The study, with its models and data loaded."""
        kept = kept_of(self.images)
        attacks = [one for text in self.attacks for one in attacks_from(text)]
        wanted = (self.level or STANDARD) if self.announced else None
        norms = self.norms or list(NORMS)
        if wanted is None and (self.norms or self.eps):
            raise BrittleError("expected norms and eps with a level; an attack has its own: pgd,norm=l2,eps=0.5")
        if wanted is not None:
            attacks_of(wanted, norms, self.eps, shape=(3, 1, 1))  # or it is refused before anything is loaded
        if self.at and not self.transfer:
            raise BrittleError(f"expected sizes such as {self.at[0]} with a transfer only")
        sizes_from(self.at, (3, 1, 1))  # this too
        models, guards = beside_bare(self.models)
        sources = opened_sources(models, self.data, self.limit, self.device, self.batch_size, self.seed, self.precision)
        asked = self
        if wanted is not None:
            shape = sources.image_shape
            attacks = [*attacks_of(wanted, norms, self.eps, shape=shape, defended=bool(guards)), *attacks]
            said = {"attacks": [label_of(one) for one in attacks], "level": None, "norms": [], "eps": []}
            asked = self.model_copy(update=said)  # what a run did is no matter of what a level is one day
        return Audit(
            sources,
            attacks,
            tuple(self.goals),
            self.seed,
            kept,
            self.levels,
            transfer=sizes_from(self.at, sources.image_shape) if self.transfer else {} if guards else None,
            trained_on={one.name or one.model: one.trained_on or trained_on(one.model) for one in self.models},
            guards=with_clean(guards, models, sources),
            spec=asked.toml(),
        )


class Place(NamedTuple):
    """Where a unit of an audit stands."""

    model: str
    goal: str
    attack: str
    shard: int


@final
@dataclass(frozen=True, slots=True)
class Audit:
    """The study. shard_size: examples of one file. transfer: as ``Sizes``; None, where nothing is graded elsewhere.

    trained_on: what the training images of some models are called. guards: of the models that stand behind defences.
    """

    sources: Sources
    attacks: Sequence[Attack]
    goals: Sequence[str] = (UNTARGETED,)
    seed: int = 0
    images: Kept = "all"
    levels: int | None = None
    shard_size: int | None = None
    transfer: Sizes | None = None
    trained_on: Mapping[str, str | None] = field(default_factory=dict)
    guards: Mapping[str, Guard] = field(default_factory=dict)
    spec: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return "audit"

    def plan(self, stored: Manifest | None, command: str | None) -> Manifest:
        """The manifest; BrittleError for no, repeated or unsuited attacks and goals, and data that do not fit."""
        if isinstance(self.attacks, (str, bytes)) or not isinstance(self.attacks, Sequence):
            raise BrittleError(f"expected a list of attacks such as [DeepFool()], got {self.attacks!r}")
        whole("seed", self.seed, least=0)
        specs = attack_specs(self.attacks)
        for method in self.attacks:
            ending_on(self.levels, method)
            for goal in self.goals:
                check_goal(method, kind_of(goal))
            for source in () if self._transfers(stored) else self.sources.of.values():
                check_access(method, source.classifier)
        facts = self.sources.facts(stored, self.shard_size)
        facts["models"] = [
            one.model_copy(update={"trained_on": self.trained_on.get(one.name)}) for one in facts["models"]
        ]
        facts["models"] = with_guards(facts["models"], self.guards, self.sources)
        check_goals(self.goals, facts["models"])
        if self._transfers(stored):
            check_transfer(self.attacks, self.sources, facts["models"], stored, self.images)
        wanted = Manifest(
            study=self.name,
            spec=self.spec,
            seed=self.seed,
            goals=list(self.goals),
            attacks=specs,
            images=kept_of(self.images),
            levels=self.levels,
            transfer=None if self.transfer is None else {norm: list(sizes) for norm, sizes in self.transfer.items()},
            **facts,
            **about(command),
        )
        return wanted if stored is None else grown(stored, wanted)

    def units(self, manifest: Manifest) -> Sequence[Unit]:
        """Shard by shard, so that the attacks of one share what the network says of it; then what is transferred."""
        mine = {label_of(attack): guessed_passes(attack) for attack in self.attacks}
        alone = len(manifest.models) == len(manifest.goals) == 1
        made = [
            Unit(
                key=shard_key(view.slug(spec), number),
                group=spec.label if alone else f"{view.name}, {spec.label}",
                start=start,
                stop=stop,
                at=Place(view.model, view.goal, spec.label, number),
                guess=mine[spec.label] * self.sources.pace(view.model),
            )
            for model in manifest.models
            if model.name in self.sources.of
            for number, start, stop in self.sources.spans(manifest)
            for view in manifest.views()
            if view.record is model and view.goal in self.goals
            for spec in view.attacks
            if spec.label in mine
        ]
        made += certifying_units(manifest, self.sources)
        if manifest.transfer is None:
            return made
        return [*made, *transfer_units(manifest, self.sources, self.attacks, self.goals)]

    def given(self, unit: Unit) -> str:
        return self.sources.given(unit.at.source if unit.stage else unit.at.model, unit)

    def shared(self, unit: Unit, manifest: Manifest) -> Mapping[str, bytes]:
        """The originals of the shard."""
        if manifest.images == "none" or unit.stage or isinstance(unit.at, Certifying):
            return {}
        folder = next(view.originals for view in manifest.views() if view.model == unit.at.model)
        return {image_file(shard_key(folder, unit.at.shard)): self.sources.content(unit.at.model, unit, manifest)}

    def do(self, unit: Unit, manifest: Manifest, files: Files) -> Done:
        """One attack on one shard, or on some of it, images graded, then stored; or what they do to another model."""
        if unit.stage:
            return Done(crossed(unit, manifest, self.sources, self._attack(unit.at.attack), files), {})
        if isinstance(unit.at, Certifying):
            name = unit.at.model
            shard = self.sources.shard(name, unit, manifest)
            return Done(certified(name, self.sources.of[name].classifier, shard), {})
        place: Place = unit.at
        view = next(one for one in manifest.views() if (one.model, one.goal) == (place.model, place.goal))
        classifier, method = self.sources.of[place.model].classifier, self._attack(place.attack)
        shard = self.sources.shard(place.model, unit, manifest)
        rng = Rng(self.seed, shard.ids)
        goal = goal_of(place.goal, view.record, shard.labels, shard.logits, rng)
        found = attack_graded(classifier, shard.images, goal, method, rng, shard.logits)
        guard = self.guards.get(place.model)
        again = None if guard is None else patient(place.model, guard, self.sources, self.seed)
        longer = longer_ratio(classifier, method, found, shard.logits, rng, start=unit.start, patient=again)
        table = table_of(view, _spec(manifest, place.attack), shard, found, longer)
        return Done(table, self._kept(unit, manifest, found))

    def joined(self, unit: Unit, parts: Sequence[tuple[Unit, Done]]) -> Mapping[str, bytes]:
        """The images in one file."""
        images = [(part.start - unit.start, content) for part, done in parts for content in done.files.values()]
        return {image_file(unit.key): joined_images(images)} if images else {}

    def count(self, table: pa.Table) -> int:
        """Examples fooled, by changes as they are."""
        if "size" in table.schema.names:
            table = table.filter(pc.is_null(table["size"]))
        return int(pc.sum(table["fooled"]).as_py() or 0) if "fooled" in table.schema.names else 0

    def _transfers(self, stored: Manifest | None) -> bool:
        return self.transfer is not None or (stored is not None and stored.transfer is not None)

    def _attack(self, label: str) -> Attack:
        return ending_on(self.levels, next(attack for attack in self.attacks if label_of(attack) == label))

    def _kept(self, unit: Unit, manifest: Manifest, found: Found) -> dict[str, bytes]:
        name = image_file(unit.key)
        if manifest.images == "none":
            return {}
        if manifest.images == "fooled":
            rows = found.fooled.nonzero().squeeze(1)
            return {name: encoded(found.images[rows], rows)}
        return {name: encoded(to_8bit(found.images) if manifest.images == "8bit" else found.images)}


def _spec(manifest: Manifest, label: str) -> AttackSpec:
    return next(spec for spec in manifest.attacks if spec.label == label)


register_study("audit", AuditSpec)
