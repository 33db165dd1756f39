"""A Parquet file in the Hugging Face image layout."""

from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from brittle.data.examples import Examples
from brittle.data.fit import Fit
from brittle.data.hf_layout import Columns, columns_of, encoded_images, labels_of
from brittle.data.limit import chosen
from brittle.data.rows import examples_of_rows
from brittle.errors import BrittleError


def load_parquet(spec: str, *, limit: int | None, fit: Fit | None) -> Examples:
    """Examples from a ``.parquet`` file; ids are row numbers, padded with zeros.

    pyarrow reads the file and ``datasets.Features`` its types and class names. ``Dataset.from_parquet`` would give the
    same rows but first writes the whole file again as Arrow into a cache folder; reading row groups keeps only the
    chosen rows in memory and writes nothing. Raises BrittleError.
    """
    path = Path(spec).expanduser()
    shown = repr(str(path))
    try:
        if path.stat().st_size == 0:
            raise BrittleError(f"{shown} is empty (0 bytes); expected a Parquet file with images")
        with pq.ParquetFile(path) as file:
            return _load(file, spec, shown, limit, fit)
    except (pa.ArrowException, OSError) as error:
        raise BrittleError(_reason(path, shown, error)) from None


def _load(file: pq.ParquetFile, spec: str, shown: str, limit: int | None, fit: Fit | None) -> Examples:
    columns = columns_of(_features(file, shown), shown)
    count = file.metadata.num_rows
    if count == 0:
        raise BrittleError(f"{shown} has no rows")
    labels = labels_of(file.read(columns=[columns.label]).column(0), columns.label, shown)
    rows = chosen(count, limit)
    stored = _stored_images(file, columns, rows, shown)
    return examples_of_rows(
        rows,
        stored,
        count=count,
        labels=labels,
        class_names=columns.class_names,
        source=spec,
        shown=shown,
        files=False,
        fit=fit,
    )


def _features(file: pq.ParquetFile, shown: str) -> datasets.Features:
    try:
        return datasets.Features.from_arrow_schema(file.schema_arrow)
    except Exception as error:  # the features are text that anybody may have written into the file
        reason = " ".join(str(error).split())[:160]
        raise BrittleError(f"{shown} has column types that the datasets library cannot read: {reason}") from None


def _stored_images(file: pq.ParquetFile, columns: Columns, rows: list[int], shown: str) -> list[pa.Buffer | str | None]:
    """The images of some rows, a row group at a time: what is not chosen does not stay in memory."""
    ascending = sorted(rows)
    stored: list[pa.Buffer | str | None] = []
    start = taken = 0
    for group in range(file.num_row_groups):
        stop = start + file.metadata.row_group(group).num_rows
        inside = []
        while taken < len(rows) and ascending[taken] < stop:
            inside.append(ascending[taken] - start)
            taken += 1
        if inside:
            column = file.read_row_group(group, columns=[columns.image]).column(0)
            if len(inside) < len(column):
                column = column.take(pa.array(inside, pa.int64()))
            stored.extend(encoded_images(column, columns.image, shown))
        start = stop
    place = {row: number for number, row in enumerate(ascending)}
    return [stored[place[row]] for row in rows]


def _reason(path: Path, shown: str, error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot read {shown}: {error.strerror}"
    with path.open("rb") as file:
        begins_well = file.read(4) == b"PAR1"
    reason = " ".join(str(error).split())[:160]
    return f"{shown} is {'a truncated or damaged' if begins_well else 'not a'} Parquet file: {reason}"
