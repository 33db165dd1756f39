"""Images as people have them in Python: tensors, a Dataset, a DataLoader."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from brittle.data.examples import Examples, content_hashes, examples_of, fingerprint_of
from brittle.errors import BrittleError
from brittle.types import Images

EXPECTED = "Examples, (images, labels), images, or a Dataset or DataLoader of (image, label)"


def as_examples(given: Any) -> Examples:
    """``Examples`` of whatever holds images; BrittleError for anything else.

    A tensor ``[N, C, H, W]`` in [0, 1], or that and labels. A map-style ``Dataset`` of (image, label), or of images
    alone: tensors ``[C, H, W]`` in [0, 1], or Pillow images; they are read once to be known by their content, and again
    as they are needed. A ``DataLoader`` stands for its dataset, in the dataset's order.
    """
    if isinstance(given, Examples):
        return given
    if isinstance(given, Tensor):
        return examples_of(given)
    if isinstance(given, tuple | list) and len(given) == 2 and all(isinstance(one, Tensor) for one in given):
        return examples_of(given[0], given[1])
    if isinstance(given, DataLoader):
        return as_examples(given.dataset)
    if isinstance(given, Dataset) and not isinstance(given, IterableDataset) and hasattr(given, "__len__"):
        return _of_dataset(given)
    raise BrittleError(f"expected {EXPECTED}, got {type(given).__name__}")


def _of_dataset(dataset: Any) -> Examples:
    ids, labels, hashes = list[str](), list[int](), list[str]()
    width = len(str(max(0, len(dataset) - 1)))
    for place in range(len(dataset)):
        image, label = _item(dataset, place)
        ids.append(f"{place:0{width}d}")
        hashes += content_hashes(image.unsqueeze(0))
        if label is not None:
            labels.append(label)
    if labels and len(labels) < len(ids):
        raise BrittleError(f"expected a label for each image of the dataset, got {len(labels)} for {len(ids)}")
    known = torch.tensor(labels) if labels else None
    names = getattr(dataset, "classes", None)
    return Examples(
        ids=tuple(ids),
        labels=known,
        class_names=tuple(map(str, names)) if isinstance(names, list | tuple) else None,
        source=type(dataset).__name__,
        fingerprint=fingerprint_of(ids, known, hashes),
        read=lambda places: _read(dataset, places),
    )


def _read(dataset: Any, places: Sequence[int]) -> Images:
    return torch.stack([_item(dataset, place)[0] for place in places])


def _item(dataset: Any, place: int) -> tuple[Tensor, int | None]:
    item = dataset[place]
    image, label = (*item, None)[:2] if isinstance(item, tuple | list) else (item, None)
    pixels = image if isinstance(image, Tensor) else _pixels(image, dataset, place)
    if pixels.ndim != 3 or not pixels.is_floating_point() or not (pixels.min() >= 0 and pixels.max() <= 1):
        raise BrittleError(
            f"expected images [C, H, W] in [0, 1] in {type(dataset).__name__}, got {pixels.dtype} of shape"
            f" {tuple(pixels.shape)} from {float(pixels.min()):.4g} to {float(pixels.max()):.4g} as number {place};"
            " leave normalising to the Network: mean=, std="
        )
    return pixels, None if label is None else int(label)


def _pixels(image: Any, dataset: Any, place: int) -> Tensor:
    from torchvision.transforms.functional import to_tensor  # here, as it takes a second to import

    try:
        pixels: Tensor = to_tensor(image)
    except (TypeError, ValueError):
        raise BrittleError(
            f"expected {EXPECTED}, got {type(image).__name__} as number {place} of {type(dataset).__name__}"
        ) from None
    return pixels
