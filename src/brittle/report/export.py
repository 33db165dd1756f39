"""A run for other programs: records as CSV, images as NumPy arrays and as PNG files."""

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import ZipFile

import numpy as np
import pandas as pd

from brittle.errors import BrittleError
from brittle.pages.files import replace_file
from brittle.pages.pictures import photograph, png_with_texts
from brittle.records import Manifest, damaged_images, read_manifest, read_records, stored_images

Format: TypeAlias = Callable[[Path, Manifest, pd.DataFrame], bytes]
"""What a file holds, of a run directory with its manifest and records."""


def export(directory: Path, targets: Mapping[str, Path], formats: Mapping[str, Format] | None = None) -> None:
    """Writes new files from a run directory. targets: by format, one of ``formats``, by default of ``FORMATS``.

    Everything is made before anything is written, and no file is replaced. Raises BrittleError for a target that
    exists or cannot be written, a run that has no such thing, and damaged images.
    """
    for target in targets.values():
        _check_free(target)
    if len({target.absolute() for target in targets.values()}) < len(targets):
        raise BrittleError(f"expected a file for each format, got {str(next(iter(targets.values())))!r} twice")
    manifest = read_manifest(directory)
    records = read_records(directory, manifest)
    known = FORMATS if formats is None else formats
    made = {target: known[name](directory, manifest, records) for name, target in targets.items()}
    for target, content in made.items():
        try:
            replace_file(target, content)
        except OSError as error:
            raise BrittleError(f"cannot write {str(target)!r}: {error.strerror}; choose another file") from None


def csv(directory: Path, manifest: Manifest, records: pd.DataFrame) -> bytes:
    """The records of any study, a row each, with the columns of its schema; empty where there is no value.

    A list of texts, such as flags, is joined by spaces; what else is no single value is JSON.
    """
    columns = {
        name: column.map(_plain) if column.dtype == object else _whole(column) for name, column in records.items()
    }
    text: str = pd.DataFrame(columns, columns=records.columns).to_csv(index=False, lineterminator="\n")
    return text.encode("utf-8")


def npz(directory: Path, manifest: Manifest, records: pd.DataFrame) -> bytes:
    """What an audit keeps of its images, for ``numpy.load``: arrays under the names of the folders below ``images``.

    MODEL/clean/: images ``[n, C, H, W]``, the originals, uint8 or float32 in ``[0, 1]``; examples, their ids; labels.
    MODEL/GOAL/ATTACK/: images, as above; rows, those of their originals; targets (-1: none), predictions and fooled.
    """
    _check_kept(directory, manifest, records)
    arrays: dict[str, Any] = {}
    for view in manifest.views():
        rows = records[records["model"] == view.model].drop_duplicates("position").set_index("position")
        clean, places = stored_images(directory, view.originals, view, list(rows.index))
        arrays |= _named(view.originals, images=clean.numpy(), **_columns(rows.loc[places], "example", "label"))
        row_of = {position: row for row, position in enumerate(places)}
        for spec in view.attacks:
            mine = view.of(records)
            mine = mine[mine["attack"] == spec.label].set_index("position")
            images, kept = stored_images(directory, view.slug(spec), view, list(mine.index))
            facts = _columns(mine.loc[kept].fillna({"target": -1}), "target", "adversarial_prediction", "fooled")
            numbers = np.array([row_of[position] for position in kept], dtype=np.int64)
            arrays |= _named(view.slug(spec), images=images.numpy(), rows=numbers, **facts)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def png(directory: Path, manifest: Manifest, records: pd.DataFrame) -> bytes:
    """The same images as a ZIP archive of PNG files, with the records, ``records.csv``.

    MODEL/clean/POSITION.png and MODEL/GOAL/ATTACK/POSITION.png. Of images that 8 bits do not hold these are the nearest
    that they do: whether such a one still fools, its record says, ``fooled_8bit``.
    """
    _check_kept(directory, manifest, records)
    strange = [model for model in manifest.models if model.image_shape[0] not in (1, 3)]
    if strange:
        raise BrittleError(
            f"expected images of 1 or 3 channels for PNG files, got {strange[0].image_shape[0]}; --npz takes any"
        )
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:  # PNG files are compressed already
        archive.writestr("records.csv", csv(directory, manifest, records))
        for view in manifest.views():
            mine = view.of(records)
            slugs = {view.slug(spec): mine.loc[mine["attack"] == spec.label, "position"] for spec in view.attacks}
            for slug, positions in {view.originals: mine["position"], **slugs}.items():
                for image, place in zip(*stored_images(directory, slug, view, set(positions)), strict=True):
                    name = f"{slug}/{place:08d}.png"
                    if name not in archive.NameToInfo:  # originals, of several goals
                        archive.writestr(name, png_with_texts(photograph(image)))
    return buffer.getvalue()


FORMATS: dict[str, Format] = {"csv": csv, "npz": npz, "png": png}


def _named(folder: str, **arrays: Any) -> dict[str, Any]:
    return {f"{folder}/{name}": array for name, array in arrays.items()}


def _columns(rows: pd.DataFrame, *names: str) -> dict[str, Any]:
    """Columns of records under their names in the file."""
    kinds: dict[str, tuple[str, type]] = {
        "example": ("examples", str),
        "label": ("labels", np.int64),
        "target": ("targets", np.int64),
        "adversarial_prediction": ("predictions", np.int64),
        "fooled": ("fooled", bool),
    }
    return {kinds[name][0]: rows[name].to_numpy().astype(kinds[name][1]) for name in names}


def _whole(column: "pd.Series[Any]") -> "pd.Series[Any]":
    """Whole numbers with gaps, which pandas holds as floats, as whole numbers again."""
    return column.astype("Int64") if column.name in ("target", "reject") else column


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return " ".join(value) if all(isinstance(one, str) for one in value) else json.dumps(value)
    return value


def _check_free(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise BrittleError(f"expected a new file, got {str(target)!r}, which exists; delete it, or choose another")
    if not target.absolute().parent.is_dir():
        raise BrittleError(f"cannot write {str(target)!r}: there is no directory {str(target.parent)!r}; make it first")


def _check_audit(directory: Path, manifest: Manifest) -> None:
    if manifest.study != "audit":
        raise BrittleError(
            f"expected an audit, got {str(directory)!r}, a {manifest.study} run; of that there is CSV only"
        )


def _check_kept(directory: Path, manifest: Manifest, records: pd.DataFrame) -> None:
    _check_audit(directory, manifest)
    if manifest.images == "none":
        raise BrittleError(
            f"expected a run that keeps images, got {str(directory)!r}, which keeps none; audit again with --images all"
        )
    slugs = {(v.model, v.goal, spec.label): v.slug(spec) for v in manifest.views() for spec in v.attacks}
    keys = zip(records["model"], records["goal"], records["attack"], strict=True)
    _check_whole(directory, manifest, set(zip(map(slugs.__getitem__, keys), records["position"], strict=True)))


def _check_whole(directory: Path, manifest: Manifest, shown: set[tuple[str, int]]) -> None:
    if damaged := damaged_images(directory, manifest, shown):
        raise BrittleError(f"{damaged[0]} is missing or not as written; the same audit again makes it anew")
