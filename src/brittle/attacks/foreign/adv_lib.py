"""adv_lib (Rony 2020, doi:10.5281/zenodo.5815063): ``advlib:ddn,steps=100``."""

import inspect
from importlib import import_module
from inspect import Parameter
from typing import Any

from brittle.attacks.foreign.guest import EPS, NORM, Asking, Guest, Library, order_of, settings
from brittle.types import Images

_NOT_OURS = ("model", "inputs", "labels", "targeted", "targets", "callback", "norm", "distance", "return_targets")
_BUDGETS = {"apgd": "eps", "apgd_targeted": "eps", "pgd_linf": "ε"}
"""What those that have a budget call it."""
_ALL = ("l0", "l1", "l2", "linf")
_NORMS: dict[str, tuple[str, ...]] = {
    "alma": ("l1", "l2"),
    "apgd": ("l1", "l2", "linf"),
    "apgd_targeted": ("l1", "l2", "linf"),
    "carlini_wagner_linf": ("linf",),
    "df": ("l2", "linf"),
    "fab": ("l1", "l2", "linf"),
    "fga": ("l0",),
    "fmn": _ALL,
    "pdpgd": _ALL,
    "pgd_linf": ("linf",),
    "sigma_zero": ("l0",),
    "tr": ("l2", "linf"),
    "vfga": ("l0",),
}
"""Others are in L2."""


def _attacks() -> dict[str, Any]:
    module: Any = import_module("adv_lib.attacks")
    return {
        name: made
        for name, made in vars(module).items()
        if inspect.isfunction(made) and {"model", "inputs", "labels"} <= set(inspect.signature(made).parameters)
    }


def _guest(name: str) -> Guest:
    made = _attacks()[name]
    parameters = inspect.signature(made).parameters
    budget = _BUDGETS.get(name)
    own = (Parameter(EPS, Parameter.KEYWORD_ONLY, annotation=float),) if budget else ()
    norms = _NORMS.get(name, ("l2",))
    return Guest(
        summary=((inspect.getdoc(made) or name).strip()).split("\n")[0],
        kind="budget" if budget else "minimal",
        norms=norms,
        norm=None if "norm" in parameters else norms[-1],
        goals=("untargeted", "targeted") if "targeted" in parameters else ("untargeted",),
        access="gradient",
        parameters=(*own, *settings(made, without=(*_NOT_OURS, *([budget] if budget else [])))),
        call=lambda asked: _call(made, budget, asked),
    )


def _call(made: Any, budget: str | None, asked: Asking) -> Images:
    values = dict(asked.values)
    parameters = inspect.signature(made).parameters
    if budget:
        values[budget] = values.pop(EPS)
    norm = values.pop(NORM, None)
    if norm is not None:
        values |= {NORM: order_of(norm)} if NORM in parameters else {"distance": norm.name}
    if asked.targeted:
        values["targeted"] = True
    found: Images = made(asked.module, asked.image, asked.label, **values)
    return found


LIBRARY = Library("advlib", "advlib", "adv_lib", lambda: _attacks(), _guest)
