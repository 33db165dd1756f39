"""The attacks under the laws, made from the registry alone."""

import atexit
import dataclasses
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import brittle.attacks  # noqa: F401 - importing it registers them
from brittle.attacks import AddPerturbation, Outcome, UniversalSGD
from brittle.catalog import ATTACKS, FITTERS, AttackEntry, FitterEntry, Kind, is_attack, traits_of
from brittle.data import examples_of
from brittle.data.perturbation import Perturbation, write_perturbation
from brittle.geometry.norms import L0, L1, LINF, Norm, norm_named
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.types import Access
from laws.worlds import World, one_thread, trained_world

_NORM_OF = {"lp": "l1.5"}  # a family of norms is represented by one of them

QUICK: dict[str, dict[str, Any]] = {
    "apgd": {"steps": 12},
    "boundary-walk": {"steps": 5},
    "craft": {"steps": 30, "walk": 20},
    "expectation": {"samples": 3},
    "few-pixel": {"population": 12, "generations": 5},
    "fmn": {"steps": 20},
    "hopskipjump": {"queries": 100},
    "lbfgs": {"search": 3, "max_steps": 8},
    "penalised": {"steps": 25},
    "pixel-search": {"queries": 25},
    "restarts": {"times": 3},
    "shrinking-ball": {"starts": 2, "steps": 8},
    "sigma-zero": {"steps": 25},
    "sparse-rs": {"queries": 25},
    "square": {"queries": 80, "shrink": 80},
    "standard": {"steps": 3, "targets": 2, "queries": 6},
    "superdeepfool": {"rounds": 4},
    "universal": {"passes": 2},
    "universal-sgd": {"epochs": 3},
}
"""Settings that cost less: as few passes as take an attack through all its stages."""
NEARER: dict[str, dict[str, Any]] = {
    "fmn": {"steps": 50},
    "hopskipjump": {"queries": 200},
    "shrinking-ball": {"steps": 36},
    "square": {"queries": 220, "shrink": 700},
}
"""Settings with which these come near an optimum that is known."""


@dataclass(frozen=True)
class Subject:
    """An attack and what it has declared about itself."""

    name: str
    attack: Any
    kind: Kind
    goals: tuple[str, ...]
    norm: Norm | None  # None: it makes nothing small in a norm
    access: Access = "gradient"
    fitted: bool = False  # one perturbation for all images promises nothing on those that it was not fitted to
    first: bool = True  # of its attack: others differ in a norm or a switch
    nearer: tuple[tuple[str, Any], ...] = ()  # settings with which it comes near an optimum

    def __call__(
        self,
        world: World,
        goal: Goal,
        *,
        rows: Tensor | None = None,
        seed: int = 0,
        classifier: Classifier | None = None,
    ) -> Outcome:
        """Runs it on the world's images, or on some of them."""
        images, rng = world.images.clone(), world.rng(seed)
        if rows is not None:
            images, goal, rng = images[rows], goal[rows], rng[rows]
        outcome: Outcome = self.attack(classifier or world.shared_classifier, images, goal, rng=rng)
        return outcome

    @property
    def stays_in_the_box(self) -> bool:
        return bool(getattr(self.attack, "box", True))

    def near_an_optimum(self) -> "Subject":
        return dataclasses.replace(self, attack=dataclasses.replace(self.attack, **dict(self.nearer)))

    def with_eps(self, eps: float) -> "Subject":
        return dataclasses.replace(self, attack=_with_eps(self.attack, eps))


def modest_eps(norm: Norm) -> float:
    """A budget, of the same effect in each norm, within which some digits are fooled and others are not."""
    size = {L0: 0.03, L1: 0.025}.get(norm, 0.05) * float(
        norm.measure(torch.ones(1, 1, 8, 8))
    )  # L1 goes where it counts
    return round(size) if norm == L0 else size


