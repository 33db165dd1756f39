"""One perturbation fitted to many images, and what it does to them, to others, and beside chance."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, final

import torch
from PIL import Image, PngImagePlugin
from torch import Tensor

from brittle.attacks._fitting import OnStep
from brittle.catalog import FITTERS, label_of
from brittle.data.examples import Examples
from brittle.data.perturbation import SUFFIX, Perturbation, write_perturbation
from brittle.errors import BrittleError
from brittle.geometry.box import clip
from brittle.geometry.norms import LINF
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.models.preflight import check_compatible
from brittle.rng import Rng
from brittle.run.attack import check_access
from brittle.run.labels import check_class_count, in_classes_of

_PART = 256  # images decoded at a time
_PROBE = 64
_SIDE = 256  # pixels of the picture, at least: those of the perturbation are enlarged by a whole number


class Rates(NamedTuple):
    """Of ``images`` examples ``right`` are classified correctly (without labels: all); of these so many are fooled."""

    images: int
    right: int
    fooled: int
    fooled_by_chance: int


@final
@dataclass(frozen=True, slots=True)
class Fitted:
    """A perturbation, its fooling rates on the images fitted to and on unseen ones, and its picture's amplification."""

    label: str
    perturbation: Perturbation
    on_fitted: Rates
    on_unseen: Rates
    held_out: bool
    file: Path
    picture: Path
    factor: float


def fitting_attack(text: str) -> Any:
    """The one fitter that a text names."""
    return FITTERS.one(text)


def check_target(out: Path) -> None:
    """Refuses, before any work, a file name that cannot be written to, and what would be overwritten."""
    if out.suffix != SUFFIX:
        raise BrittleError(f"expected --out as a file name that ends in {SUFFIX}, got {str(out)!r}")
    try:
        for path in (out, out.with_suffix(".png")):
            if path.exists() or path.is_symlink():
                raise BrittleError(f"{str(path)!r} exists; choose another --out, or remove it")
        if not out.parent.is_dir():
            raise BrittleError(f"cannot write {str(out)!r}: there is no directory {str(out.parent)!r}")
        if not os.access(out.parent, os.W_OK | os.X_OK):
            raise BrittleError(f"cannot write {str(out)!r}: no permission")
    except OSError as error:
        raise BrittleError(f"cannot write {str(out)!r}: {error.strerror}") from None


def fit(
    classifier: Classifier,
    attack: Any,
    examples: Examples,
    *,
    out: Path,
    unseen: Examples | None = None,
    seed: int = 0,
    on_step: OnStep | None = None,
) -> Fitted:
    """Fits a perturbation to the examples, measures it on them and on ``unseen``, and writes it to ``out``.

    unseen: other examples; by default every second one of ``examples`` is held out. seed: of every random draw.
    Beside the rates are those of a random perturbation of the same size in the same norm (in L-infinity random signs,
    otherwise normal draws). ``out`` gets the perturbation, and a PNG beside it shows it, amplified around mid-grey.
    Raises BrittleError before any work for data that do not fit the classifier or are too few, and Unsupported for an
    attack that asks for more than the classifier gives.
    """
    check_target(out)
    check_access(attack, classifier)
    examples, held_out = _checked(classifier, examples), unseen is None
    if unseen is None:
        if len(examples) < 2:
            raise BrittleError("expected at least 2 examples, to fit to one half and try the other, got 1")
        examples, unseen = (picked(examples, range(start, len(examples), 2)) for start in (0, 1))
    else:
        unseen = _checked(classifier, unseen)
    made: Perturbation = attack.fit(classifier, examples, seed=seed, on_step=on_step)
    values = made.values.unsqueeze(0).to(classifier.device)
    chance = _random_like(values, made, seed)
    on_fitted, on_unseen = (_rates(classifier, part, values, chance) for part in (examples, unseen))
    write_perturbation(made, out)
    picture = out.with_suffix(".png")
    factor = _draw(made.values, picture)
    return Fitted(label_of(attack), made, on_fitted, on_unseen, held_out, out, picture, factor)


def picked(examples: Examples, rows: Sequence[int]) -> Examples:
    """Some of the examples, as examples."""
    ids = tuple(examples.ids[row] for row in rows)
    return dataclasses.replace(
        examples,
        ids=ids,
        labels=None if examples.labels is None else examples.labels[list(rows)],
        fingerprint=hashlib.sha256("\0".join([examples.fingerprint, *ids]).encode()).hexdigest(),
        read=lambda positions: examples.read([rows[position] for position in positions]),
    )


def _checked(classifier: Classifier, examples: Examples) -> Examples:
    if not len(examples):
        raise BrittleError(f"expected at least one example, got none from {examples.source}")
    examples = in_classes_of(classifier.class_names, examples)
    check_compatible(classifier, examples.images(0, _PROBE).to(classifier.device), examples.labels)
    check_class_count(classifier.class_names, classifier.num_classes, examples)
    return examples


def _random_like(values: Tensor, made: Perturbation, seed: int) -> Tensor:
    draws = Rng(seed, ("perturbation by chance",)).normal("direction", values)
    draws = draws.sign() if made.norm == LINF else draws
    size = float(made.norm.measure(values)[0])
    return made.norm.project(draws * (size / float(made.norm.measure(draws)[0])), size)


def _rates(classifier: Classifier, examples: Examples, values: Tensor, chance: Tensor) -> Rates:
    """By passes of the plain network, as an audit would grade it."""
    counts = torch.zeros(3, dtype=torch.int64)
    for start in range(0, len(examples), _PART):
        images = examples.images(start, start + _PART).to(classifier.device)
        clean, moved, shaken = (
            classifier.logits(one, plain=True).cpu() for one in (images, clip(images + values), clip(images + chance))
        )
        predicted = clean.argmax(1)
        labels = predicted if examples.labels is None else examples.labels[start : start + len(images)]
        right, goal = predicted == labels, Untargeted(labels, classifier.reject)
        counts += torch.stack([right, right & goal.is_met(moved), right & goal.is_met(shaken)]).sum(1)
    right_ones, fooled, by_chance = counts.tolist()
    return Rates(len(examples), right_ones, fooled, by_chance)


def _draw(values: Tensor, path: Path) -> float:
    """Writes the picture, whole; gives how many times the perturbation is amplified."""
    largest = float(values.abs().max())
    factor = 0.5 / largest if largest else 1.0
    grey = (0.5 + factor * values).clamp(0, 1).mul(255).round().byte()
    shown = grey if len(grey) in (1, 3) else grey[:1]
    array = shown.permute(1, 2, 0).numpy()
    image = Image.fromarray(array[:, :, 0] if len(shown) == 1 else array)
    times = -(-_SIDE // min(image.size))
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", f"universal perturbation, amplified {factor:.6g} times around mid-grey")
    temporary = path.with_name(f".writing-{path.name}")
    try:
        try:
            enlarged = image.resize((times * image.width, times * image.height), Image.Resampling.NEAREST)
            enlarged.save(temporary, "PNG", pnginfo=text)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise BrittleError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    return factor
