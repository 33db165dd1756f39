"""Examples from encoded images: checked and hashed when opened, decoded a shard at a time."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from brittle.data.decode import decoded, read_header
from brittle.data.examples import Examples, fingerprint_of
from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.types import Images


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Image files of any origin, not yet decoded.

    ids: as in Examples. names: what errors call each image. labels: one class index per image, or None.
    data: position -> the bytes of an image file.
    """

    ids: Sequence[str]
    names: Sequence[str]
    labels: Sequence[int] | None
    class_names: Sequence[str] | None
    source: str
    data: Callable[[int], bytes]


def examples_of_encoded(encoded: Encoded, fit: Fit | None) -> Examples:
    """Examples that decode the asked positions only; every image's header is read here, no pixel is.

    fit: what the network wants; None keeps the native size, which all images must then share, with 1 channel where all
    are grey, else 3. The fingerprint covers the encoded bytes and the fit. Raises BrittleError for an image that is
    not one, sizes that differ or do not fit, and a source of grey images only for a network that takes colour. (A grey
    photograph among colour ones is an ordinary photograph and becomes RGB with three equal channels; a source without
    any colour is another kind of data than the network was trained on.)
    """
    contents, fitted, grey = [], str(fit), True
    named: dict[tuple[int, int], str] = {}  # the first image of each size: there are few sizes, and many images
    for position, name in enumerate(encoded.names):
        data = encoded.data(position)
        contents.append(f"{hashlib.sha256(data).hexdigest()} {fitted}")
        header = read_header(data, name)
        grey = grey and header.grey
        named.setdefault((header.width, header.height), name)
    if fit is None:
        width, height = _common_size(named)
        fit = Fit(channels=1 if grey else 3, height=height, width=width)
    else:
        if grey and fit.channels == 3:
            count = len(contents)
            raise BrittleError(
                f"expected colour images for a network of 3 channels, got grey ones only ({count} of {count} in"
                f" {encoded.source}); use a network of 1 channel, or save them as RGB to insist"
            )
        for (width, height), name in named.items():
            fit.resized(width, height, name)
    labels = None if encoded.labels is None else torch.tensor(encoded.labels, dtype=torch.int64)
    return Examples(
        ids=tuple(encoded.ids),
        labels=labels,
        class_names=None if encoded.class_names is None else tuple(encoded.class_names),
        source=encoded.source,
        fingerprint=fingerprint_of(encoded.ids, labels, contents),
        read=_reader(encoded, fit),
    )


def _common_size(named: Mapping[tuple[int, int], str]) -> tuple[int, int]:
    (first, name), *others = named.items()
    if others:
        other, others_name = others[0]
        raise BrittleError(
            f"expected images of one size, got {name} of {first[0]} x {first[1]} pixels (width x height) and"
            f" {others_name} of {other[0]} x {other[1]}; give them one size"
        )
    return first


def _reader(encoded: Encoded, fit: Fit) -> Callable[[Sequence[int]], Images]:
    def read(positions: Sequence[int]) -> Images:
        pixels = np.empty((len(positions), fit.height, fit.width, fit.channels), dtype=np.uint8)
        for row, position in zip(pixels, positions, strict=True):
            name = encoded.names[position]
            image = fit.apply(decoded(encoded.data(position), name, fit.channels), name)
            row[:] = np.asarray(image).reshape(row.shape)
        # Contiguous before the division, so that the result has the usual [N, C, H, W] layout.
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous().float().div_(255)

    return read
