"""Where a run may live: a directory, or a folder of whatever fsspec knows, such as ``s3://bucket/run``.

A remote place is an object with the methods of a path, by universal_pathlib; to all that reads and writes it is one.
Its files are objects, which are written whole or not at all, so that what a directory needs for that falls away: a name
to write under, and a lock, as two that write the same run at the same time write the same.
"""

import os
import shutil
import warnings
from pathlib import Path
from typing import Any

from brittle.errors import BrittleError

_TRIES = 4  # of a read that gives less than there is


def place_of(text: str | os.PathLike[str]) -> Path:
    """A path of this machine, or of what an URL names."""
    if is_remote(text):
        return text  # type: ignore[return-value]
    named = os.fspath(text)
    if "://" not in named:
        return Path(named)
    try:
        from upath import UPath
    except ImportError:
        raise BrittleError(
            f"{named!r} needs universal_pathlib, which is not installed: pip install 'brittle[remote]'"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of storages that universal_pathlib has no class of its own for
            place: Any = UPath(named)
            place.fs  # noqa: B018  # here, as what speaks the protocol is loaded with it
    except (ImportError, ValueError) as error:
        raise BrittleError(f"cannot open {named!r}: {' '.join(str(error).split())}") from None
    return place  # type: ignore[no-any-return]


def is_remote(path: Any) -> bool:
    """Whether it is an object of some storage and no file of this machine."""
    return hasattr(path, "fs")


def content_of(path: Path) -> bytes:
    """All bytes of a file; OSError. A remote one is read again where the connection has ended too early."""
    content = path.read_bytes()
    if not is_remote(path):
        return content
    for _ in range(_TRIES - 1):
        if len(content) == path.stat().st_size:
            break
        content = path.read_bytes()
    return content


def removed(folder: Path) -> None:
    """A folder and all that is in it, if there is one."""
    if not is_remote(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.exists():
        folder.fs.rm(folder.path, recursive=True)  # type: ignore[attr-defined]
