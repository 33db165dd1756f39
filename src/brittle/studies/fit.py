"""Fitting as a study: one perturbation for many images, and what it does to them, to others, and beside chance."""

import dataclasses
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Literal, NamedTuple, final

import pyarrow as pa
import pyarrow.compute as pc
import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from brittle.attacks import AddPerturbation, Outcome
from brittle.attacks.parts.fitting import OnStep
from brittle.catalog import FITTERS
from brittle.data import load_data
from brittle.data.examples import Examples
from brittle.data.perturbation import Perturbation, read_perturbation, write_perturbation
from brittle.errors import BrittleError
from brittle.geometry.box import clip
from brittle.geometry.norms import LINF
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.records import FITTED, Manifest
from brittle.rng import Rng
from brittle.run.attack import check_access
from brittle.run.grade import Rules, grade
from brittle.run.plan import about, attack_specs
from brittle.run.sources import Sources
from brittle.run.spec import ModelSpec, Spec
from brittle.run.study import Done, Files, Unit
from brittle.studies.opening import opened_models
from brittle.studies.registry import register_study

FILE, PICTURE = "perturbation.safetensors", "perturbation.png"
FIT, FITTED_TO, UNSEEN = "fit", "fitted", "unseen"
_SIDE = 256  # pixels of the picture, at least: those of the perturbation are enlarged by a whole number


@final
class FitSpec(Spec):
    """What a fit is asked to do.

    attack: one that fits, as on the command line. test_data: unseen examples; by default
    every second one of the data is held out."""

    study: Literal["fit"] = "fit"
    models: list[ModelSpec]
    data: str
    limit: int | None = None
    test_data: str | None = None
    attack: str
    seed: int = 0
    batch_size: int | None = None
    device: str = "auto"

    def open(self) -> "Fitting":
        """The study, with its model and data loaded."""
        attack = FITTERS.one(self.attack)
        if len(self.models) != 1:
            raise BrittleError(f"expected one model to fit to, got {len(self.models)}")
        ((name, loaded),) = opened_models(self.models, self.device, self.batch_size).items()
        examples = load_data(self.data, limit=self.limit, fit=loaded.fit)
        unseen = None if self.test_data is None else load_data(self.test_data, fit=loaded.fit)
        return Fitting.of(
            loaded,
            attack,
            examples,
            unseen,
            seed=self.seed,
            model=name,
            spec={"study": "fit", **self.toml()},
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
        return Fitting(attack, parts, held_out, seed, spec)

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
            settings={"unseen": other["examples"], "held_out": self.held_out, "unseen_data": other["data"]},
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
        perturbation = opened(files.read(FILE))
        shard = self.parts[unit.at.part].shard(self.model, unit)
        values = perturbation.values.unsqueeze(0).to(shard.images.device)
        goal, rules = Untargeted(shard.labels, self.classifier.reject), Rules.of(AddPerturbation(file=perturbation))
        fooled, by_chance = (
            grade(self.classifier, shard.images, _added(shard.images, one), goal, rules)
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

    def count(self, table: pa.Table) -> int:
        """Examples fooled."""
        return int(pc.sum(table["fooled"]).as_py() or 0)

    def _fitted(self, unit: Unit) -> dict[str, bytes]:
        source = self.parts[FITTED_TO].first
        examples = source.examples
        if len(unit) < len(examples):
            examples = picked(examples, range(unit.start, unit.stop))
        made: Perturbation = self.attack.fit(source.classifier, examples, seed=self.seed, on_step=self.on_step)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / FILE
            write_perturbation(made, path)
            return {FILE: path.read_bytes(), PICTURE: drawn(made.values)[0]}


def picked(examples: Examples, rows: Sequence[int]) -> Examples:
    """Some of the examples, as examples."""
    ids = tuple(examples.ids[row] for row in rows)
    return dataclasses.replace(
        examples,
        ids=ids,
        labels=None if examples.labels is None else examples.labels[list(rows)],
        fingerprint=hashlib.sha256("\0".join([examples.fingerprint, *ids]).encode()).hexdigest(),
        read=lambda positions: examples.read([rows[position] for position in positions]),
    )


def opened(content: bytes) -> Perturbation:
    """The perturbation that a file of this content holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        path.write_bytes(content)
        return read_perturbation(path)


def random_like(values: Tensor, made: Perturbation, seed: int) -> Tensor:
    """Chance: a random perturbation of the same size in the same norm, ``[1, C, H, W]``."""
    draws = Rng(seed, ("perturbation by chance",)).normal("direction", values)
    draws = draws.sign() if made.norm == LINF else draws
    size = float(made.norm.measure(values)[0])
    return made.norm.project(draws * (size / float(made.norm.measure(draws)[0])), size)


def drawn(values: Tensor) -> tuple[bytes, float]:
    """A PNG of a perturbation ``[C, H, W]``, and how many times as strong as it is it is drawn, around mid-grey."""
    largest = float(values.abs().max())
    factor = 0.5 / largest if largest else 1.0
    grey = (0.5 + factor * values).clamp(0, 1).mul(255).round().byte()
    shown = grey if len(grey) in (1, 3) else grey[:1]
    array = shown.permute(1, 2, 0).numpy()
    image = Image.fromarray(array[:, :, 0] if len(shown) == 1 else array)
    times = -(-_SIDE // min(image.size))
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", f"universal perturbation, amplified {factor:.6g} times around mid-grey")
    buffer = BytesIO()
    enlarged = image.resize((times * image.width, times * image.height), Image.Resampling.NEAREST)
    enlarged.save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue(), factor


def _added(images: Tensor, values: Tensor) -> Outcome:
    rows = torch.zeros(len(images), dtype=torch.int64, device=images.device)
    return Outcome(clip(images + values), rows.bool(), rows, rows, rows)


register_study("fit", FitSpec)
