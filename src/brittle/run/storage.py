"""Writing a run directory so that at any moment it holds whole files only, from one writer only."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from brittle.errors import BrittleError
from brittle.records import Manifest, read_manifest
from brittle.records.seals import Stamp, sealed, stamp_of
from brittle.run.plan import differences
from brittle.types import Images

_TEMPORARY = ".writing-"
_LOCK = ".lock"
_MANIFEST = "manifest.json"
_CHOOSE = "choose another --out directory"


def check_place(directory: Path) -> None:
    """Refuses, before any work, what can be no run directory: a file, a path below one, a directory of other things."""
    try:
        if directory.is_dir():
            if not (directory / _MANIFEST).exists():
                _refuse_strangers(directory)
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
    if not (directory / _MANIFEST).exists():
        return
    changed = differences(read_manifest(directory), wanted, mended=mended)
    if changed:
        raise BrittleError(
            f"{str(directory)!r} holds a different run ({'; '.join(changed)}); {_CHOOSE}, or repeat the same"
            " settings to resume that run"
        )


@contextmanager
def opened(directory: Path, wanted: Manifest, *, mended: bool = False) -> Iterator[Manifest]:
    """A run directory to write to, new or resumed, locked against a second writer; gives the manifest in force.

    mended: as for ``check_same``; the manifest then takes over the fingerprint of the data as it is now.
    Raises BrittleError where the directory cannot be written to, has another writer, or holds another run.
    """
    with _locked(directory):
        for leftover in directory.rglob(f"{_TEMPORARY}*"):  # of a writer that was killed; the lock says it is gone
            leftover.unlink()
        path = directory / _MANIFEST
        if not path.exists():
            write_manifest(path, wanted)
            yield wanted
            return
        check_same(directory, wanted, mended=mended)  # again: another writer may have come and gone before the lock
        stored = read_manifest(directory)
        if stored.data_fingerprint != wanted.data_fingerprint:
            stored = stored.model_copy(update={"data_fingerprint": wanted.data_fingerprint, "probe": wanted.probe})
            write_manifest(path, stored)
        yield stored


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
                f"another audit is writing to {str(directory)!r}; wait until it has finished, or {_CHOOSE}"
            ) from None
        except OSError as error:
            raise BrittleError(f"cannot lock {str(directory)!r}: {error.strerror}; {_CHOOSE}") from None
        yield


def _refuse_strangers(directory: Path) -> None:
    strange = sorted(p.name for p in directory.iterdir() if p.name != _LOCK and not p.name.startswith(_TEMPORARY))
    if strange:
        raise BrittleError(
            f"{str(directory)!r} is not empty and not a run directory (it has {strange[0]!r}); {_CHOOSE}"
        )


def write_manifest(path: Path, manifest: Manifest) -> None:
    """The manifest, whole."""
    _write(path, lambda target: target.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8"))


def write_records(path: Path, table: pa.Table, clean: Stamp, adversarial: Stamp | None) -> None:
    """One record shard, whole, sealed with the stamps of its images' files (None: not kept)."""
    whole = sealed(table, clean, adversarial)
    _write(path, lambda target: pq.write_table(whole, target, compression="zstd"))


def write_images(path: Path, images: Images, rows: Tensor | None = None) -> Stamp:
    """One image shard, whole, and what it is known by. rows: int64 ``[n]``, where only some of the shard's are kept."""
    content = encoded(images, rows)
    _write(path, lambda target: target.write_bytes(content))
    return stamp_of(content)


def encoded(images: Images, rows: Tensor | None = None) -> bytes:
    """The content of an image shard: uint8 where that holds the images exactly, float32 elsewhere."""
    images = images.cpu()  # where a division by 255 rounds as it does everywhere; a GPU multiplies by 1 / 255
    levels = (images * 255).round().clamp(0, 255)
    exact = bool((levels / 255 == images).all())
    parts = {"images": (levels.to(torch.uint8) if exact else images).contiguous()}
    # Not by save_file, which leaves a file that only its owner may read.
    return save(parts if rows is None else parts | {"rows": rows.cpu()})


def _write(path: Path, writer: Callable[[Path], object]) -> None:
    """Writes beside the target and renames: another process sees the whole file or none, and so does a power cut."""
    temporary = path.with_name(f"{_TEMPORARY}{path.name}")
    try:
        _make(path.parent)
        try:
            writer(temporary)
            _flush(temporary)
            os.replace(temporary, path)
            _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, SafetensorError) as error:  # a full disk, a quota, a lost mount
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise BrittleError(f"cannot write {str(path)!r}: {reason}") from None


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
