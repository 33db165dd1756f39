"""A folder of images: one sub-folder per class, or loose images without labels."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from brittle.data.decode import EXTENSIONS
from brittle.data.encoded import Encoded, examples_of_encoded
from brittle.data.examples import Examples
from brittle.data.fit import Fit
from brittle.data.limit import chosen
from brittle.errors import BrittleError


def load_folder(spec: str, *, limit: int | None, fit: Fit | None) -> Examples:
    """Examples from a folder; ids are the files' paths within it, with forward slashes.

    Class folders: the sub-folders in sorted order (as torchvision's ImageFolder) are the classes 0, 1, 2..., and each
    must hold images itself. Loose images: labels None. Files whose names do not end as images do (notes.txt) and
    hidden ones are passed over; a file that ends as an image and is not one is an error, as is a folder that has
    loose images and class folders. Raises BrittleError.
    """
    folder = str(Path(spec).expanduser())
    try:
        files, classes = _layout(folder)
    except OSError as error:
        raise BrittleError(f"cannot read the folder {str(error.filename or folder)!r}: {error.strerror}") from None
    ids = [files[position] for position in chosen(len(files), limit)]
    for name in ids:
        if not name.isascii() and name != name.encode(errors="replace").decode():
            raise BrittleError(f"file {name!r} in {folder!r} has a name that is not UTF-8; rename it")
    above = os.path.join(folder, "")
    paths = [f"{above}{name}" for name in ids]
    index = {name: number for number, name in enumerate(classes)}
    return examples_of_encoded(
        Encoded(
            ids=ids,
            names=[repr(path) for path in paths],
            labels=[index[name.partition("/")[0]] for name in ids] if classes else None,
            class_names=classes or None,
            source=spec,
            data=lambda position: _bytes(paths[position]),
        ),
        fit,
    )


@final
@dataclass(frozen=True, slots=True)
class _Names:
    """What a folder holds, by name; hidden entries do not count."""

    images: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)


def _layout(folder: str) -> tuple[list[str], list[str]]:
    """All image files by their paths within the folder, and the class names (empty for loose images)."""
    top = _names(folder)
    inside = {name: _names(os.path.join(folder, name)).images for name in top.folders}
    full = [name for name, images in inside.items() if images]
    if top.images and full:
        raise BrittleError(
            f"{folder!r} has {len(top.images)} loose images beside class folders such as {full[0]!r}; move one kind"
            " away"
        )
    if top.images:
        return top.images, []
    if not full:
        hint = f"; did you mean {os.path.join(folder, top.tables[0])!r}?" if top.tables else ""
        raise BrittleError(
            f"no images in {folder!r}: expected files such as photo.jpg or photo.png, loose or in one folder per class"
            f"{hint}"
        )
    if len(full) < len(inside):
        empty = next(name for name in inside if name not in full)
        raise BrittleError(
            f"class folder {empty!r} in {folder!r} holds no images itself; remove it, or name the folder whose"
            " sub-folders are the classes"
        )
    return [f"{name}/{file}" for name in full for file in inside[name]], full


def _names(folder: str) -> _Names:
    """One listing, sorted, that asks nothing of any single file: a stat for each is what makes large folders slow.

    Only a link that does not end as an image does is looked up, as it may lead to a class folder.
    """
    found = _Names()
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            if name.lower().endswith(EXTENSIONS) and not entry.is_dir(follow_symlinks=False):
                found.images.append(name)
            elif entry.is_dir():
                found.folders.append(name)
            elif name.endswith(".parquet"):
                found.tables.append(name)
    for names in (found.images, found.folders, found.tables):
        names.sort()
    return found


def _bytes(path: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would have us wait forever
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise BrittleError(f"{path!r} is not an image: it is no regular file")
            data = os.read(handle, found.st_size)
            while len(data) < found.st_size and (more := os.read(handle, found.st_size - len(data))):
                data += more
            return data
        finally:
            os.close(handle)
    except OSError as error:
        raise BrittleError(f"cannot read {path!r}: {error.strerror}") from None
