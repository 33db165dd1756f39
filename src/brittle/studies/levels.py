"""How hard to try: the attacks of a level, for a norm and a budget. docs/bench.md has what they were chosen by."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from brittle.catalog import attacks_from
from brittle.errors import BrittleError, did_you_mean
from brittle.geometry.norms import LINF, NormLike, norm_of

STANDARD = "standard"
NORMS = ("linf", "l2")
"""Those that are asked for where nobody says which."""

LEVELS: dict[str, tuple[str, ...]] = {
    "quick": ("minimal,norm={norm}", "apgd,norm={norm},eps={eps},steps=20"),
    "standard": ("minimal,norm={norm}", "standard,norm={norm},eps={eps}"),
    "thorough": ("minimal,norm={norm}", "standard,norm={norm},eps={eps}", "shrinking-ball,norm={norm}"),
}
LEVELS_IN_L0: dict[str, tuple[str, ...]] = {
    "quick": ("minimal,norm=l0", "sparse-rs,eps={eps},queries=100"),
    "standard": ("minimal,norm=l0", "standard,norm=l0,eps={eps}"),
    "thorough": ("minimal,norm=l0", "standard,norm=l0,eps={eps}", "sigma-zero,steps=500"),
}


WITHOUT_GRADIENTS: dict[str, tuple[str, ...]] = {
    "linf": ("square,norm=linf,eps={eps},queries=1000", "hopskipjump,norm=linf,queries=1000"),
    "l2": ("square,norm=l2,eps={eps},queries=1000", "hopskipjump,norm=l2,queries=1000"),
    "l1": ("square,norm=l1,eps={eps},queries=1000",),
    "l0": ("sparse-rs,eps={eps},queries=1000", "few-pixel"),
}
"""What a level has beside, for a model behind defences, whose gradients may mislead."""


class Customary(NamedTuple):
    """The budgets in which papers report robustness on images of a kind, by norm."""

    kind: str
    linf: str
    l2: str
    l1: str
    l0: str


_GREY = Customary("small grey images, as of MNIST", linf="0.3", l2="2", l1="10", l0="15")
_SMALL = Customary("small colour images, as of CIFAR-10", linf="8/255", l2="0.5", l1="12", l0="24")
_LARGE = Customary("photographs, as of ImageNet", linf="4/255", l2="3", l1="255", l0="150")
CUSTOMARY = (_GREY, _SMALL, _LARGE)
_SIDE = 64  # pixels up to which an image is small


def customary(norm: NormLike, shape: Sequence[int]) -> str:
    """The customary budget in a norm for images ``[C, H, W]``, as typed: ``"8/255"``."""
    channels, height, width = shape
    kind = _LARGE if max(height, width) > _SIDE else _GREY if channels == 1 else _SMALL
    return str(getattr(kind, _named(norm)))


def level(name: str = STANDARD, *, norm: NormLike = LINF, eps: float | str) -> list[Any]:
    """The attacks of a level in a norm: how small a change fools, and what can be done within a budget.

    name: "quick" (for a first look), "standard" (the usual ensemble), "thorough" (more searches). norm: l0,
    l1, l2 or linf. eps: the budget, a number or text such as ``"8/255"``. Raises BrittleError for any other.
    """
    if name not in LEVELS:
        hint = did_you_mean(name, LEVELS) if isinstance(name, str) else ""
        raise BrittleError(f"expected a level of {', '.join(LEVELS)}, got {name!r}{hint}")
    text = eps if isinstance(eps, str) else f"{eps:.17g}" if isinstance(eps, int | float) else None
    if text is None:
        raise BrittleError(f"expected eps as a number or text such as '8/255', got {eps!r}")
    chosen = _named(norm)
    texts = (LEVELS_IN_L0 if chosen == "l0" else LEVELS)[name]
    made = [one for typed in texts for one in attacks_from(typed.format(norm=chosen, eps=text))]
    return [one for place, one in enumerate(made) if one not in made[:place]]


def attacks_of(
    name: str = STANDARD,
    norms: Sequence[NormLike] = NORMS,
    eps: Sequence[float | str] = (),
    *,
    shape: Sequence[int],
    defended: bool = False,
) -> list[Any]:
    """The attacks of a level in several norms. eps: a budget for each, by default what is customary for images so.

    defended: also those that ask for no gradients, by themselves.
    """
    if len(set(map(_named, norms))) < len(norms) or len(eps) not in (0, len(norms)):
        raise BrittleError(
            f"expected a budget for each of some different norms, or none, got norms {_listed(norms)} and eps"
            f" {_listed(eps)}"
        )
    budgets = eps or [customary(norm, shape) for norm in norms]
    made = []
    for norm, budget in zip(norms, budgets, strict=True):
        made += level(name, norm=norm, eps=budget)
        for typed in WITHOUT_GRADIENTS[_named(norm)] if defended else ():
            made += attacks_from(typed.format(eps=budget if isinstance(budget, str) else f"{budget:.17g}"))
    return made


def _listed(values: Sequence[object]) -> str:
    return ", ".join(map(str, values)) or "none"


def _named(norm: NormLike) -> str:
    name = norm_of(norm).name
    if name not in Customary._fields:
        raise BrittleError(f"expected a level's norm as linf, l2, l1 or l0, got {name}")
    return name
