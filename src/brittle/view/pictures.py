"""Pictures of an example at full size: as it was, what changed, and what came of it."""

from typing import Literal, get_args

import torch

from brittle.pages.pictures import perturbation_picture, photograph, png_with_texts
from brittle.records import read_images
from brittle.types import Images
from brittle.view.shelf import Shelved

What = Literal["original", "change", "adversarial"]


def pair(run: Shelved, model: int, goal: int, attack: int, position: int) -> tuple[Images, Images]:
    """(original, adversarial), ``[C, H, W]`` in [0, 1]; LookupError where the run has not kept them."""
    view = run.view(model, goal)
    if not (0 <= attack < len(run.manifest.attacks) and 0 <= position < run.manifest.examples):
        raise LookupError("no such example")
    slugs = view.originals, view.slug(run.manifest.attacks[attack])
    original, adversarial = (read_images(run.place, slug, view, [position])[0] for slug in slugs)
    return original, adversarial


def original_of(run: Shelved, model: int, position: int) -> Images:
    """``[C, H, W]``; LookupError where the run has not kept it."""
    view = run.view(model, 0)
    if not 0 <= position < run.manifest.examples:
        raise LookupError("no such example")
    return read_images(run.place, view.originals, view, [position])[0]


def drawn(original: Images, adversarial: Images, what: str) -> tuple[bytes, int]:
    """A PNG, and how many times as strong as it is a change is shown."""
    if what not in get_args(What):
        raise LookupError("no such picture")
    if what == "change":
        picture, factor = perturbation_picture((adversarial - original).numpy())
        return png_with_texts(picture), factor
    return png_with_texts(photograph((original if what == "original" else adversarial).numpy())), 1


def factor_of(original: Images, adversarial: Images) -> int:
    """By which the change is amplified, as everywhere."""
    return perturbation_picture((adversarial - original).numpy())[1]


def best(logits: torch.Tensor, names: list[str], count: int = 5) -> list[dict[str, float | str]]:
    """The likeliest classes of one row of logits with their probabilities."""
    likely = logits.softmax(-1).topk(min(count, logits.shape[-1]))
    return [
        {"class": names[at] if at < len(names) else f"class {at}", "probability": float(value)}
        for value, at in zip(likely.values, likely.indices.tolist(), strict=True)
    ]
