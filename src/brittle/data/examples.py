"""Examples: images with ids, labels and class names, decoded only when asked for."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from brittle.checks import brief, texts
from brittle.errors import BrittleError
from brittle.text import counted
from brittle.types import Images, Labels


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """A finite, ordered set of labelled images.

    ids: one unique text per example; names the example in records and seeds its randomness.
    labels: int64 ``[N]``, or None where the source has none (the classifier's own prediction then serves).
    class_names: names by class index, or None.
    source: where they came from, for people.
    fingerprint: sha256 hex over ids, labels and the contents of the images; equal data, equal fingerprint.
    read: example positions -> float32 ``[len(positions), C, H, W]`` in ``[0, 1]``; called a shard at a time.
    """

    ids: tuple[str, ...]
    labels: Labels | None
    class_names: tuple[str, ...] | None
    source: str
    fingerprint: str
    read: Callable[[Sequence[int]], Images]

    def __len__(self) -> int:
        return len(self.ids)

    def images(self, start: int, stop: int) -> Images:
        """Images ``start`` to ``stop`` (exclusive), float32 ``[n, C, H, W]`` in ``[0, 1]``."""
        return self.read(range(start, min(stop, len(self))))


def examples_of(
    images: Images,
    labels: Labels | None = None,
    *,
    ids: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    source: str = "memory",
) -> Examples:
    """Examples from tensors in memory.

    images: float ``[N, C, H, W]`` in ``[0, 1]``; labels: int ``[N]`` or None; ids: unique, by default the content
    hash of each image, so that an example keeps its id (and its randomness) in any order or subset.
    Raises BrittleError for wrong shapes, ranges, or ids that repeat.
    """
    if not isinstance(images, Tensor):
        raise BrittleError(
            f"expected images as a float tensor [N, C, H, W] in [0, 1], got {brief(images)};"
            " torch.from_numpy makes one of an array, torch.stack of a list"
        )
    if images.ndim != 4 or not images.is_floating_point():
        raise BrittleError(
            f"expected float images [N, C, H, W] in [0, 1], got {images.dtype} of shape {tuple(images.shape)}"
        )
    if len(images) and not (images.min() >= 0 and images.max() <= 1):  # NaN fails both
        low, high = float(images.min()), float(images.max())
        if math.isnan(low):
            rows = int(images.isnan().flatten(1).any(1).sum())
            raise BrittleError(f"expected pixels in [0, 1], got NaN in {rows} of {counted(len(images), 'image')}")
        raise BrittleError(
            f"expected pixels in [0, 1], got [{low:.4g}, {high:.4g}]; divide 8-bit images by 255, and give mean and std"
            " to the Classifier instead of normalising the images"
        )
    if labels is not None and not isinstance(labels, Tensor):
        what = f"{counted(len(images), 'integer label')} as a tensor [N]"
        raise BrittleError(f"expected {what}, got {brief(labels)}; torch.tensor makes one")
    if labels is not None and (labels.ndim != 1 or len(labels) != len(images) or not _is_whole(labels)):
        raise BrittleError(
            f"expected {counted(len(images), 'integer label')}, got {labels.dtype} of shape {tuple(labels.shape)}"
        )
    hashes = content_hashes(images)
    names = texts("ids", ids) if ids is not None else _unique(hashes)
    if len(names) != len(images) or len(set(names)) != len(names):
        raise BrittleError(f"expected {len(images)} different ids, got {len(names)} of which {len(set(names))} differ")
    kept = images.detach()
    return Examples(
        ids=names,
        labels=None if labels is None else labels.detach().cpu().long(),
        class_names=None if class_names is None else texts("class_names", class_names),
        source=source,
        fingerprint=fingerprint_of(names, labels, hashes),
        read=lambda rows: kept[rows.start : rows.stop] if isinstance(rows, range) else kept[list(rows)],
    )


def _is_whole(labels: Labels) -> bool:
    return not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)


def content_hashes(images: Images) -> list[str]:
    """A short hash of each image's pixels."""
    return [hashlib.sha256(image.numpy().tobytes()).hexdigest()[:16] for image in images.detach().cpu().contiguous()]


def fingerprint_of(ids: Sequence[str], labels: Labels | None, contents: Sequence[str]) -> str:
    """sha256 hex of what identifies the data: ids, labels and contents, in order."""
    digest = hashlib.sha256()
    numbers: Sequence[int | None] = [None] * len(ids) if labels is None else labels.tolist()
    for name, label, content in zip(ids, numbers, contents, strict=True):
        digest.update(f"{name}\0{label}\0{content}\n".encode())
    return digest.hexdigest()


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Names with ``-1``, ``-2``... on repeats: the same image twice is two examples."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        out.append(f"{name}-{count}" if count else name)
    return tuple(out)
