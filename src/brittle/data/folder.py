"""A folder of images: one sub-folder per class, or loose images without labels."""

from pathlib import Path

from brittle.data.decode import EXTENSIONS
from brittle.data.encoded import Encoded, examples_of_encoded
from brittle.data.examples import Examples
from brittle.data.fit import Fit
from brittle.data.limit import evenly_spaced
from brittle.types import BrittleError


def load_folder(spec: str, *, limit: int | None, fit: Fit | None) -> Examples:
    """Examples from a folder; ids are the files' paths within it, with forward slashes.

    Class folders: the sub-folders in sorted order (as torchvision's ImageFolder) are the classes 0, 1, 2..., and each
    must hold images itself. Loose images: labels None. Files whose names do not end as images do (notes.txt) and
    hidden ones are passed over; a file that ends as an image and is not one is an error, as is a folder that has
    loose images and class folders. Raises BrittleError.
    """
    folder = Path(spec).expanduser()
    try:
        files, classes = _layout(folder)
    except OSError as error:
        raise BrittleError(f"cannot read the folder {str(error.filename or folder)!r}: {error.strerror}") from None
    chosen = [files[position] for position in evenly_spaced(len(files), limit)]
    ids = [file.relative_to(folder).as_posix() for file in chosen]
    for name in ids:
        if name != name.encode(errors="replace").decode():
            raise BrittleError(f"file {name!r} in {str(folder)!r} has a name that is not UTF-8; rename it")
    index = {name: number for number, name in enumerate(classes)}
    return examples_of_encoded(
        Encoded(
            ids=ids,
            names=[repr(str(file)) for file in chosen],
            labels=[index[file.parent.name] for file in chosen] if classes else None,
            class_names=classes or None,
            source=spec,
            data=lambda position: _bytes(chosen[position]),
        ),
        fit,
    )


def _layout(folder: Path) -> tuple[list[Path], list[str]]:
    """All image files, and the class names (empty for loose images)."""
    loose = _images(folder)
    inside = {sub.name: _images(sub) for sub in _visible(folder) if sub.is_dir()}
    full = [name for name, images in inside.items() if images]
    shown = repr(str(folder))
    if loose and full:
        raise BrittleError(
            f"{shown} has {len(loose)} loose images beside class folders such as {full[0]!r}; move one kind away"
        )
    if loose:
        return loose, []
    if not full:
        parquet = sorted(file.name for file in _visible(folder) if file.suffix == ".parquet")
        hint = f"; did you mean {str(folder / parquet[0])!r}?" if parquet else ""
        raise BrittleError(
            f"no images in {shown}: expected files such as photo.jpg or photo.png, loose or in one folder per class"
            f"{hint}"
        )
    if len(full) < len(inside):
        empty = next(name for name in inside if name not in full)
        raise BrittleError(
            f"class folder {empty!r} in {shown} holds no images itself; remove it, or name the folder whose"
            " sub-folders are the classes"
        )
    return [file for name in full for file in inside[name]], full


def _visible(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))


def _images(folder: Path) -> list[Path]:
    return [entry for entry in _visible(folder) if entry.suffix.lower() in EXTENSIONS and not entry.is_dir()]


def _bytes(file: Path) -> bytes:
    if file.exists() and not file.is_file():
        raise BrittleError(f"{str(file)!r} is not an image: it is no regular file")  # reading a pipe would wait forever
    try:
        return file.read_bytes()
    except OSError as error:
        raise BrittleError(f"cannot read {str(file)!r}: {error.strerror}") from None
