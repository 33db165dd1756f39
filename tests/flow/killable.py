"""Small runs of every kind of study that a child process can be killed in, at any of its function calls."""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import lightning_fabric  # noqa: F401 - as the others, not in each child
import pyarrow as pa
import torch
import torch._dynamo  # by the first look at the types of a network's operations
import torch.fx.experimental.symbolic_shapes  # with sympy, by the first gradient: here once, not in each child
from kit import seeded
from torch import nn

import brittle
from brittle.attacks import Attack, UniversalSGD
from brittle.data import Examples, load_data
from brittle.data.fit import Fit
from brittle.defend import Noise, Quantised, defended
from brittle.explain.activation import Fourier, Plain
from brittle.models import Classifier
from brittle.models.digits_cnn import DigitsCNN
from brittle.models.network import Network
from brittle.records import Manifest
from brittle.run import pieces, sources, store
from brittle.run.engine import Run, run
from brittle.run.sources import Sources
from brittle.run.store import Store
from brittle.run.study import Study, Unit
from brittle.run.workers import Local
from brittle.studies.activation import Activating
from brittle.studies.alternate import AlternateSpec
from brittle.studies.amplification import AmplificationSpec
from brittle.studies.audit import Audit
from brittle.studies.boundary import BoundarySpec
from brittle.studies.certify import CertifySpec
from brittle.studies.corruption import CorruptionSpec
from brittle.studies.craft import Crafting
from brittle.studies.density import Likelihoods
from brittle.studies.directions import Directions, DirectionsSpec
from brittle.studies.evolution import EvolutionSpec
from brittle.studies.first_step import FirstStepSpec
from brittle.studies.fit import Fitting
from brittle.studies.generated import GeneratedSpec
from brittle.studies.guarded import behind
from brittle.studies.noise import NoiseSpec
from brittle.studies.per_image import PerImage, PerImageSpec
from brittle.studies.photographs import Photograph
from brittle.studies.rubbish import RubbishSpec
from brittle.studies.shortcut import ShortcutSpec
from brittle.studies.stability import StabilitySpec
from brittle.studies.trainer import Training, given_of
from brittle.studies.ways import Way
from brittle.train import loop
from brittle.train.acgan import Acgan
from brittle.train.densities import PcaGaussian, VariationalBound
from brittle.train.standard import Standard

COUNT = 24
SHARD = 8
ATTACKS: tuple[Attack, ...] = (
    brittle.FGSM(eps=0.1),
    brittle.PGD(eps=0.1, steps=3, random_start=True),
    brittle.DeepFool(max_steps=5),
)


class Stop(Exception):
    pass


def classifier(weights: int = 0, batch_size: int | None = None) -> Network:
    return Network(seeded(DigitsCNN(), weights), class_names=list("0123456789"), batch_size=batch_size)


def examples(count: int = COUNT, data: int = 0) -> Examples:
    generator = torch.Generator().manual_seed(data)
    images = torch.rand(count, 1, 8, 8, generator=generator)
    labels = classifier().logits(images).argmax(1)
    labels[::7] = 3  # a few that the network gets wrong
    return brittle.examples_of(images, labels, ids=[f"example-{k}" for k in range(count)])


def small_audit(
    classifier: Classifier | Mapping[str, Classifier] | None = None,
    examples: Examples | None = None,
    attacks: Any = ATTACKS,
    shard_size: int | None = SHARD,
    **changes: Any,
) -> Audit:
    net = globals()["classifier"]() if classifier is None else classifier
    by_name = net if isinstance(net, Mapping) else {net.name: net}
    data = globals()["examples"]() if examples is None else examples
    return Audit(Sources.made_of(by_name, dict.fromkeys(by_name, data)), attacks, shard_size=shard_size, **changes)


def two_models() -> Audit:
    """Two models, two goals."""
    both = {"one": classifier(), "two": classifier(1)}
    attacks = (brittle.FGSM(eps=0.1), brittle.PGD(eps=0.1, steps=2))
    return small_audit(both, examples(6), attacks, 4, goals=("untargeted", "random"))


def small_transfer() -> Audit:
    """Two models, and what was made for each on both: as it is, and in another size."""
    both = {"one": classifier(), "two": classifier(1)}
    return small_audit(both, examples(6), (brittle.FGSM(eps=0.1), brittle.FMN(steps=3)), 4, transfer={"linf": [0.2]})


def small_defended() -> Audit:
    """A model behind a defence that draws, beside itself without."""
    beside, guards = behind({"one": classifier()}, [Noise(sd=0.1, draws=2)], 0)
    attacks = (brittle.FGSM(eps=0.1), brittle.PGD(eps=0.1, steps=2))
    return small_audit(beside, examples(6), attacks, 4, transfer={}, guards=guards)


