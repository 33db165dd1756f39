"""Digits before and after an attack, and while a search goes on, as HTML."""

import html
from functools import cache

import torch
from torch import Tensor

from brittle.attacks import Attack
from brittle.catalog import ATTACKS
from brittle.data import load_data
from brittle.goals import Untargeted
from brittle.models import Classifier, load_model
from brittle.pages.pictures import embedded, perturbation_picture, photograph, times
from brittle.rng import Rng
from drawn.watched import watch

_COUNT = 4
_FRAMES = 6
_BYTES = 20_000


@cache
def _classifier() -> Classifier:
    return load_model("digits-cnn")


@cache
def _images() -> tuple[Tensor, Tensor]:
    """Some digits of different classes that the network knows."""
    examples = load_data("digits", limit=60)
    images, labels = examples.images(0, len(examples)), torch.as_tensor(examples.labels)
    right = _classifier().logits(images).argmax(1) == labels
    rows = [int((right & (labels == digit)).nonzero()[0]) for digit in (3, 8, 0, 5)[:_COUNT]]
    return images[rows], labels[rows]


def before_and_after(text: str) -> str:
    """Four digits, the change that an attack makes to each, and what the network then sees."""
    method: Attack = ATTACKS.one(text)
    images, labels = _images()
    found = method(_classifier(), images, Untargeted(labels), rng=Rng(0, tuple("abcd")[:_COUNT]))
    said = _classifier().logits(found.images, plain=True).argmax(1)
    rows = "".join(_row(*one) for one in zip(images, found.images, labels.tolist(), said.tolist(), strict=True))
    return f"<table><thead><tr><th>image</th><th>change</th><th>result</th></tr></thead><tbody>{rows}</tbody></table>"


def _row(image: Tensor, found: Tensor, label: int, said: int) -> str:
    change, factor = perturbation_picture(found - image)
    cells = (
        (photograph(image), f"{label}", f"the digit {label}"),
        (change, times(factor), f"the change, {times(factor)}"),
        (photograph(found), f"taken for {said}", f"the result, which the network takes for {said}"),
    )
    return f"<tr>{''.join(f'<td>{_picture(*cell)}</td>' for cell in cells)}</tr>"


def _picture(picture: object, below: str, alt: str) -> str:
    shown = embedded(picture, _BYTES)  # type: ignore[arg-type]
    return (
        f'<img class="pixelated" src="{shown.uri}" alt="{html.escape(alt)}" width="8" height="8"> {html.escape(below)}'
    )


def film(text: str) -> str:
    """One digit while a search goes on: what it asks about, at growing numbers of questions."""
    images, labels = _images()
    walk = watch(ATTACKS.one(text), _classifier(), images[1], Untargeted(labels[1:2]))
    asked = [one for question in walk.asked for one in question.images][1:]
    last = len(asked) - 1
    at = sorted({round(last ** (k / (_FRAMES - 1))) if k else 0 for k in range(_FRAMES)})
    cells = "".join(
        f"<td>{_picture(photograph(asked[k]), f'{k + 1}', f'what question {k + 1} is about')}</td>" for k in at
    )
    return f"<table><tbody><tr>{cells}</tr></tbody></table>"
