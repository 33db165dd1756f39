"""Writing a run directory so that at any moment it holds whole files only, from one writer only."""

import errno
import fcntl
import hashlib
import io
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import final

import pyarrow as pa
import pyarrow.parquet as pq

from brittle.errors import BrittleError
from brittle.places import content_of, is_remote, removed
from brittle.records import (
    MANIFEST,
    Manifest,
    image_file,
    part_paths,
    read_manifest,
    read_shard,
    readable_shard,
    record_path,
    schema_of,
    span_of,
)
from brittle.records.seals import Stamp, is_intact, seal_of, sealed, stamp_of, unsealed
from brittle.run.plan import differences
from brittle.run.spec import toml_of
from brittle.run.study import Done, Unit

TEMPORARY = ".writing-"
_LOCK = ".lock"
_SCRATCH = "scratch"
SPEC = "spec.toml"
_CHOOSE = "choose another --out directory"


def check_place(directory: Path) -> None:
    """Refuses, before any work, what can be no run directory: a file, a path below one, a directory of other things."""
    try:
        if directory.is_dir():
            if not (directory / MANIFEST).exists():
                _refuse_strangers(directory)
            return
        if is_remote(directory):
            return
        if directory.exists() or directory.is_symlink():
            raise BrittleError(f"expected a directory for --out, got the file {str(directory)!r}")
        above = next(parent for parent in directory.absolute().parents if parent.exists())
        if not above.is_dir():
            raise BrittleError(f"cannot make the directory {str(directory)!r}: {str(above)!r} is a file; {_CHOOSE}")
        if not os.access(above, os.W_OK | os.X_OK):
            raise BrittleError(
                f"cannot make the directory {str(directory)!r} in {str(above)!r}: no permission; {_CHOOSE}"
            )
    except OSError as error:
        raise BrittleError(f"cannot write to {str(directory)!r}: {error.strerror}; {_CHOOSE}") from None


def check_same(directory: Path, wanted: Manifest, *, mended: bool = False) -> None:
    """Refuses to continue another run, before anything is touched. mended: its data may have changed since."""
    stored = stored_manifest(directory)
    changed = [] if stored is None else differences(stored, wanted, mended=mended)
    if changed:
        raise BrittleError(
            f"{str(directory)!r} holds a different run ({'; '.join(changed)}); {_CHOOSE}, or repeat the same"
            " settings to resume that run"
        )


def stored_manifest(directory: Path) -> Manifest | None:
    """The manifest of a run that has begun."""
    return read_manifest(directory) if (directory / MANIFEST).exists() else None


@contextmanager
def opened(directory: Path, wanted: Manifest, *, mended: bool = False) -> Iterator["Store"]:
    """A run directory to write to, new or resumed, locked against a second writer.

    mended: as for ``check_same``; the manifest then takes over the fingerprints of the data as they are now.
    Raises BrittleError where the directory cannot be written to, has another writer, or holds another run.
    """
    with nullcontext() if is_remote(directory) else _locked(directory):
        if not is_remote(directory):
            for leftover in directory.rglob(f"{TEMPORARY}*"):  # of a writer that was killed; the lock says it is gone
                leftover.unlink()
        check_same(directory, wanted, mended=mended)  # again: another writer may have come and gone before the lock
        stored = stored_manifest(directory)
        if stored is not None:
            wanted = _kept(stored, wanted)
        content = (wanted.model_dump_json(indent=2) + "\n").encode()
        if stored is None or content_of(directory / MANIFEST) != content:  # what is there may be of an older version
            if wanted.spec is not None:
                write(directory / SPEC, toml_of(wanted.spec, directory).encode())
            write(directory / MANIFEST, content)
        yield Store(directory, wanted)


def _kept(stored: Manifest, wanted: Manifest) -> Manifest:
    """What is in force: the stored manifest, unless the run has grown, or its data were mended."""
    names, fingerprints = (
        [[getattr(model, field) for model in one.models] for one in (stored, wanted)]
        for field in ("name", "data_fingerprint")
    )
    has_grown = any(len(getattr(wanted, field)) > len(getattr(stored, field)) for field in ("attacks", "goals"))
    if has_grown or wanted.transfer != stored.transfer or wanted.examples > stored.examples or names[0] != names[1]:
        return wanted
    return stored if fingerprints[0] == fingerprints[1] else stored.model_copy(update={"models": wanted.models})


