"""Writing a run directory so that at any moment it holds whole files only, from one writer only."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save_file

from brittle.run.plan import differences
from brittle.run.records import Manifest, read_manifest
from brittle.types import BrittleError, Images

_TEMPORARY = ".writing-"
_LOCK = ".lock"


@contextmanager
def opened(directory: Path, wanted: Manifest) -> Iterator[Manifest]:
    """A run directory to write to, new or resumed, locked against a second writer; gives the manifest in force.

    Raises BrittleError, and changes nothing, where the directory holds another run or something else.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / _LOCK).open("w")
    except OSError as error:
        raise BrittleError(
            f"cannot write to {str(directory)!r}: {error.strerror}; choose another --out directory"
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BrittleError(
                f"another audit is writing to {str(directory)!r}; wait for it or choose another"
            ) from None
        for leftover in directory.rglob(f"{_TEMPORARY}*"):  # of a writer that was killed; the lock says it is gone
            leftover.unlink()
        if not (directory / "manifest.json").exists():
            _write(directory / "manifest.json", lambda path: path.write_text(wanted.model_dump_json(indent=2) + "\n"))
            yield wanted
        else:
            yield read_manifest(directory)


def check_out(directory: Path, wanted: Manifest) -> None:
    """Refuses an output directory that is not empty and not this run, before anything is touched."""
    if directory.exists() and not directory.is_dir():
        raise BrittleError(f"expected a directory for --out, got the file {str(directory)!r}")
    if not directory.is_dir():
        return
    if (directory / "manifest.json").exists():
        changed = differences(read_manifest(directory), wanted)
        if changed:
            raise BrittleError(
                f"{str(directory)!r} holds a different run ({'; '.join(changed)}); choose another --out directory, or"
                " repeat the same settings to resume that run"
            )
        return
    strange = sorted(p.name for p in directory.iterdir() if p.name != _LOCK and not p.name.startswith(_TEMPORARY))
    if strange:
        raise BrittleError(
            f"{str(directory)!r} is not empty and not a run directory (it has {strange[0]!r}); choose another --out"
        )


def shard_path(directory: Path, kind: str, slug: str, shard: int) -> Path:
    """Where a shard lives: ``records/<slug>/00000.parquet`` or ``images/<slug>/00000.safetensors``."""
    suffix = "parquet" if kind == "records" else "safetensors"
    return directory / kind / slug / f"{shard:05d}.{suffix}"


def write_records(path: Path, table: pa.Table) -> None:
    """One record shard, whole."""
    _write(path, lambda target: pq.write_table(table, target, compression="zstd"))


def write_images(path: Path, images: Images) -> None:
    """One image shard, whole: uint8 where that holds the images exactly, float32 elsewhere."""
    levels = (images * 255).round().clamp(0, 255)
    exact = bool((levels / 255 == images).all())
    stored = levels.to(torch.uint8) if exact else images
    _write(path, lambda target: save_file({"images": stored.contiguous().cpu()}, target))


def _write(path: Path, writer: Callable[[Path], object]) -> None:
    """Writes beside the target and renames: another process sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_TEMPORARY}{path.name}")
    try:
        writer(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