def subjects_of(entry: AttackEntry) -> list[Subject]:
    """The attack as it comes, once with each other declared norm, and once with each switch thrown."""
    fields = entry.fields()
    variants: list[tuple[str, dict[str, Any]]] = [("as it comes", {})]
    if "norm" in fields:
        variants += [(name, _in_norm(norm_named(_NORM_OF.get(name, name)), "eps" in fields)) for name in entry.norms]
    variants += [
        (f"{key}={not default}", {key: not default})
        for key, one in fields.items()
        if isinstance((default := one.default), bool)
    ]
    return _different([_subject(entry, f"{entry.name}, {what}", values) for what, values in variants])


def _different(subjects: list[Subject]) -> list[Subject]:
    """Without those that are an attack once more: in its default norm it comes by itself."""
    kept: list[Subject] = []
    for one in subjects:
        if all(one.attack != other.attack for other in kept):
            kept.append(dataclasses.replace(one, first=not kept))
    return kept


def _in_norm(norm: Norm, has_budget: bool) -> dict[str, Any]:
    """With a budget that is one in that norm: in L0 no fraction of a pixel."""
    return {"norm": norm} | ({"eps": modest_eps(norm)} if has_budget else {})


def _subject(entry: AttackEntry, name: str, values: dict[str, Any]) -> Subject:
    needs = any(one.required for one in entry.fields().values())
    attack = entry.type(**QUICK.get(entry.name, {}) | (_file() if needs else {}) | values)
    traits = traits_of(attack)
    if traits.eps is not None:
        attack = _with_eps(attack, modest_eps(traits.norm))
    norm = None if traits.kind == "faint" else traits.norm
    nearer = tuple(NEARER.get(entry.name, {}).items())
    return Subject(name, attack, traits.kind, traits.goals, norm, traits.access, needs, nearer=nearer)


def _file() -> dict[str, Any]:
    """What a fitted attack has to be given: a file that holds it, fitted with another budget than that of the laws."""
    path = Path(tempfile.mkdtemp(prefix="brittle-laws-")) / "perturbation.safetensors"
    write_perturbation(fitted_to_the_world(UniversalSGD(eps=0.5 * modest_eps(LINF), **QUICK["universal-sgd"])), path)
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    return {"file": str(path)}


def fitted_to_the_world(fitter: Any) -> Perturbation:
    """What a fitter makes of the trained world's images."""
    world = trained_world()
    with one_thread():
        made: Perturbation = fitter.fit(world.shared_classifier, examples_of(world.images, ids=world.ids))
        return made


def fits_of(entry: FitterEntry) -> list[Subject]:
    """What the fitter makes as it comes, and in each of its norms, as an attack."""
    subjects = []
    for what in ("as it comes", *entry.norms):
        norm = {} if what == "as it comes" else {"norm": _NORM_OF.get(what, what)}
        fitter = entry.type(**QUICK.get(entry.name, {}), **norm)
        fitter = dataclasses.replace(fitter, eps=modest_eps(fitter.norm))
        attack = AddPerturbation(file=fitted_to_the_world(fitter))
        traits = traits_of(attack)
        name = f"{entry.name}, {what}"
        subjects.append(Subject(name, attack, traits.kind, traits.goals, traits.norm, traits.access, fitted=True))
    return _different(subjects)


def _with_eps(attack: Any, eps: float) -> Any:
    """The same attack with another budget; in a wrapper, the attacks that it holds."""
    if hasattr(attack, "eps"):
        return dataclasses.replace(attack, eps=eps)
    held = {field.name: getattr(attack, field.name) for field in dataclasses.fields(attack)}
    for name, value in held.items():
        if isinstance(value, tuple):
            held[name] = tuple(_with_eps(one, eps) for one in value)
        elif is_attack(value):
            held[name] = _with_eps(value, eps)
    return dataclasses.replace(attack, **held)


SUBJECTS = [subject for entry in ATTACKS.values() for subject in subjects_of(entry)]
SUBJECTS += [subject for entry in FITTERS.values() for subject in fits_of(entry)]
_AROUND: dict[str, dict[str, Any]] = {"pgd": {"norm": "l2"}, "hopskipjump": {"queries": 40}}
IN_8_BITS = [
    _subject(ATTACKS["eight-bit"], f"eight-bit, around {name}", {"attack": ATTACKS.build(name, options)})
    for name, options in _AROUND.items()
]
"""With a budget, and without gradients."""
