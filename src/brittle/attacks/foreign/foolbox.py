"""foolbox (Rauber et al. 2020, doi:10.21105/joss.02607): ``foolbox:LinfPGD,eps=8/255``."""

import inspect
from importlib import import_module
from inspect import Parameter
from typing import Any

from brittle.attacks.foreign.guest import EPS, Asking, Guest, Library, settings
from brittle.errors import BrittleError
from brittle.types import Access, Images

_NAMES = {0: "l0", 1: "l1", 2: "l2", float("inf"): "linf"}
_DECISIONS = ("Boundary", "HopSkipJump", "Noise", "Contrast", "Inversion", "Blur", "Pointwise", "Spatial")
_NO_START = "init_attack failed"


def _attacks() -> dict[str, type]:
    module: Any = import_module("foolbox.attacks")
    base = import_module("foolbox.attacks.base")
    kinds = base.FixedEpsilonAttack, base.MinimizationAttack
    found = {name: made for name, made in vars(module).items() if isinstance(made, type)}
    return {name: made for name, made in found.items() if issubclass(made, kinds) and not inspect.isabstract(made)}


def _guest(name: str) -> Guest:
    made: Any = _attacks()[name]
    given = settings(made.__init__, without=("self",))
    if any(one.default is Parameter.empty for one in given) or "distance" in inspect.signature(made).parameters:
        raise BrittleError(f"foolbox:{name} needs what no text can say; call foolbox itself")
    fixed = issubclass(made, import_module("foolbox.attacks.base").FixedEpsilonAttack)
    runs = [inspect.getsource(one.run) for one in made.__mro__ if "run" in vars(one)]
    targeted = any("TargetedMisclassification" in text for text in runs)
    access: Access = "decision" if any(word in name for word in _DECISIONS) else "gradient"
    return Guest(
        summary=(inspect.getdoc(made) or name).split("\n")[0].split(". ")[0],
        kind="budget" if fixed else "minimal",
        norms=(_NAMES[made().distance.p],),
        goals=("untargeted", "targeted") if targeted else ("untargeted",),
        access=access,
        parameters=((Parameter(EPS, Parameter.KEYWORD_ONLY, annotation=float), *given) if fixed else given),
        call=lambda asked: _call(made, asked),
    )


def _call(made: Any, asked: Asking) -> Images:
    foolbox: Any = import_module("foolbox")
    values = dict(asked.values)
    eps = values.pop(EPS, None)
    criterion = foolbox.criteria.TargetedMisclassification if asked.targeted else foolbox.criteria.Misclassification
    model = foolbox.PyTorchModel(asked.module, bounds=(0, 1), device=asked.image.device)
    try:
        _, clipped, _ = made(**values)(model, asked.image, criterion(asked.label), epsilons=eps)
    except ValueError as error:
        if _NO_START in str(error):  # which is a failure of the attack, and not of the call
            return asked.image
        raise
    found: Images = asked.image if clipped is None else clipped
    return found


LIBRARY = Library("foolbox", "foolbox", "foolbox", lambda: _attacks(), _guest)