def small_craft() -> Crafting:
    """Two photographs, three wishes."""
    pixels = [(256 * one).clamp(0, 255).byte() for one in examples(2).images(0, 2)]
    photographs = [Photograph(f"{k}.png", one, f"{k}" * 64) for k, one in enumerate(pixels)]
    fit = Fit(channels=1, height=8, width=8)
    way = Way("craft", brittle.Craft(steps=12, confidence=0.5))
    wishes = ["least-likely", "random", "untargeted"]
    return Crafting(classifier(), fit, photographs, wishes, [way], confidence=0.5)


def small_fit() -> Fitting:
    return Fitting.of(classifier(), UniversalSGD(eps=0.1, epochs=2), examples())


def small_noise() -> PerImage:
    return per_image(NoiseSpec(models=[], data="", sizes=[0.0, 2.0, 8.0]))


def small_first_step() -> PerImage:
    return per_image(FirstStepSpec(models=[], data=""))


def small_evolution() -> PerImage:
    """Two goals, two numbers of pixels."""
    goals = ["untargeted", "random"]
    few = {"pixels": [1, 2], "population": 5, "generations": 2}
    return per_image(EvolutionSpec(models=[], data="", goals=goals, **few))  # type: ignore[arg-type]


def per_image(spec: PerImageSpec) -> PerImage:
    """A study of four images by two models."""
    by_name = {"one": classifier(), "two": classifier(1)}
    return PerImage(Sources.made_of(by_name, dict.fromkeys(by_name, examples(4))), spec)


def small_generated() -> PerImage:
    """Images that a network judges beside real ones."""
    spec = GeneratedSpec(models=[], data="", real="digits")
    by_name = {"one": classifier(), "two": classifier(1)}
    return PerImage(Sources.made_of(by_name, dict.fromkeys(by_name, examples(4))), spec)


def small_corruption() -> PerImage:
    spec = CorruptionSpec(models=[], data="", corruptions=["shot-noise", "snow", "jpeg"], severities=[1, 4])
    by_name = {"one": classifier(), "two": classifier(1)}
    return PerImage(Sources.made_of(by_name, dict.fromkeys(by_name, examples(4))), spec)


def small_activation() -> Activating:
    """Classes and channels of two networks by two ways, with a judge."""
    by_name = {"one": classifier(), "two": classifier(1)}
    sources = Sources.made_of(by_name, dict.fromkeys(by_name, examples(4)))
    ascents = (Fourier(steps=3), Plain(iterations=2))
    return Activating(sources, {"judge": classifier(2)}, ("class:0-2", "channel:features.3:0-1"), ascents)


def small_alternate() -> PerImage:
    spec = AlternateSpec(models=[], data="", pictures=3)
    by_name = {"one": classifier(), "two": classifier(1)}
    return PerImage(Sources.made_of(by_name, dict.fromkeys(by_name, examples(4))), spec)


def small_shortcut() -> PerImage:
    """A line that neither network was trained on, attacked by few steps."""
    spec = ShortcutSpec(models=[], data="digits", limit=6, attack="fmn,steps=2", pictures=4)
    by_name = {"one": classifier(), "two": classifier(1)}
    data = load_data("planted:line:digits", limit=6)
    return PerImage(Sources.made_of(by_name, dict.fromkeys(by_name, data)), spec)


def small_rubbish() -> PerImage:
    """Noise as it is, and after a step towards a class."""
    return per_image(RubbishSpec(models=[], data="", attacks=["fgsm,eps=0.1", "pgd,eps=1,steps=2"], pictures=3))


def small_boundary() -> PerImage:
    """Two maps of each image."""
    by_name = {"one": classifier(), "two": classifier(1)}
    spec = BoundarySpec(models=[], data="", size=9)
    return PerImage(Sources.made_of(by_name, dict.fromkeys(by_name, examples(3))), spec)


def small_directions() -> Directions:
    """Units and directions of two networks, with pictures."""
    spec = DirectionsSpec(models=[], data="", count=3, top=2, shown=2)
    data = examples()
    return Directions.of({"one": classifier(), "two": classifier(1)}, dict.fromkeys(("one", "two"), data), spec)


def small_density() -> Likelihoods:
    """Two densities, one of which is learnt; two networks, and other data."""
    densities = (PcaGaussian(components=3), VariationalBound(epochs=2, batch=8, hidden=6, code=2, draws=2))
    by_name = {"one": classifier(), "two": classifier(1)}
    made = Sources.made_of(by_name, dict.fromkeys(by_name, examples(4)))
    return Likelihoods(made, labelled(24, data=1), {"more": examples(5, data=2)}, densities, (brittle.FGSM(eps=0.2),))


def small_stability() -> PerImage:
    spec = StabilitySpec(models=[], data="", attacks=["fgsm,eps=0.1"])
    by_name = {"one": classifier(), "two": classifier(1)}
    return PerImage(Sources.made_of(by_name, dict.fromkeys(by_name, examples(4))), spec)


