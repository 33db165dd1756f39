"""scikit-learn's handwritten digits: 8 x 8 pixels, bundled with the library, so that a demo needs no network."""

from functools import cache

import torch

from brittle.data.examples import Examples, examples_of
from brittle.data.fit import Fit
from brittle.data.limit import chosen
from brittle.errors import BrittleError
from brittle.types import Images, Labels

_TEST_SIZE = 500
_SPLIT_SEED = 0


def digits_split() -> tuple[Examples, Examples]:
    """Training part (1297) and test part (500) of the 1797 digits; fixed, with the classes in equal proportion.

    Images float32 ``[N, 1, 8, 8]``: ink counts 0 to 16 divided by 16. Classes "0" to "9". Ids ``digits-0123`` are
    positions in scikit-learn's order. Source: Alpaydin and Kaynak 1998, UCI optical recognition of handwritten digits.
    """
    images, labels, train, test = _digits()
    return _part(images, labels, train, "training"), _part(images, labels, test, "test")


def load_digits_test(spec: str, *, limit: int | None, fit: Fit | None) -> Examples:
    """The test part: what the demo's network has not been trained on. Raises BrittleError for a fit but 1 x 8 x 8."""
    if fit is not None and ((fit.channels, fit.height, fit.width) != (1, 8, 8) or fit.resize not in (None, 8)):
        raise BrittleError(
            f"{spec} are grey images of 8 x 8 pixels, not resized; the network wants {fit.channels} x {fit.height} x"
            f" {fit.width} (channels x height x width); use digits-cnn or other data"
        )
    images, labels, _, test = _digits()
    return _part(images, labels, [test[row] for row in chosen(len(test), limit)], "test")


@cache
def _digits() -> tuple[Images, Labels, list[int], list[int]]:
    """All images and labels, and the positions of the training and test parts."""
    # Imported here: scikit-learn takes a second to import, and only these digits need it.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    train, test = train_test_split(
        range(len(bunch.target)), test_size=_TEST_SIZE, stratify=bunch.target, random_state=_SPLIT_SEED
    )
    images = torch.from_numpy(bunch.images).float().unsqueeze(1).div(16)
    return images, torch.from_numpy(bunch.target).long(), sorted(train), sorted(test)


def _part(images: Images, labels: Labels, rows: list[int], part: str) -> Examples:
    return examples_of(
        images[rows],
        labels[rows],
        ids=[f"digits-{row:04d}" for row in rows],
        class_names=[str(digit) for digit in range(10)],
        source=f"digits ({part} part)",
    )
