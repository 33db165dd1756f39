"""The audit: every attack on every example of every model for every goal, graded and recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, final

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from brittle.attacks import Attack
from brittle.catalog import attacks_from, label_of
from brittle.errors import BrittleError
from brittle.geometry.levels import to_8bit
from brittle.records import UNTARGETED, AttackSpec, Kept, Manifest, View, image_file, kept_of
from brittle.rng import Rng
from brittle.run.attack import Found, attack_graded, check_access, check_goal, ending_on
from brittle.run.plan import about, attack_specs, grown
from brittle.run.sources import Sources
from brittle.run.spec import ModelSpec, Spec
from brittle.run.store import encoded
from brittle.run.study import Done, Files, Unit
from brittle.studies.goals import check_goals, goal_of, kind_of
from brittle.studies.longer import longer_ratio
from brittle.studies.opening import opened_sources
from brittle.studies.registry import register_study
from brittle.studies.rows import table_of


@final
class AuditSpec(Spec):
    """What an audit is asked to do.

    attacks: as on the command line, sweeps too. goals: "untargeted", "least-likely", "next-best", "random", or a class.
    levels: 256, where every attack shall end on what a file of 8 bits can hold. images: what is kept of the adversarial
    ones, "all", "fooled", "8bit" (rounded after they are graded) or "none".
    """

    study: Literal["audit"] = "audit"
    models: list[ModelSpec]
    data: str
    limit: int | None = None
    attacks: list[str]
    goals: list[str] = Field(default=[UNTARGETED], min_length=1)
    levels: Literal[256] | None = None
    images: str = "all"
    seed: int = 0
    batch_size: int | None = None
    device: str = "auto"

    def open(self) -> "Audit":
        """The study, with its models and data loaded."""
        kept = kept_of(self.images)
        attacks = tuple(one for text in self.attacks for one in attacks_from(text))
        sources = opened_sources(self.models, self.data, self.limit, self.device, self.batch_size)
        return Audit(sources, attacks, tuple(self.goals), self.seed, kept, self.levels, spec=self.toml())


class Place(NamedTuple):
    """Where a unit of an audit stands."""

    model: str
    goal: str
    attack: str
    shard: int


@final
@dataclass(frozen=True, slots=True)
class Audit:
    """The study. shard_size: examples of one unit; an interruption loses at most the units in flight."""

    sources: Sources
    attacks: Sequence[Attack]
    goals: Sequence[str] = (UNTARGETED,)
    seed: int = 0
    images: Kept = "all"
    levels: int | None = None
    shard_size: int | None = None
    spec: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return "audit"

    def plan(self, stored: Manifest | None, command: str | None) -> Manifest:
        """The manifest; BrittleError for no, repeated or unsuited attacks and goals, and data that do not fit."""
        if isinstance(self.attacks, (str, bytes)) or not isinstance(self.attacks, Sequence):
            raise BrittleError(f"expected a list of attacks such as [DeepFool()], got {self.attacks!r}")
        if self.seed < 0:
            raise BrittleError(f"expected a seed of at least 0, got {self.seed}")
        specs = attack_specs(self.attacks)
        for method in self.attacks:
            ending_on(self.levels, method)
            for goal in self.goals:
                check_goal(method, kind_of(goal))
            for source in self.sources.of.values():
                check_access(method, source.classifier)
        facts = self.sources.facts(stored, self.shard_size)
        check_goals(self.goals, facts["models"])
        wanted = Manifest(
            study=self.name,
            spec=self.spec,
            seed=self.seed,
            goals=list(self.goals),
            attacks=specs,
            images=kept_of(self.images),
            levels=self.levels,
            **facts,
            **about(command),
        )
        return wanted if stored is None else grown(stored, wanted)

    def units(self, manifest: Manifest) -> Sequence[Unit]:
        """Shard by shard, so that the attacks of one share what the network says of it."""
        mine = {label_of(attack) for attack in self.attacks}
        alone = len(manifest.models) == len(manifest.goals) == 1
        return [
            Unit(
                key=f"{view.slug(spec)}/{number:05d}",
                group=spec.label if alone else f"{view.name}, {spec.label}",
                start=start,
                stop=stop,
                at=Place(view.model, view.goal, spec.label, number),
            )
            for model in manifest.models
            if model.name in self.sources.of
            for number, start, stop in self.sources.spans(manifest)
            for view in manifest.views()
            if view.record is model and view.goal in self.goals
            for spec in manifest.attacks
            if spec.label in mine
        ]

    def given(self, unit: Unit) -> str:
        return self.sources.given(unit.at.model, unit)

    def shared(self, unit: Unit, manifest: Manifest) -> Mapping[str, bytes]:
        """The originals."""
        if manifest.images == "none":
            return {}
        folder = next(view.originals for view in manifest.views() if view.model == unit.at.model)
        return {image_file(folder, unit.at.shard): self.sources.content(unit.at.model, unit)}

    def do(self, unit: Unit, manifest: Manifest, files: Files) -> Done:
        """One attack on one shard. Images are graded, then stored."""
        place: Place = unit.at
        view = next(one for one in manifest.views() if (one.model, one.goal) == (place.model, place.goal))
        classifier, method = self.sources.of[place.model].classifier, self._attack(place.attack)
        shard = self.sources.shard(place.model, unit)
        rng = Rng(self.seed, shard.ids)
        goal = goal_of(place.goal, view.record, shard.labels, shard.logits, rng)
        found = attack_graded(classifier, shard.images, goal, method, rng, shard.logits)
        # With the records of the first shard, so that an interruption loses or keeps both.
        longer = None
        if not place.shard:
            longer = longer_ratio(classifier, method, found, shard.logits, rng, of=manifest.examples)
        table = table_of(view, _spec(manifest, place.attack), shard, found, longer)
        return Done(table, {**self.shared(unit, manifest), **self._kept(unit, view, manifest, found)})

    def count(self, table: pa.Table) -> int:
        """Examples fooled."""
        return int(pc.sum(table["fooled"]).as_py() or 0)

    def _attack(self, label: str) -> Attack:
        return ending_on(self.levels, next(attack for attack in self.attacks if label_of(attack) == label))

    def _kept(self, unit: Unit, view: View, manifest: Manifest, found: Found) -> dict[str, bytes]:
        name = image_file(view.slug(_spec(manifest, unit.at.attack)), unit.at.shard)
        if manifest.images == "none":
            return {}
        if manifest.images == "fooled":
            rows = found.fooled.nonzero().squeeze(1)
            return {name: encoded(found.images[rows], rows)}
        return {name: encoded(to_8bit(found.images) if manifest.images == "8bit" else found.images)}


def _spec(manifest: Manifest, label: str) -> AttackSpec:
    return next(spec for spec in manifest.attacks if spec.label == label)


register_study("audit", AuditSpec)