def small_amplification() -> PerImage:
    """A network, and the same with few bits."""
    spec = AmplificationSpec(models=[], data="", attacks=["fgsm,eps=0.1"])
    few = defended(classifier(), Quantised(bits=2, images=20), clean=examples(20, 1))
    by_name = {"one": classifier(), "few bits": few}
    return PerImage(Sources.made_of(by_name, dict.fromkeys(by_name, examples(4))), spec)


def small_certify() -> PerImage:
    spec = CertifySpec(models=[], data="", norm="l2", eps=[0.1], attack="deepfool")
    net = seeded(nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.ReLU(), nn.Linear(6, 10)))
    by_name = {"mlp": Network(net), "linear": Network(seeded(nn.Sequential(nn.Flatten(), nn.Linear(64, 10))))}
    return PerImage(Sources.made_of(by_name, dict.fromkeys(by_name, examples(4))), spec)


def small_train() -> Training:
    """Two networks, of halves that have nothing in common; a checkpoint after each step."""
    given = given_of(labelled(40), labelled(10, data=1))
    recipe = Standard(epochs=2, batch=8, peak_rate=0.05, flip=False, shift=1)
    return Training.of({"digits-cnn": given}, recipe, on=["half-1", "half-2"])


def small_generator() -> Training:
    """A classifier and a generator that play, with a frame after nearly each step."""
    given = given_of(labelled(24), labelled(8, data=1))
    recipe = Acgan(epochs=2, batch=8, frames=5)
    return Training.of({"digits-acgan": given}, recipe, seeds=[0, 1])


def labelled(count: int, data: int = 0) -> Examples:
    """With names for all classes, as data to train on have."""
    return replace(examples(count, data), class_names=tuple("0123456789"))


STUDIES: dict[str, Callable[[], Study]] = {
    "audit": small_audit,
    "models": two_models,
    "transfer": small_transfer,
    "defended": small_defended,
    "craft": small_craft,
    "fit": small_fit,
    "certify": small_certify,
    "noise": small_noise,
    "rubbish": small_rubbish,
    "first-step": small_first_step,
    "evolution": small_evolution,
    "generated": small_generated,
    "corruption": small_corruption,
    "activation": small_activation,
    "alternate": small_alternate,
    "shortcut": small_shortcut,
    "amplification": small_amplification,
    "boundary": small_boundary,
    "density": small_density,
    "directions": small_directions,
    "stability": small_stability,
    "train": small_train,
    "generator": small_generator,
}


def ran(study: Study, directory: Path, cut: bool = False, **settings: Any) -> Run:
    """cut: units are done an example at a time, where they may be done in parts."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # for so little work several threads only wait for one another
    try:
        # The preflight makes more calls than all the rest and writes nothing: kills would hardly fall anywhere else.
        with (
            patch.object(sources, "preflight", return_value=[]),
            patch.object(pieces, "SECONDS", 1e-9 if cut else pieces.SECONDS),
            patch.object(loop, "SECONDS", 0.0),  # between two checkpoints
        ):
            return run(study, out=directory, **settings)
    finally:
        torch.set_num_threads(threads)


def small_run(directory: Path, *, watch: Any = None, cut: bool = False, **changes: Any) -> Run:
    """An audit of three attacks on three shards."""
    return ran(small_audit(**changes), directory, cut, watch=watch)


def stopped_after(directory: Path, units: int, **changes: Any) -> None:
    """An audit that stops when so many units are finished."""
    keep, kept = Store.keep, list[Unit]()

    def keeping(self: Store, unit: Unit, *rest: Any) -> None:
        keep(self, unit, *rest)
        kept.append(unit)
        if len(kept) == units:
            raise Stop

    with patch.object(Store, "keep", keeping):
        try:
            small_run(directory, **changes)
        except Stop:
            return
    raise AssertionError(f"it ended with {len(kept)} units")


class Watching:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, bool]] = []
        self.lost_units: list[Unit] = []

    def planned(self, manifest: Manifest, units: Any) -> None:
        assert {unit.key for unit in units}

    def done(self, unit: Unit, table: pa.Table, count: int, seconds: float | None) -> None:
        self.told.append((unit.key, count, seconds is None))

    def lost(self, unit: Unit, seconds: float) -> None:
        self.lost_units.append(unit)


def run_until_killed(name: str, directory: Path, kill_at: int, workers: int, cut: bool) -> None:
    """Runs in a child process and kills itself, as ``kill -9`` would, at the call numbered ``kill_at``.

    With several workers only the store's calls count: how much of the rest this process does is left to chance.
    """
    calls = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        if event in ("call", "c_call") and (workers == 1 or frame.f_code.co_filename == store.__file__):
            calls += 1
            if calls == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    study = STUDIES[name]()
    sys.setprofile(count)
    ran(study, directory, cut, workers=Local(workers, worth=0.0))
    sys.setprofile(None)
    (directory / "calls").write_text(str(calls))
