"""What a photograph shall be taken for: class names, indices, and choices that depend on what the network says."""

from collections.abc import Sequence
from typing import Any

import torch

from brittle.errors import BrittleError
from brittle.models.classes import class_of
from brittle.records import UNTARGETED
from brittle.rng import Rng
from brittle.studies.goals import CHOICES, LEAST_LIKELY, NEXT_BEST, RANDOM
from brittle.types import Logits


def wishes_from(given: Any) -> list[str]:
    """One wish or several, as class names, indices or choices; BrittleError for anything else."""
    wishes = list(given) if isinstance(given, list | tuple) else [given]
    for one in wishes:
        if isinstance(one, bool) or not isinstance(one, str | int) or (isinstance(one, int) and one < 0):
            raise BrittleError(
                f"expected a target as a class name, an index, or one of {', '.join(CHOICES)}, got {one!r}"
            )
    return list(map(str, wishes))


def check_wishes(wishes: Sequence[str], class_names: Sequence[str] | None, classes: int) -> None:
    """Refuses a wish that names no class, before any photograph is looked at."""
    if not wishes:
        raise BrittleError(f"expected a target: a class name, an index, or one of {', '.join(CHOICES)}")
    for wish in wishes:
        if wish not in CHOICES:
            class_of(wish, class_names, classes)


def targets_of(
    wishes: Sequence[str], logits: Logits, class_names: Sequence[str] | None, rng: Rng, name: str
) -> list[int | None]:
    """The class index of each wish for one photograph with these logits ``[K]``; None for untargeted.

    ``random`` picks among the classes that the network does not see now, another one each time it is wished for.
    Raises BrittleError where a wish is what the network says already; ``name`` says of which photograph.
    """
    order = logits.argsort(descending=True, stable=True).tolist()
    present = order[0]
    draws = rng.uniform("random targets", torch.empty(1, len(order)))[0].argsort(stable=True).tolist()
    others = iter(one for one in draws if one != present)
    targets: list[int | None] = []
    for wish in wishes:
        if wish == UNTARGETED:
            targets.append(None)
        elif wish == RANDOM:
            targets.append(next(others, present))
        else:
            fixed = {LEAST_LIKELY: order[-1], NEXT_BEST: order[1]}
            targets.append(fixed[wish] if wish in fixed else class_of(wish, class_names, len(order)))
        if targets[-1] == present:
            raise BrittleError(
                f"the network takes {name} for {_named(present, class_names)} already; choose another target"
            )
    return targets


def _named(index: int, class_names: Sequence[str] | None) -> str:
    return f"{class_names[index]!r}" if class_names is not None else f"class {index}"
