"""The studies that there are, by name: what a spec file may ask for, and what is said of a run afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import pandas as pd

from brittle.errors import BrittleError, did_you_mean
from brittle.measure import Told
from brittle.records import Manifest
from brittle.run.spec import Spec, parsed

Tell = Callable[[Manifest, pd.DataFrame], Told]


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """A kind of study. spec: what it can be asked; its ``open()`` gives the study. tell: None where it has pages of its
    own."""

    name: str
    summary: str
    spec: type[Spec]
    tell: Tell | None


STUDIES: dict[str, Entry] = {}


def register_study(name: str, spec: type[Spec], tell: Tell | None = None) -> None:
    """From here on ``brittle run`` knows it, its run directories can be reported, and the laws of studies test it."""
    if name in STUDIES:
        raise ValueError(f"two studies are called {name!r}")
    STUDIES[name] = Entry(name, (spec.__doc__ or "").strip().split("\n")[0], spec, tell)


def spec_of(content: Mapping[str, Any], where: str) -> Any:
    """The spec that a file's content is, by its ``study``; a BrittleError in one line for anything else."""
    name = content.get("study")
    if name not in STUDIES:
        hint = did_you_mean(str(name), STUDIES) if name else f"; known: {', '.join(STUDIES)}"
        raise BrittleError(f"{where}: expected study as the name of one, got {name!r}{hint}")
    return parsed(STUDIES[name].spec, content, where)
