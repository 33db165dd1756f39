"""The engine: the units of any study, done in order by one worker or several, kept whole, and resumed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import final

import pandas as pd
import pyarrow as pa

from brittle import checks
from brittle.display import displayed
from brittle.errors import BrittleError
from brittle.records import (
    Manifest,
    part_paths,
    read_certificates,
    read_manifest,
    read_records,
    read_transfers,
    readable_shard,
    record_path,
    schema_of,
)
from brittle.records.seals import seal_of
from brittle.run.executors import Workers, executor_of
from brittle.run.pieces import Pieces
from brittle.run.plan import differences
from brittle.run.store import Store, check_place, check_same, opened, stored_manifest
from brittle.run.study import Done, Study, Unit, Watch
from brittle.run.tally import Logged
from brittle.run.workers import Executor, Made


@final
@dataclass(frozen=True, slots=True)
class Run:
    """A run on disk."""

    directory: Path
    manifest: Manifest

    @staticmethod
    def open(directory: str | Path) -> "Run":
        """The run in a directory, of any study; BrittleError where there is none."""
        place = checks.place("a run directory", directory)
        return Run(place, read_manifest(place))

    @property
    def records(self) -> pd.DataFrame:
        """One row per example and attack, or what else its study writes down: see ``brittle.records.SCHEMAS``."""
        return read_records(self.directory, self.manifest)

    @property
    def transfers(self) -> pd.DataFrame:
        """Of an audit with transfer: what was made for each model on every other, ``brittle.records.TRANSFERRED``."""
        return read_transfers(self.directory, self.manifest)

    @property
    def certificates(self) -> pd.DataFrame:
        """Of an audit of models that prove something: each image's radius, ``brittle.records.CERTIFIED``."""
        return read_certificates(self.directory, self.manifest)

    def _repr_html_(self) -> str:
        return displayed(self)


def run(
    study: Study,
    *,
    out: str | Path,
    command: str | None = None,
    workers: Workers = 1,
    watch: Watch | None = None,
) -> Run:
    """Does what a study plans, and records it.

    out: a new or empty directory, or that of the same run interrupted, which is then resumed: units that are finished
    are kept. command: for the manifest, for people. workers: processes on this machine, ``"ray"``, or what else can do
    units; the records do not depend on it. watch: is told as work goes on; by default Python's logger ``brittle`` is.

    Raises BrittleError before anything is written where the study cannot be, or the directory holds something else.
    Later, for an image that cannot be decoded or a full disk: what is finished is kept, and the same call resumes once
    the fault is mended.
    """
    directory, watch = checks.place("out", out), watch or Logged()
    executor = executor_of(workers)
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
        begun = dict[str, _Begun]()
        for unit in (one for one in units if one.stage == stage):
            table = store.finished(unit, partial(study.shared, unit, store.manifest))
            if table is None:
                begun[unit.key] = _Begun(study, store, unit, watch)
            else:
                store.clear(unit)
                watch.done(unit, table, study.count(table), None)
        pieces = Pieces([gap for one in begun.values() for gap in one.gaps()])
        try:
            for made in executor.do(study, store.manifest, pieces, store):
                key = made.piece.key
                begun[key if key in begun else key.rpartition("/")[0]].keep(made)
                watch.done(made.piece, made.done.table, study.count(made.done.table), made.seconds)
        except BaseException:
            for piece, seconds in pieces.begun.items():
                watch.lost(piece, seconds)
            raise


@final
class _Begun:
    """A unit that is not finished, and what there is of it, of which the watch is told."""

    def __init__(self, study: Study, store: Store, unit: Unit, watch: Watch) -> None:
        self.study, self.store, self.unit = study, store, unit
        self.parts, self.has_shared = store.parts(unit), False
        for part in self.parts:
            table = store.made(part).table
            watch.done(part, table, study.count(table), None)
        self._join()

    def gaps(self) -> Iterator[tuple[Unit, int, int]]:
        """What is missing."""
        start = self.unit.start
        for part in self.parts:
            if start < part.start:
                yield self.unit, start, part.start
            start = part.stop
        if start < self.unit.stop:
            yield self.unit, start, self.unit.stop

    def keep(self, made: Made) -> None:
        """The whole, or a part, which may complete it."""
        if made.piece == self.unit:
            self.store.keep(self.unit, made.done._replace(files={**made.shared, **made.done.files}), made.given)
            return
        if not self.has_shared:
            self.store.share(made.shared)
            self.has_shared = True
        self.store.keep(made.piece, made.done, made.given)
        self.parts = sorted((*self.parts, made.piece), key=lambda part: part.start)
        self._join()

    def _join(self) -> None:
        """Puts the whole in the place of its parts, once they are all there."""
        if any(self.gaps()):
            return
        made = [(part, self.store.made(part)) for part in self.parts]
        table = pa.concat_tables([done.table for _, done in made])
        files = {**self.study.shared(self.unit, self.store.manifest), **self.study.joined(self.unit, made)}
        self.store.keep(self.unit, Done(table, files), self.study.given(self.unit))
        self.store.clear(self.unit)


def _is_mended(study: Study, directory: Path, stored: Manifest, wanted: Manifest) -> bool:
    """Whether nothing but the data has changed, and that nowhere that the run has been.

    A run that stopped at a damaged image so goes on once the image is mended; and one that grows to more images.
    """
    now = [model.data_fingerprint for model in wanted.models]
    if now == [model.data_fingerprint for model in stored.models] or differences(stored, wanted, mended=True):
        return False
    for unit in study.units(stored):
        schema = schema_of(stored.study, unit.key)
        for path in (record_path(directory, unit.key), *part_paths(directory, unit.key)):
            table = readable_shard(path, schema)
            try:
                if table is not None:
                    seal = seal_of(table.schema)
                    if seal.given != study.given(replace(unit, start=seal.span[0], stop=seal.span[1])):
                        return False
            except BrittleError:  # damaged still: it cannot be told
                return False
    return True
