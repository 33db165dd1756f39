"""The models of runs, opened when somebody asks them something, and kept."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from brittle.errors import BrittleError
from brittle.models.classifier import Classifier
from brittle.run.spec import read_spec, standing_in
from brittle.studies import spec_of
from brittle.studies.audit import AuditSpec
from brittle.studies.guarded import beside_bare
from brittle.studies.opening import opened_models
from brittle.view.shelf import Shelved

PATIENCE = 2.0
"""Seconds that somebody waits for the models before they are told that an attack has them."""


@final
class Models:
    """By run and name. One thread asks a model at a time."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._known: dict[int, dict[str, Classifier]] = {}

    @contextmanager
    def free(self) -> Iterator[None]:
        """Nobody else asks a model meanwhile; BrittleError where an attack does and goes on."""
        if not self.lock.acquire(timeout=PATIENCE):
            raise BrittleError("an attack is being tried, which has the models until it ends")
        try:
            yield
        finally:
            self.lock.release()

    def of(self, run: Shelved, model: int) -> Classifier:
        """The classifier itself; BrittleError where the run was made from objects, or it cannot be opened here."""
        record = run.view(model, 0).record
        with self.free():
            if run.number not in self._known:
                self._known[run.number] = _opened(run)
            classifier = self._known[run.number].get(record.name)
            if classifier is None or classifier.fingerprint != record.fingerprint:
                raise BrittleError(f"expected the model {record.name} as the run knew it; its weights are others now")
            return classifier


def _opened(run: Shelved) -> dict[str, Classifier]:
    if not (run.place / "spec.toml").is_file():
        raise BrittleError("this run was made from objects in Python: no file says how to open its models")
    content, folder = read_spec(run.place / "spec.toml")
    spec = spec_of(content, run.name)
    if not isinstance(spec, AuditSpec):
        raise BrittleError(f"expected an audit, got a {run.manifest.study} run")
    with standing_in(folder):
        return opened_models(beside_bare(spec.models)[0], spec.device, seed=spec.seed)
