"""The engine: the units of any study, done in order by one worker or several, kept whole, and resumed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import final

import pandas as pd

from brittle.errors import BrittleError
from brittle.records import Manifest, read_manifest, read_records, readable_shard, record_path
from brittle.records.schema import SCHEMAS
from brittle.records.seals import seal_of
from brittle.run.plan import differences
from brittle.run.store import Store, check_place, check_same, opened, stored_manifest
from brittle.run.study import Silent, Study, Unit, Watch
from brittle.run.workers import Executor, Local


@final
@dataclass(frozen=True, slots=True)
class Run:
    """A run on disk."""

    directory: Path
    manifest: Manifest

    @staticmethod
    def open(directory: str | Path) -> "Run":
        """The run in a directory, of any study; BrittleError where there is none."""
        place = Path(directory)
        return Run(place, read_manifest(place))

    @property
    def records(self) -> pd.DataFrame:
        """One row per example and attack, or what else its study writes down: see ``brittle.records.SCHEMAS``."""
        return read_records(self.directory, self.manifest)


def run(
    study: Study,
    *,
    out: str | Path,
    command: str | None = None,
    workers: int | Executor = 1,
    watch: Watch | None = None,
) -> Run:
    """Does what a study plans, and records it.

    out: a new or empty directory, or that of the same run interrupted, which is then resumed: units that are finished
    are kept. command: for the manifest, for people. workers: processes on this machine, or what else can do units; the
    records do not depend on it. watch: is told as work goes on.

    Raises BrittleError before anything is written where the study cannot be, or the directory holds something else.
    Later, for an image that cannot be decoded or a full disk: what is finished is kept, and the same call resumes once
    the fault is mended.
    """
    directory, watch = Path(out), watch or Silent()
    executor = Local(workers) if isinstance(workers, int) else workers
    check_place(directory)
    stored = stored_manifest(directory)
    wanted = study.plan(stored, command)
    mended = stored is not None and _is_mended(study, directory, stored, wanted)
    check_same(directory, wanted, mended=mended)
    with opened(directory, wanted, mended=mended) as store:
        manifest = store.manifest
        units = study.units(manifest)
        watch.planned(manifest, units)
        try:
            _work(study, store, units, executor, watch)
        except BrittleError as error:
            raise BrittleError(
                f"{error}; what is finished is kept in {str(directory)!r}, and the same command resumes"
            ) from error
    return Run(directory, manifest)


def _work(study: Study, store: Store, units: Sequence[Unit], executor: Executor, watch: Watch) -> None:
    for stage in sorted({unit.stage for unit in units}):
        todo = []
        for unit in (one for one in units if one.stage == stage):
            table = store.finished(unit, partial(study.shared, unit, store.manifest))
            if table is None:
                todo.append(unit)
            else:
                watch.done(unit, table, study.count(table), resumed=True)
        for unit, done, given in executor.do(study, store.manifest, todo, store):
            store.keep(unit, done, given)
            watch.done(unit, done.table, study.count(done.table), resumed=False)


def _is_mended(study: Study, directory: Path, stored: Manifest, wanted: Manifest) -> bool:
    """Whether nothing but the data has changed, and that nowhere that the run has been.

    A run that stopped at a damaged image so goes on once the image is mended.
    """
    now = [model.data_fingerprint for model in wanted.models]
    if now == [model.data_fingerprint for model in stored.models] or differences(stored, wanted, mended=True):
        return False
    schema = SCHEMAS.get(stored.study)
    for unit in study.units(stored):
        table = readable_shard(record_path(directory, unit.key), schema)
        try:
            if table is not None and seal_of(table.schema).given != study.given(unit):
                return False
        except BrittleError:  # damaged still: it cannot be told
            return False
    return True
