"""Examples from rows of a table in the Hugging Face image layout, wherever it is read from."""

from collections.abc import Sequence

import pyarrow as pa

from brittle.data.encoded import Encoded, examples_of_encoded
from brittle.data.examples import Examples
from brittle.data.fit import Fit
from brittle.data.hf_layout import image_bytes


def examples_of_rows(
    rows: Sequence[int],
    stored: Sequence[pa.Buffer | str | None],
    *,
    count: int,
    labels: Sequence[int] | None,
    class_names: Sequence[str] | None,
    source: str,
    shown: str,
    files: bool,
    fit: Fit | None,
) -> Examples:
    """Some rows of a table of ``count``, whose numbers are the ids: as wide as the last one, so that a limit changes
    none. stored: their images. labels: of all rows. shown: what errors call the table. files, fit: as for
    ``image_bytes`` and ``examples_of_encoded``."""
    width = len(str(count - 1))
    names = [f"{shown} row {row}" for row in rows]
    return examples_of_encoded(
        Encoded(
            ids=[f"{row:0{width}d}" for row in rows],
            names=names,
            labels=None if labels is None else [labels[row] for row in rows],
            class_names=class_names,
            source=source,
            data=lambda position: image_bytes(stored[position], names[position], files=files),
        ),
        fit,
    )
