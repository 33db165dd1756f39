"""The photographs as data: those to train on, and others to be tested with."""

import numpy as np
import torch

from brittle.data.examples import Examples, content_hashes, fingerprint_of
from brittle.data.fit import Fit
from brittle.data.limit import chosen
from brittle.data.signs.plates import SIGNS, plate
from brittle.data.signs.scene import SIDE, photograph
from brittle.errors import BrittleError

_TESTED = range(30)
_TRAINED = range(1000, 1300)


def signs_test() -> Examples:
    """The test part: 30 photographs of each of 16 signs, class after class, uint8 divided by 255, ``[N, 3, 64, 64]``.

    An image is a function of its class and number alone, which its id names: ``stop-07``. Drawn here, by nobody else.
    """
    return _drawn(_TESTED, None, "test")


def signs_train(each: int = len(_TRAINED)) -> Examples:
    """The training part: so many other photographs of each sign."""
    return _drawn(_TRAINED[:each], None, "training")


def load_signs_test(spec: str, *, limit: int | None, fit: Fit | None) -> Examples:
    """The test part, or some of it. Raises BrittleError for a fit but 3 x 64 x 64."""
    if fit is not None and ((fit.channels, fit.height, fit.width) != (3, SIDE, SIDE) or fit.resize not in (None, SIDE)):
        raise BrittleError(
            f"{spec} are colour images of {SIDE} x {SIDE} pixels, not resized; the network wants {fit.channels} x"
            f" {fit.height} x {fit.width} (channels x height x width); use signs-cnn or other data"
        )
    return _drawn(_TESTED, limit, "test")


def _drawn(numbers: range, limit: int | None, part: str) -> Examples:
    everything = [(label, number) for label in range(len(SIGNS)) for number in numbers]
    taken = [everything[row] for row in chosen(len(everything), limit)]
    ids = tuple(f"{SIGNS[label].replace(' ', '-')}-{number:02d}" for label, number in taken)
    pixels = torch.empty(len(taken), 3, SIDE, SIDE, dtype=torch.uint8)
    for row, (label, number) in zip(pixels, taken, strict=True):
        drawn = photograph(plate(SIGNS[label]), np.random.default_rng([label, number]))
        row.copy_(torch.from_numpy(drawn).permute(2, 0, 1))
    labels = torch.tensor([label for label, _ in taken])
    return Examples(
        ids=ids,
        labels=labels,
        class_names=SIGNS,
        source=f"signs ({part} part)",
        fingerprint=fingerprint_of(ids, labels, content_hashes(pixels)),
        read=lambda rows: pixels[list(rows)].float().div_(255),
    )
