"""Networks that were trained once on this machine, for whoever wants the same again."""

import hashlib
import json
import os
from pathlib import Path

from brittle.errors import BrittleError
from brittle.run import engine
from brittle.run.study import Watch
from brittle.studies.train import TrainSpec
from brittle.studies.trainer import Training


def trained_model(spec: TrainSpec, *, watch: Watch | None = None) -> Path:
    """The run directory, in this user's cache, of the one network that a spec asks for; trained now if it is not there.

    ``run:DIR`` of it is the model. What the network is decides where it lies: data by content, not by name. A
    training that was stopped goes on. Raises BrittleError for a spec of several networks, as ``TrainSpec.open`` does,
    and while another process trains the same.
    """
    study = spec.open()
    directory = place_of(study)
    engine.run(study, out=directory, watch=watch)
    return directory


def place_of(study: Training) -> Path:
    """Where in the cache the one network of a study belongs."""
    if len(study.places) != 1:
        raise BrittleError(f"expected one network to keep in the cache, got {len(study.places)}; give a run directory")
    (key,) = study.places
    asked = study.plan(None, None)
    content = {"settings": asked.settings, "examples": asked.examples, "seed": asked.seed}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "trained" / f"{key}-{digest[:16]}"


def cache_folder() -> Path:
    """``$BRITTLE_CACHE``; otherwise brittle's in what the XDG base directories say of caches."""
    named = os.environ.get("BRITTLE_CACHE")
    if named:
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "brittle"
