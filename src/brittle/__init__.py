"""brittle: the smallest changes that make an image classifier wrong, measured so that the numbers can be defended.

Beside the names listed here, every attack is one: ``brittle.DeepFool(norm="linf")``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from brittle.display import show_by

if TYPE_CHECKING:
    from brittle.api import audit, compare, craft, fit, run_spec, write_page
    from brittle.attacks import *  # noqa: F403 - what it imports is the list of all attacks
    from brittle.crafting.written import read_crafted
    from brittle.data import Examples, examples_of, load_data
    from brittle.errors import BrittleError, Unsupported
    from brittle.geometry.norms import L0, L1, L2, LINF, Lp
    from brittle.goals import Targeted, Untargeted
    from brittle.models import BlackBox, Classifier, Front, Fronted, Network, load_model
    from brittle.run.attack import Found, attack
    from brittle.run.engine import Run
    from brittle.studies.levels import level
    from brittle.testing import assert_robust

_HOMES = {
    "brittle.api": ("audit", "compare", "craft", "fit", "run_spec", "write_page"),
    "brittle.crafting.written": ("read_crafted",),
    "brittle.data": ("Examples", "examples_of", "load_data"),
    "brittle.errors": ("BrittleError", "Unsupported"),
    "brittle.geometry.norms": ("L0", "L1", "L2", "LINF", "Lp"),
    "brittle.goals": ("Targeted", "Untargeted"),
    "brittle.models": ("BlackBox", "Classifier", "Front", "Fronted", "Network", "load_model"),
    "brittle.run.attack": ("Found", "attack"),
    "brittle.run.engine": ("Run",),
    "brittle.studies.levels": ("level",),
    "brittle.testing": ("assert_robust",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "L0",
    "L1",
    "L2",
    "LINF",
    "BlackBox",
    "BrittleError",
    "Classifier",
    "Examples",
    "Found",
    "Front",
    "Fronted",
    "Lp",
    "Network",
    "Run",
    "Targeted",
    "Unsupported",
    "Untargeted",
    "assert_robust",
    "attack",
    "audit",
    "compare",
    "craft",
    "examples_of",
    "fit",
    "level",
    "load_data",
    "load_model",
    "read_crafted",
    "run_spec",
    "write_page",
]


def _in_a_notebook(result: object) -> str:
    html: str = import_module("brittle.notebook").html(result)
    return html


show_by(_in_a_notebook)


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used: ``import brittle`` and ``brittle --help`` do not wait for torch."""
    if name.startswith("_"):
        raise AttributeError(f"module 'brittle' has no attribute {name!r}")
    home = import_module(_HOME_OF.get(name, "brittle.attacks"))
    if not hasattr(home, name):
        from brittle.catalog.foreign import attack_here

        said = attack_here(name)
        raise AttributeError(f"module 'brittle' has no attribute {name!r}{f'; {said}' if said else ''}")
    value = getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
