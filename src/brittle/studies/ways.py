"""Which attacks craft: registered ones with their settings, or presets by name."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

from brittle.catalog import attacks_from, entry_of, label_of
from brittle.errors import BrittleError

PRESETS = {
    "notes-v1": "penalised,optimiser=sgd,lr=1,weight=1e3,penalty=l2,space=pixels,steps=100",
    "notes-v2": "penalised,optimiser=sgd,lr=0.1,weight=1e6,penalty=l2,space=pixels,steps=100",
}
"""SGD with an L2 penalty, as first tries at this are: a weak one leaves traces that people see, and with a strong one
nothing is seen, but often the network is not sure enough either."""


class Way(NamedTuple):
    """An attack that crafts, and what it is called: the preset's name, or its label."""

    name: str
    attack: Any

    @property
    def parts(self) -> tuple[str, str, str]:
        """Space, penalty and optimiser, as a comparison has them; of what has no such choice, what it does instead."""
        space = str(getattr(self.attack, "space", "pixels"))
        penalty = getattr(self.attack, "penalty", "colour" if hasattr(self.attack, "space") else "none")
        optimiser = getattr(self.attack, "optimiser", self.name)
        return space, penalty, f"{optimiser} ({self.name})" if self.name in PRESETS else optimiser.split(",")[0]


def ways_from(given: Sequence[Any], confidence: float) -> list[Way]:
    """The ways that texts name, sweeps taken apart, or that attacks are, each aiming at this confidence if it can."""
    if not isinstance(confidence, int | float) or not 0 < confidence < 1:
        raise BrittleError(f"expected a confidence between 0 and 1, got {confidence!r}")
    if not given:
        raise BrittleError("expected at least one attack, got none")
    ways = []
    for one in given:
        named = isinstance(one, str)
        for attack in attacks_from(PRESETS.get(one, one)) if named else [one]:
            entry_of(attack)  # or it is refused
            fields = {field.name for field in dataclasses.fields(attack)}
            aimed = dataclasses.replace(attack, confidence=confidence) if "confidence" in fields else attack
            ways.append(Way(one if named and one in PRESETS else label_of(attack), aimed))
    twice = [way.name for index, way in enumerate(ways) if way in ways[:index]]
    if twice:
        raise BrittleError(f"expected different attacks to compare, got {twice[0]!r} twice")
    return ways
