"""The Hugging Face image layout: an image column of ``struct{bytes, path}`` and an integer label column."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from brittle.errors import BrittleError

_IMAGE_NAMES = ("image", "img")
_LABEL_NAMES = ("label", "labels", "fine_label")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the images and labels are; class names where the features give them."""

    image: str
    label: str
    class_names: tuple[str, ...] | None


def columns_of(features: Mapping[str, Any], source: str) -> Columns:
    """Columns found by feature type (Image, ClassLabel); by name where types do not decide.

    Raises BrittleError listing the columns where there is no such column. A table without a label column is refused
    rather than read as unlabelled: a label column under another name would go unnoticed, and everything would count
    as correct. Unlabelled data has a label column of -1.
    """
    import datasets  # here, as workers read images without it, and it takes half a second

    image = _column(features, datasets.Image, _IMAGE_NAMES, "image", source)
    label = _column(features, datasets.ClassLabel, _LABEL_NAMES, "label", source)
    feature = features[label]
    return Columns(image, label, tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else None)


def _column(features: Mapping[str, Any], kind: type, names: tuple[str, ...], what: str, source: str) -> str:
    typed = [name for name, feature in features.items() if isinstance(feature, kind)]
    if len(typed) == 1:
        return typed[0]
    for name in names:
        if name in (typed or features):
            return name
    found = ", ".join(f"{name} ({_type_of(feature)})" for name, feature in features.items())
    raise BrittleError(f"expected one {what} column ({' or '.join(names)}) in {source}, got {found}")


def _type_of(feature: Any) -> str:
    kind = type(feature).__name__
    return str(feature.dtype) if kind == "Value" else kind


def labels_of(column: pa.ChunkedArray, name: str, source: str) -> list[int] | None:
    """Class indices, or None where all are missing (null, or -1 as the Hugging Face hub writes it).

    Raises BrittleError where some are missing, and for labels that are not integers or are negative.
    """
    if not (pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        raise BrittleError(f"expected integer labels in column {name!r} of {source}, got {column.type}")
    labels = [-1 if label is None else label for label in column.to_pylist()]
    missing = labels.count(-1)
    if missing == len(labels):
        return None
    if missing:
        raise BrittleError(
            f"{missing} of {len(labels)} labels are missing in column {name!r} of {source} (row {labels.index(-1)} is"
            " the first); label all rows or none"
        )
    for row, label in enumerate(labels):
        if not 0 <= label < 2**63:
            raise BrittleError(f"expected labels from 0 on in column {name!r} of {source}, got {label} in row {row}")
    return labels


def encoded_images(column: pa.ChunkedArray, name: str, source: str) -> list[pa.Buffer | str | None]:
    """For each row the bytes of the image file (not copied), or the path of the file, or None where both are null."""
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        stored = pc.struct_field(column, "bytes")
        has_path = column.type.get_field_index("path") >= 0
        paths = pc.struct_field(column, "path").to_pylist() if has_path and stored.null_count else None
    else:
        stored, paths = column, None
    if not (pa.types.is_binary(stored.type) or pa.types.is_large_binary(stored.type)):
        raise BrittleError(f"expected encoded images in column {name!r} of {source}, got {column.type}")
    found: list[pa.Buffer | str | None] = [value.as_buffer() for value in stored]
    return found if paths is None else [path if data is None else data for data, path in zip(found, paths, strict=True)]


def image_bytes(stored: pa.Buffer | str | None, name: str, *, files: bool) -> bytes:
    """The bytes of one image. ``files``: whether a path may be followed (the hub's own cache, not somebody's table)."""
    if isinstance(stored, pa.Buffer):
        data: bytes = stored.to_pybytes()
        return data
    if stored is None or not files:
        raise BrittleError(f"{name} has no image bytes; write the images into the table")
    try:
        return Path(stored).read_bytes()
    except OSError as error:
        raise BrittleError(f"{name}: cannot read {stored!r}: {error.strerror}") from None
