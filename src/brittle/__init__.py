"""brittle: the smallest changes that make an image classifier wrong, measured so that the numbers can be defended."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brittle.api import audit, fit, report, run
    from brittle.attacks import (
        APGD,
        FGSM,
        FMN,
        LBFGS,
        PGD,
        BestOf,
        BoundaryWalk,
        Craft,
        DeepFool,
        Expectation,
        FewPixel,
        HopSkipJump,
        Minimal,
        Penalised,
        Perturbation,
        PixelGreedy,
        PixelSearch,
        Restarts,
        ShrinkingBall,
        SigmaZero,
        SparseFool,
        SparseRS,
        Square,
        Standard,
        SuperDeepFool,
        Universal,
        UniversalSGD,
    )
    from brittle.data import Examples, examples_of, load_data
    from brittle.errors import BrittleError, Unsupported
    from brittle.geometry.norms import L0, L1, L2, LINF, Lp
    from brittle.goals import Targeted, Untargeted
    from brittle.models import Classifier, load_model
    from brittle.run.attack import Found, attack
    from brittle.run.engine import Run

_HOMES = {
    "brittle.api": ("audit", "fit", "report", "run"),
    "brittle.attacks": (
        "PixelGreedy",
        "ShrinkingBall",
        "SigmaZero",
        "Minimal",
        "APGD",
        "FGSM",
        "FMN",
        "LBFGS",
        "PGD",
        "BestOf",
        "BoundaryWalk",
        "Craft",
        "DeepFool",
        "Expectation",
        "FewPixel",
        "HopSkipJump",
        "Penalised",
        "Perturbation",
        "PixelSearch",
        "Restarts",
        "SparseFool",
        "SparseRS",
        "Square",
        "Standard",
        "SuperDeepFool",
        "Universal",
        "UniversalSGD",
    ),
    "brittle.data": ("Examples", "examples_of", "load_data"),
    "brittle.geometry.norms": ("L0", "L1", "L2", "LINF", "Lp"),
    "brittle.goals": ("Targeted", "Untargeted"),
    "brittle.models": ("Classifier", "load_model"),
    "brittle.run.attack": ("Found", "attack"),
    "brittle.run.engine": ("Run",),
    "brittle.errors": ("BrittleError", "Unsupported"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "APGD",
    "FGSM",
    "FMN",
    "L0",
    "L1",
    "L2",
    "LBFGS",
    "LINF",
    "PGD",
    "BestOf",
    "BoundaryWalk",
    "BrittleError",
    "Classifier",
    "Craft",
    "DeepFool",
    "Examples",
    "Expectation",
    "FewPixel",
    "Found",
    "HopSkipJump",
    "Lp",
    "Minimal",
    "Penalised",
    "Perturbation",
    "PixelGreedy",
    "PixelSearch",
    "Restarts",
    "Run",
    "ShrinkingBall",
    "SigmaZero",
    "SparseFool",
    "SparseRS",
    "Square",
    "Standard",
    "SuperDeepFool",
    "Targeted",
    "Universal",
    "UniversalSGD",
    "Unsupported",
    "Untargeted",
    "attack",
    "audit",
    "examples_of",
    "fit",
    "load_data",
    "load_model",
    "report",
    "run",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: ``import brittle`` and ``brittle --help`` do not wait for torch."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'brittle' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
