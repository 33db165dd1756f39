"""torchattacks (Kim 2020, arXiv:2010.01950): ``torchattacks:PGD,eps=8/255``."""

import inspect
import re
from importlib import import_module
from typing import Any

from brittle.attacks.foreign.guest import BALLS, EPS, NORM, Asking, Guest, Library, settings
from brittle.types import Access, Images

_NOT_OURS = ("self", "model", "norm", "n_classes", "verbose", "seed", "device")
_NORMS = {"linf": "linf", "l2": "l2", "l1": "l1", "l0": "l0"}
_SPELLED = {"linf": "Linf", "l2": "L2", "l1": "L1"}
_ACCESS: dict[str, Access] = {"Square": "score", "OnePixel": "score", "Pixle": "score", "SPSA": "score"}


def _attacks() -> dict[str, type]:
    module: Any = import_module("torchattacks")
    base = import_module("torchattacks.attack").Attack
    found = {name: made for name, made in vars(module).items() if isinstance(made, type) and issubclass(made, base)}
    return {name: made for name, made in found.items() if name not in ("Attack", "MultiAttack", "VANILA")}


def _guest(name: str) -> Guest:
    made: Any = _attacks()[name]
    text = inspect.getdoc(made) or ""
    parameters = inspect.signature(made.__init__).parameters
    said = re.search(r"Distance Measure\s*:\s*(\w+)", text)
    own = _NORMS.get(said[1].lower(), "l2") if said else "l2"
    several = NORM in parameters
    targeted = "targeted" in inspect.getsource(made.__init__)
    return Guest(
        summary=text.split("\n")[0],
        kind="budget" if EPS in parameters else "minimal",
        norms=BALLS if several else (own,),
        norm=_NORMS[str(parameters[NORM].default).lower()] if several else None,
        goals=("untargeted", "targeted") if targeted else ("untargeted",),
        access=_ACCESS.get(name, "gradient"),
        parameters=settings(made.__init__, without=_NOT_OURS),
        call=lambda asked: _call(made, asked),
    )


def _call(made: Any, asked: Asking) -> Images:
    values = dict(asked.values)
    if NORM in values:
        values[NORM] = _SPELLED[values[NORM].name]
    if "n_classes" in inspect.signature(made.__init__).parameters:
        values["n_classes"] = asked.classes
    attack = made(asked.module, **values)
    attack.set_device(asked.image.device)
    if asked.targeted:
        attack.set_mode_targeted_by_label(quiet=True)
    found: Images = attack(asked.image, asked.label)
    return found


LIBRARY = Library("torchattacks", "torchattacks", "torchattacks", lambda: _attacks(), _guest)
