"""Attacks ended on images of 8 bits, beside the trivial way: the perturbation scaled until its rounded form fools."""

import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.networks import setting_of
from bench.report import Check, Section, Table
from bench.setting import Skipped, data_file
from brittle.attacks import FMN, DeepFool, EightBit, Minimal, Outcome
from brittle.data import load_data
from brittle.geometry.levels import to_8bit
from brittle.geometry.norms import Norm, norm_named
from brittle.goals import Goal, Untargeted
from brittle.models import Classifier, load_model
from brittle.rng import Rng
from brittle.types import Images

KEPT, PASSES = 0.99, 1.5
STRIDE, TRIALS = 1.02, 200  # of the trivial way; it is charged nothing
COUNTS = {"resnet20": 64, "resnet4b-adv": 32, "lenet5": 32}
PHOTOGRAPHS, PHOTOGRAPHS_MOST = "squeezenet", 6


class Case(NamedTuple):
    classifier: Classifier
    images: Images
    goal: Goal
    rng: Rng


def section(network: str) -> Section:
    """Three minimal attacks in three norms on one network."""
    case = _photographs() if network == PHOTOGRAPHS else _network(network)
    found = {
        f"{type(attack).__name__}, {norm.name}": _measured(case, attack, norm)
        for norm in map(norm_named, ("l1", "l2", "linf"))
        for attack in (DeepFool(norm=norm), FMN(norm=norm), Minimal(norm=norm))
    }
    return told(network, found)


def told(network: str, found: Mapping[str, Mapping[str, Tensor]]) -> Section:
    """What was measured, by attack, as a section."""
    lines = {name: _line(values) for name, values in found.items()}
    fooled, kept = (sum(getattr(line, what) for line in lines.values()) for what in ("fooled", "kept"))
    dearest = max(lines, key=lambda name: lines[name].passes)
    smooth = {name: line for name, line in lines.items() if not name.endswith("linf")}
    nearer = [name for name, line in smooth.items() if line.ours < line.scaled]
    level = [name for name in lines if name not in smooth and lines[name].ours <= lines[name].scaled]
    passes = lines[dearest].passes
    checks = (
        Check("kept", f"≥ {KEPT:.0%}", f"{kept} of {fooled}", kept >= KEPT * fooled),
        Check(
            "medians below the trivial way's, L1 and L2",
            f"{len(smooth)} of {len(smooth)}",
            str(len(nearer)),
            len(nearer) == len(smooth),
        ),
        Check("medians not above it, Linf", "3 of 3", str(len(level)), len(level) == len(lines) - len(smooth)),
        Check("most passes beside the attack's own", f"≤ {PASSES}×", f"{passes:.2f}× ({dearest})", passes <= PASSES),
    )
    headings = (
        "attack",
        "kept by rounding alone",
        "kept",
        "median as floats",
        "median, trivial way",
        "median, 8-bit",
        "means of both",
        "images nearer / farther than by the trivial way",
        "passes beside the attack's own",
    )
    count = len(next(iter(found.values()))["fooled"])
    return Section(
        title=f"8-bit images, {network}",
        checks=checks,
        tables=(Table(headings, tuple((name, *line.cells()) for name, line in lines.items())),),
        notes=(
            f"{count} images. Kept: saved as PNG, loaded, and fooling the plain network. The trivial way"
            f" scales the perturbation by {STRIDE} again and again, and takes the first rounded image that fools; its"
            " passes are not counted. Whole levels are all there is in L-infinity, where most of these medians are one"
            " and the same.",
        ),
        facts={name: {key: values.tolist() for key, values in one.items()} for name, one in found.items()},
    )


class Line(NamedTuple):
    """One attack's numbers: counts of images, medians and means of their distances."""

    fooled: int
    rounds: int
    kept: int
    plain: float
    scaled: float
    ours: float
    means: tuple[float, float]
    nearer: int
    farther: int
    passes: float

    def cells(self) -> tuple[str, ...]:
        return (
            f"{self.rounds} of {self.fooled}",
            f"{self.kept} of {self.fooled}",
            f"{self.plain:.5g}",
            f"{self.scaled:.5g}",
            f"{self.ours:.5g} ({self.ours / self.scaled - 1:+.1%})",
            " / ".join(f"{mean:.5g}" for mean in self.means),
            f"{self.nearer} / {self.farther}",
            f"{self.passes:.2f}",
        )