@final
class Store:
    """A run directory with the manifest in force; whole files only, from one writer."""

    def __init__(self, directory: Path, manifest: Manifest) -> None:
        self.directory, self.manifest = directory, manifest
        self._written: dict[str, Stamp] = {}

    def read(self, name: str) -> bytes:
        return content_of(self.directory / name)

    def finished(self, unit: Unit, shared: Callable[[], Mapping[str, bytes]]) -> pa.Table | None:
        """The records of a unit that needs no more work: they are whole, and so are its files.

        shared: what it shares with other units, to be written again where that is all that is damaged.
        """
        table = readable_shard(record_path(self.directory, unit.key), self._schema(unit))
        if table is None or seal_of(table.schema).span != unit.span:
            return None
        stamps = seal_of(table.schema).files
        damaged = [name for name, stamp in stamps.items() if not self._is_intact(name, stamp)]
        if damaged:
            again = shared()
            if any(name not in again or stamp_of(again[name]) != stamps[name] for name in damaged):
                return None
            self._write(again)
        return table

    def keep(self, unit: Unit, done: Done, given: str) -> None:
        """Files first: a record file means a finished unit, and files without one are made again."""
        stamps = self._write(done.files)
        buffer = io.BytesIO()
        pq.write_table(sealed(done.table, unit.span, given, stamps), buffer, compression="zstd")
        write(record_path(self.directory, unit.key), buffer.getvalue())
        self._clear_scratch(unit)

    def scratch(self, unit: Unit) -> Path:
        """A folder for what a unit goes on from where it was stopped, until it is finished."""
        place = self._scratch / unit.key
        _make(place)
        return place

    @property
    def _scratch(self) -> Path:
        """Of a remote run it is on this machine, which alone goes on from there."""
        if not is_remote(self.directory):
            return self.directory / _SCRATCH
        named = hashlib.sha256(str(self.directory).encode()).hexdigest()[:16]
        return Path(gettempdir()) / f"brittle-{os.getuid()}" / named

    def _clear_scratch(self, unit: Unit) -> None:
        removed(self._scratch / unit.key)
        with suppress(OSError):  # there is none, or others are at work
            self._scratch.rmdir()

    def share(self, files: Mapping[str, bytes]) -> None:
        """Files that belong to several units, for the parts of one."""
        self._write(files)

    def parts(self, unit: Unit) -> list[Unit]:
        """The parts of a unit that are finished, in order; what is damaged of others is removed."""
        self._demote(unit)
        found = []
        for path in part_paths(self.directory, unit.key):
            part = unit.part(*span_of(path))
            if self.finished(part, dict) is None:
                path.unlink()
            else:
                found.append(part)
        return found

    def _demote(self, unit: Unit) -> None:
        """What was the whole unit before the run grew becomes a part of it."""
        path, own = record_path(self.directory, unit.key), image_file(unit.key)
        table = readable_shard(path, self._schema(unit))
        if table is None or (seal := seal_of(table.schema)).span == unit.span:
            return
        part = unit.part(*seal.span)
        if own not in seal.files:
            self.keep(part, Done(unsealed(table), {}), seal.given)
        elif self._is_intact(own, seal.files[own]):
            self.keep(part, Done(unsealed(table), {image_file(part.key): self.read(own)}), seal.given)
        path.unlink()

    def made(self, part: Unit) -> Done:
        """What a finished part has made, read again."""
        table = read_shard(record_path(self.directory, part.key), self._schema(part))
        return Done(unsealed(table), {name: self.read(name) for name in seal_of(table.schema).files})

    def clear(self, unit: Unit) -> None:
        """Removes what there is of a unit's parts, records first, as they say of files that they are there; and what it
        would have gone on from."""
        for folder in ("records", "images"):
            removed(self.directory / folder / unit.key)
        self._clear_scratch(unit)

    def _schema(self, unit: Unit) -> pa.Schema | None:
        return schema_of(self.manifest.study, unit.key)

    def _write(self, files: Mapping[str, bytes]) -> dict[str, Stamp]:
        stamps = {name: stamp_of(content) for name, content in files.items()}
        for name, content in files.items():
            if not self._is_intact(name, stamps[name]):
                write(self.directory / name, content)
                self._written[name] = stamps[name]
        return stamps

    def _is_intact(self, name: str, stamp: Stamp) -> bool:
        """Nobody else writes here meanwhile, so that what was found whole stays so."""
        if self._written.get(name) != stamp and is_intact(self.directory / name, stamp):
            self._written[name] = stamp
        return self._written.get(name) == stamp


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    try:
        _make(directory)
        lock = (directory / _LOCK).open("a")
    except OSError as error:
        raise BrittleError(f"cannot write to {str(directory)!r}: {error.strerror}; {_CHOOSE}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BrittleError(
                f"another run is writing to {str(directory)!r}; wait until it has finished, or {_CHOOSE}"
            ) from None
        except OSError as error:
            raise BrittleError(f"cannot lock {str(directory)!r}: {error.strerror}; {_CHOOSE}") from None
        yield


def _refuse_strangers(directory: Path) -> None:
    strange = sorted(
        p.name for p in directory.iterdir() if p.name not in (_LOCK, SPEC) and not p.name.startswith(TEMPORARY)
    )
    if strange:
        raise BrittleError(
            f"{str(directory)!r} is not empty and not a run directory (it has {strange[0]!r}); {_CHOOSE}"
        )


def write(path: Path, content: bytes) -> None:
    """Writes beside the target and renames: another process sees the whole file or none, and so does a power cut."""
    temporary = path.with_name(f"{TEMPORARY}{path.name}")
    try:
        if is_remote(path):
            path.write_bytes(content)  # the whole object, or none
            return
        _make(path.parent)
        try:
            temporary.write_bytes(content)
            _flush(temporary)
            os.replace(temporary, path)
            _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:  # a full disk, a quota, a lost mount
        raise BrittleError(f"cannot write {str(path)!r}: {error.strerror or error}") from None


def _make(directory: Path) -> None:
    """The directory and those above it, their names on the disk too."""
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for one in missing:
        _flush(one.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # there are network file systems that cannot flush a directory
            raise
    finally:
        os.close(handle)
