"""What an attack is, and what it returns."""

import math

from brittle.attacks.parts.contract import Attack, Outcome
from brittle.catalog import label_of, traits_of
from brittle.errors import BrittleError
from brittle.geometry.norms import L0, LINF, NormLike, is_norm, norm_of

__all__ = ["Attack", "Outcome", "require", "require_budget", "require_finite", "require_norm"]


def require(holds: bool, expected: str, got: object) -> None:
    """Refuses a field value: ``expected eps >= 0, got -1``."""
    if not holds:
        raise BrittleError(f"expected {expected}, got {got}")


def require_finite(name: str, value: float, least: float = 0.0) -> None:
    """Refuses a number below ``least``, an infinite one, and NaN."""
    require(least <= value < math.inf, f"a finite {name} >= {least:g}", value)


def require_budget(eps: float, norm: NormLike) -> None:
    """Refuses a budget that is no size, and in L-infinity one beyond the whole range of a pixel."""
    require_finite("eps", eps)
    require(
        norm_of(norm) != LINF or eps <= 1, "eps <= 1 in linf, as pixels are in [0, 1] (8 grey levels are 8/255)", eps
    )


def require_norm(attack: object, norm: NormLike) -> None:
    """Refuses what has no steepest step and no smallest step to a plane (L0); a name becomes the norm it names."""
    require((isinstance(norm, str) or is_norm(norm)) and norm_of(norm) != L0, "norm l1, l2, linf or lP", norm)
    object.__setattr__(attack, "norm", norm_of(norm))  # frozen: while it is being made, the attack may still do this


def require_norms(wrapper: object, *attacks: object) -> None:
    """Refuses attacks that a wrapper would rank by their norm, while they make something else small."""
    for one in attacks:
        faint = traits_of(one).kind == "faint"
        require(not faint, f"attacks that minimise a norm in {type(wrapper).__name__}", f"{label_of(one)}: visibility")
