"""What one unit of a training study is: one network, trained, judged, and written with its card."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, final

import pyarrow as pa

from brittle.catalog import label_of
from brittle.checks import whole
from brittle.data.examples import Examples
from brittle.data.limit import chosen
from brittle.errors import BrittleError
from brittle.loggers import check_loggers
from brittle.models.network import Network
from brittle.models.trainable import trainable
from brittle.models.trained import files_of
from brittle.records import TRAINED, Manifest
from brittle.run.labels import in_classes_of
from brittle.run.plan import about
from brittle.run.study import Done, Files, Unit
from brittle.studies.cards import JUDGED, card_of, csv_of, table_of
from brittle.studies.logs import Logs
from brittle.studies.perturbations import picked
from brittle.studies.pictured import pictures_of
from brittle.train.batches import Pixels
from brittle.train.classifier import Setting, train
from brittle.train.frames import Shows
from brittle.train.halves import positions_on
from brittle.train.lightning import fabric_of
from brittle.train.loop import Progress
from brittle.train.recipe import Recipe
from brittle.types import Precision


class Given(NamedTuple):
    """Training and test data, as one architecture wants them."""

    train: Examples
    test: Examples
    classes: tuple[str, ...]


def given_of(train: Examples, test: Examples) -> Given:
    """Data that can be trained on; BrittleError where labels are missing, or the two do not belong together."""
    for examples in (train, test):
        check_labelled(examples)
        if not len(examples):
            raise BrittleError(f"expected at least one example, got none from {examples.source}")
    count = _count(train)
    classes = train.class_names or tuple(str(number) for number in range(count))
    if count > len(classes) or len(classes) < 2:
        raise BrittleError(
            f"expected labels of at least 2 named classes in {train.source}, got {len(classes)} names"
            f" and labels up to {count - 1}"
        )
    test = in_classes_of(train.class_names, test)
    if _count(test) > len(classes):
        raise BrittleError(
            f"expected test images of the {len(classes)} classes of {train.source}, got label {_count(test) - 1} in"
            f" {test.source}"
        )
    return Given(train, test, classes)


def check_labelled(examples: Examples) -> None:
    """BrittleError where nobody says what is right."""
    if examples.labels is None:
        raise BrittleError(f"expected labelled images to train on and judge by, {examples.source} has no labels")


def _count(examples: Examples) -> int:
    return 0 if examples.labels is None else 1 + int(examples.labels.max())


class Place(NamedTuple):
    """Which network a unit is."""

    architecture: str
    on: str
    seed: int


@final
@dataclass(frozen=True)
class Training:
    """Trains a network for each architecture, part of the data and seed; see ``TrainSpec``.

    on_train: told how far a training is, in this process only.
    """

    given_for: Mapping[str, Given]
    recipe: Recipe
    seeds: tuple[int, ...]
    on: tuple[str, ...]
    precision: Precision
    device: str
    devices: int
    log: tuple[str, ...]
    spec: dict[str, Any] | None = None
    on_train: Callable[[Progress], None] | None = field(default=None, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        asked = self.given_for, self.recipe, self.seeds, self.on, self.precision, self.device, self.devices, self.log
        return Training, (*asked, self.spec)

    @staticmethod
    def of(
        given: Mapping[str, Given],
        recipe: Recipe,
        *,
        seeds: Sequence[int] = (0,),
        on: Sequence[str] = ("all",),
        precision: Precision = "fp32",
        device: str = "cpu",
        devices: int = 1,
        log: Sequence[str] = (),
        spec: dict[str, Any] | None = None,
    ) -> "Training":
        """given: by architecture. Raises BrittleError for what repeats, and where Lightning or a logger is missing."""
        for noun, values in (("seeds", seeds), ("parts", on)):
            if len(set(values)) < len(values):
                raise BrittleError(f"expected different {noun}, got {', '.join(map(str, values))}")
        for seed in seeds:
            whole("a seed", seed, least=0)
        for name, one in given.items():
            architecture = trainable(name)
            task = recipe.task(architecture.build(len(one.classes)))  # or it is refused
            if devices > 1 and isinstance(task, Shows):
                raise BrittleError(f"expected one device for a recipe that shows what it makes, got {devices}")
        fabric_of(precision, device, 1)
        check_loggers(log)
        return Training(given, recipe, tuple(seeds), tuple(on), precision, device, devices, tuple(log), spec)

    @property
    def name(self) -> str:
        return "train"

    @property
    def places(self) -> dict[str, Place]:
        """Each network by its key."""
        places = [Place(one, part, seed) for one in self.given_for for part in self.on for seed in self.seeds]
        return {"-".join([p.architecture, *([p.on] if p.on != "all" else []), f"seed-{p.seed}"]): p for p in places}

    def plan(self, stored: Manifest | None, command: str | None) -> Manifest:
        """The manifest: what is trained, on what and how."""
        given = list(self.given_for.values())
        first = given[0]
        return Manifest(
            study=self.name,
            spec=self.spec,
            seed=self.seeds[0],
            models=[],
            data=f"{first.train.source}, judged by {first.test.source}",
            examples=len(first.train),
            shard_size=len(first.train),
            settings={
                "networks": list(self.places),
                "recipe": label_of(self.recipe),
                "precision": self.precision,
                "device": self.device,
                "devices": self.devices,
                "test_images": len(first.test),
                "training_fingerprints": list(dict.fromkeys(one.train.fingerprint for one in given)),
                "test_fingerprints": list(dict.fromkeys(one.test.fingerprint for one in given)),
                **({"pictures": True} if self._shows() else {}),
            },
            **about(command),
        )

    def units(self, manifest: Manifest) -> Sequence[Unit]:
        """A network each; its examples are the images that pass through it."""
        return [
            Unit(key=key, group=key, start=0, stop=self.recipe.epochs * len(self._positions(place)), at=place)
            for key, place in self.places.items()
        ]

    def given(self, unit: Unit) -> str:
        """That of the data: the manifest has it too, so that a training never goes on with others."""
        return self._examples(unit.at).fingerprint

    def shared(self, unit: Unit, manifest: Manifest) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def do(self, unit: Unit, manifest: Manifest, files: Files) -> Done:
        """The network, its card and its curves; of a part of the passes only the time that they take."""
        place: Place = unit.at
        given, setting = self.given_for[place.architecture], self._setting(place)
        build = partial(trainable(place.architecture).build, len(given.classes))
        if len(unit) < self.recipe.epochs * len(setting.pixels):
            train(build, setting.some(len(unit)))
            return Done(TRAINED.empty_table(), {})
        scratch = files.scratch(unit)
        logs = Logs(self.log, unit.key, scratch)
        made = train(build, setting, scratch=scratch, on_step=self.on_train, on_row=logs.tell)
        kept = logs.close()
        net, normalised = build(), setting.normalised
        net.load_state_dict(made.state)
        network = Network(net, mean=normalised.mean, std=normalised.std, class_names=given.classes, device=self.device)
        card = card_of(place.architecture, place.on, network, made, setting, self._examples(place), given.test)
        table = table_of(unit.key, card, made, len(setting.held_out))
        numbers = csv_of(table.drop_columns("seconds").to_pylist())
        files_ = pictures_of(unit.key, made, given.classes) | {f"logs/{unit.key}.csv": numbers, **kept}
        return Done(table, files_ | files_of(unit.key, made.state, card))

    def joined(self, unit: Unit, parts: Sequence[tuple[Unit, Done]]) -> Mapping[str, bytes]:
        """Nothing."""
        return {}

    def count(self, table: pa.Table) -> int:
        """Nothing that adds up."""
        return 0

    def _shows(self) -> bool:
        """Whether its trainings have something to show; the cache knows the others by settings without it."""
        name, given = next(iter(self.given_for.items()))
        return isinstance(self.recipe.task(trainable(name).build(len(given.classes))), Shows)

    def _positions(self, place: Place) -> list[int]:
        labels = self.given_for[place.architecture].train.labels
        return positions_on(place.on, [] if labels is None else labels.tolist())

    def _examples(self, place: Place) -> Examples:
        """What a network is trained on."""
        whole = self.given_for[place.architecture].train
        return whole if place.on == "all" else picked(whole, self._positions(place))

    def _setting(self, place: Place) -> Setting:
        """The same with all images decoded; those of the process's last training are kept, whoever began it."""
        given = self.given_for[place.architecture]
        key = given.train.fingerprint, given.test.fingerprint, *given.classes, place.on
        if key not in _DECODED:
            _DECODED.clear()
            some = chosen(len(given.test), min(JUDGED, len(given.test)))
            _DECODED[key] = Pixels.of(given.train, self._positions(place)), Pixels.of(given.test, some)
        pixels, held_out = _DECODED[key]
        asked = self.recipe, pixels, held_out, place.seed, self.precision, self.device, self.devices
        return Setting(*asked, raw=trainable(place.architecture).raw)


_DECODED: dict[tuple[str, ...], tuple[Pixels, Pixels]] = {}
