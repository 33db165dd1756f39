"""ART, the Adversarial Robustness Toolbox (Nicolae et al. 2018, arXiv:1807.01069): ``art:CarliniL2Method``."""

import inspect
from importlib import import_module
from typing import Any

import torch
from torch import nn

from brittle.attacks.foreign.guest import BALLS, EPS, NORM, Asking, Guest, Library, order_of, settings
from brittle.types import Access, Images

_NOT_OURS = ("self", "estimator", "classifier", "targeted", "batch_size", "verbose", "norm", "summary_writer", "y")
_NORM_OF = {
    "BasicIterativeMethod": "linf",
    "BoundaryAttack": "l2",
    "CarliniL0Method": "l0",
    "CarliniL2Method": "l2",
    "CarliniLInfMethod": "linf",
    "DeepFool": "l2",
    "ElasticNet": "l1",
    "NewtonFool": "l2",
    "PixelAttack": "l0",
    "SaliencyMapMethod": "l0",
    "SignOPTAttack": "l2",
    "SimBA": "l2",
    "VirtualAdversarialMethod": "l2",
    "ZooAttack": "l2",
}
"""Of those that have no option for it; what keeps no norm small, as a patch, is not taken."""
_ACCESS: dict[str, Access] = {
    "BoundaryAttack": "decision",
    "GeoDA": "decision",
    "HopSkipJump": "decision",
    "PixelAttack": "score",
    "SignOPTAttack": "decision",
    "SimBA": "score",
    "SquareAttack": "score",
    "ZooAttack": "score",
}


def _attacks() -> dict[str, Any]:
    module: Any = import_module("art.attacks.evasion")
    estimator = import_module("art.estimators.classification").PyTorchClassifier
    base = import_module("art.attacks").EvasionAttack
    kinds = {name: made for name, made in vars(module).items() if isinstance(made, type) and issubclass(made, base)}
    found: dict[str, Any] = {name: made for name, made in kinds.items() if not inspect.isabstract(made)}
    return {
        name: made
        for name, made in found.items()
        if all(issubclass(estimator, one) for one in made._estimator_requirements)
        and (name in _NORM_OF or NORM in inspect.signature(made.__init__).parameters)
    }


def _guest(name: str) -> Guest:
    made: Any = _attacks()[name]
    parameters = inspect.signature(made.__init__).parameters
    several = NORM in parameters
    return Guest(
        summary=" ".join((inspect.getdoc(made) or name).split()).split(". ")[0].split(" | ")[0],
        kind="budget" if EPS in parameters else "minimal",
        norms=BALLS if several else (_NORM_OF[name],),
        norm={1: "l1", 2: "l2"}.get(parameters[NORM].default, "linf") if several else None,
        goals=("untargeted", "targeted") if "targeted" in made.attack_params else ("untargeted",),
        access=_ACCESS.get(name, "gradient"),
        parameters=settings(made.__init__, without=_NOT_OURS),
        call=lambda asked: _call(made, asked),
    )


def _call(made: Any, asked: Asking) -> Images:
    estimator = import_module("art.estimators.classification").PyTorchClassifier(
        model=asked.module,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(asked.image.shape[1:]),
        nb_classes=asked.classes,
        clip_values=(0.0, 1.0),
        device_type="gpu" if asked.image.device.type == "cuda" else "cpu",
    )
    values = dict(asked.values)
    parameters = inspect.signature(made.__init__).parameters
    if NORM in values:
        values[NORM] = order_of(values[NORM])
    values |= {"verbose": False} if "verbose" in parameters else {}
    values |= {"targeted": asked.targeted} if "targeted" in parameters else {}
    found = made(estimator, **values).generate(x=asked.image.cpu().numpy(), y=asked.label.cpu().numpy())
    return torch.from_numpy(found)


LIBRARY = Library("art", "art", "art", lambda: _attacks(), _guest)
