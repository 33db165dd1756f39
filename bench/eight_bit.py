"""Attacks ended on images of 8 bits, beside the trivial way: the perturbation scaled until its rounded form fools."""

import io
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
    checks, rows, facts = [], [], {}
    for norm in (norm_named(name) for name in ("l1", "l2", "linf")):
        for attack in (DeepFool(norm=norm), FMN(norm=norm), Minimal(norm=norm)):
            name = f"{type(attack).__name__}, {norm.name}"
            found = _measured(case, attack, norm)
            facts[name] = {key: values.tolist() for key, values in found.items()}
            fooled = found["fooled"]
            kept, of = int((found["kept"] & fooled).sum()), int(fooled.sum())
            plain, scaled, ours = (float(found[key][fooled].quantile(0.5)) for key in ("plain", "scaled", "ours"))
            passes = float(found["passes"].sum() / found["own"].sum())
            checks += [
                Check(f"{name}: kept", f"≥ {KEPT:.0%}", f"{kept} of {of}", kept >= KEPT * of),
                Check(f"{name}: median", f"< {scaled:.5g}, the trivial way's", f"{ours:.5g}", ours < scaled),
                Check(f"{name}: passes", f"≤ {PASSES}×", f"{passes:.2f}×", passes <= PASSES),
            ]
            both = fooled & found["kept"] & found["scaled"].isfinite()
            means = (float(found[key][both].mean()) for key in ("scaled", "ours"))
            better, worse = (found["ours"] < found["scaled"] - 1e-6), (found["ours"] > found["scaled"] + 1e-6)
            rows.append(
                (
                    name,
                    f"{int(found['rounds'].sum())} of {of}",
                    f"{kept} of {of}",
                    f"{plain:.5g}",
                    f"{scaled:.5g}",
                    f"{ours:.5g} ({ours / scaled - 1:+.1%})",
                    " / ".join(f"{mean:.5g}" for mean in means),
                    f"{int((better & fooled).sum())} / {int((worse & fooled).sum())}",
                    f"{passes:.2f}",
                )
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
    return Section(
        title=f"8-bit images, {network}",
        checks=tuple(checks),
        tables=(Table(headings, tuple(rows)),),
        notes=(
            f"{len(case.images)} images. Kept: saved as PNG, loaded, and fooling the plain network. The trivial way"
            f" scales the perturbation by {STRIDE} again and again, and takes the first rounded image that fools; its"
            " passes are not counted. Whole levels are all there is in L-infinity, where most of these medians are one"
            " and the same.",
        ),
        facts=facts,
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