def _line(found: Mapping[str, Tensor]) -> Line:
    fooled, scaled, ours = found["fooled"], found["scaled"], found["ours"]
    both = fooled & found["kept"] & scaled.isfinite()
    plain, trivial, own = (float(values[fooled].quantile(0.5)) for values in (found["plain"], scaled, ours))
    return Line(
        fooled=int(fooled.sum()),
        rounds=int(found["rounds"].sum()),
        kept=int((found["kept"] & fooled).sum()),
        plain=plain,
        scaled=trivial,
        ours=own,
        means=(float(scaled[both].mean()), float(ours[both].mean())),
        nearer=int(((ours < scaled - 1e-6) & fooled).sum()),
        farther=int(((ours > scaled + 1e-6) & fooled).sum()),
        passes=float(found["passes"].sum() / found["own"].sum()),
    )


def _measured(case: Case, attack: Any, norm: Norm) -> dict[str, Tensor]:
    logits = case.classifier.logits(case.images, plain=True)
    with case.classifier.settled(case.images, logits) as rounding:
        case = case._replace(goal=Untargeted(case.goal.labels, rounding=rounding))
        before: Outcome = attack(case.classifier, case.images, case.goal, rng=case.rng)
        after: Outcome = EightBit(attack=attack)(case.classifier, case.images, case.goal, rng=case.rng)
    saved = torch.stack([_reread(image) for image in after.images])
    return {
        "fooled": before.claimed,
        "rounds": before.claimed & _fools(case, to_8bit(before.images)),
        "kept": _fools(case, saved),
        "plain": norm.measure(before.images - case.images),
        "scaled": _scaled(case, before, norm),
        "ours": torch.where(_fools(case, saved), norm.measure(saved - case.images), torch.inf),
        "own": (before.forwards + before.backwards).float(),
        "passes": (after.forwards + after.backwards).float(),
    }


def _scaled(case: Case, found: Outcome, norm: Norm) -> Tensor:
    sizes, change = torch.full((len(case.images),), torch.inf), found.images - case.images
    rows, reach = torch.arange(len(sizes)), 1.0
    for _ in range(TRIALS):
        if not len(rows):
            break
        tried = to_8bit(case.images[rows] + reach * change[rows])
        met = case.goal[rows].is_met(case.classifier.logits(tried, plain=True))
        sizes[rows[met]] = norm.measure(tried[met] - case.images[rows[met]])
        rows, reach = rows[~met], reach * STRIDE
    return sizes


def _fools(case: Case, images: Images) -> Tensor:
    return case.goal.is_met(case.classifier.logits(images, plain=True))


def _reread(image: Tensor) -> Tensor:
    """What a PNG makes of an image of pixels in [0, 1], ``[C, H, W]``."""
    file, levels = io.BytesIO(), (image * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels[..., 0] if levels.shape[2] == 1 else levels).save(file, "png")
    pixels = torch.from_numpy(np.array(Image.open(file))).float() / 255
    return pixels.unsqueeze(0) if pixels.ndim == 2 else pixels.permute(2, 0, 1)


def _network(name: str) -> Case:
    case = setting_of(name, COUNTS[name])
    return Case(case.classifier, case.images, Untargeted(case.labels), case.rng)


def _photographs() -> Case:
    """The photographs as SqueezeNet sees them; what it says of them is what attacks are to change."""
    weights = data_file("weights/imagenet_squeezenet1_0.safetensors")
    classifier = load_model("torchvision:squeezenet1_0", weights=weights, batch_size=4)
    examples = load_data(str(data_file("imagenet-photos")), limit=None, fit=classifier.fit)
    if not len(examples):
        raise Skipped("imagenet-photos holds no photographs")
    images = to_8bit(examples.images(0, min(len(examples), PHOTOGRAPHS_MOST)))
    goal = Untargeted(classifier.logits(images, plain=True).argmax(1))
    return Case(classifier, images, goal, Rng(0, examples.ids[: len(images)]))
