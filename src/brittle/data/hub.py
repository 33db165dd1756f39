"""A data set of the Hugging Face hub."""

import re

import datasets
import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError

from brittle.data.examples import Examples
from brittle.data.fit import Fit
from brittle.data.hf_layout import columns_of, encoded_images, labels_of
from brittle.data.limit import chosen
from brittle.data.rows import examples_of_rows
from brittle.errors import BrittleError

_PREFERRED_SPLITS = ("test", "validation", "train")
_TIMEOUT = 10.0  # seconds until a hub that does not answer counts as out of reach


def load_hub(spec: str, *, limit: int | None, fit: Fit | None) -> Examples:
    """Examples from ``hf:REPO[:SPLIT]``, downloaded once into the Hugging Face cache; ids are row numbers.

    Without a split: test, else validation, else train. With HF_HUB_OFFLINE=1 the cache alone is used. Raises
    BrittleError where the hub is out of reach, or has no such data set or split.
    """
    repository, _, split = spec.removeprefix("hf:").partition(":")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repository):
        raise BrittleError(f"expected hf:REPO[:SPLIT] such as hf:uoft-cs/cifar10:test, got {spec!r}")
    _ask_hub(repository)
    try:
        split = split or _split_of(repository)
        dataset = datasets.load_dataset(repository, split=split)
    except BrittleError:
        raise
    except Exception as error:  # network, cache, repository layout: the library raises nearly anything
        raise BrittleError(f"cannot load {spec!r}: {_line(error)}") from None
    return _examples(dataset, f"hf:{repository}:{split}", limit, fit)


def _ask_hub(repository: str) -> None:
    """One quick question to the hub, since load_dataset asks an unreachable one again and again, half a minute long."""
    if datasets.config.HF_HUB_OFFLINE:
        return
    try:
        huggingface_hub.HfApi().dataset_info(repository, timeout=_TIMEOUT)
    except HfHubHTTPError as error:
        raise BrittleError(
            f"the Hugging Face hub gives no data set {repository!r} (HTTP {error.response.status_code}); check its"
            " name, and log in if it is private"
        ) from None
    except Exception as error:  # whatever the HTTP library of the day raises
        raise BrittleError(
            f"the Hugging Face hub is out of reach for data set {repository!r} ({_line(error)}); set HF_HUB_OFFLINE=1"
            " to use a copy downloaded earlier, or give a .parquet file or a folder"
        ) from None


def _split_of(repository: str) -> str:
    splits = datasets.get_dataset_split_names(repository)
    for split in _PREFERRED_SPLITS:
        if split in splits:
            return split
    raise BrittleError(
        f"data set {repository!r} has none of the splits {', '.join(_PREFERRED_SPLITS)}; name one of its own:"
        f" {', '.join(f'hf:{repository}:{split}' for split in splits)}"
    )


def _examples(dataset: datasets.Dataset, source: str, limit: int | None, fit: Fit | None) -> Examples:
    columns = columns_of(dataset.features, source)
    count = len(dataset)
    if count == 0:
        raise BrittleError(f"{source} has no rows")
    arrow = dataset.select_columns([columns.image, columns.label]).with_format("arrow")
    labels = labels_of(arrow.select_columns([columns.label])[:].column(0), columns.label, source)
    rows = chosen(count, limit)
    picked = arrow if limit is None else arrow.select(rows)
    stored = encoded_images(picked[:].column(columns.image), columns.image, source)
    return examples_of_rows(
        rows,
        stored,
        count=count,
        labels=labels,
        class_names=columns.class_names,
        source=source,
        shown=source,
        files=True,
        fit=fit,
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
