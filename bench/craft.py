"""Photographs crafted for SqueezeNet: sure after reload, how visible, and peers that care for visibility too."""

import importlib
import math
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.bare import fast_copy
from bench.report import Check, Section, Table
from bench.setting import Skipped, data_file, network_of
from brittle.attacks import Craft
from brittle.craft.crafted import Crafted
from brittle.craft.view import view, viewed
from brittle.data.fit import Fit
from brittle.models import Classifier, Network, load_model
from brittle.studies.crafter import Aim, Crafter, Photograph, read_photograph
from brittle.studies.ways import Way
from brittle.types import Images
from brittle.visibility.measures import visibility

NAMED = ("ostrich", "espresso", "school bus", "jellyfish")
WISHES = ("random",) * 5 + ("least-likely",) + NAMED
CONFIDENCE, DARK = 0.99, 0.2
MEAN, P99, SSIM, WORST = 0.5, 2.0, 0.99, 1.5
PEER_PHOTOGRAPHS, PEER_WISHES, STEPS = 3, ("random", "ostrich"), 200


@cache
def squeezenet() -> Classifier:
    return load_model("torchvision:squeezenet1_0", weights=data_file("weights/imagenet_squeezenet1_0.safetensors"))


def photographs() -> list[Photograph]:
    paths = sorted(data_file("imagenet-photos").glob("*.jpg"))
    if not paths:
        raise Skipped("imagenet-photos holds no photographs")
    return [read_photograph(Path(path), squeezenet().fit) for path in paths]


def section() -> Section:
    """The notes' own test: every photograph for every wish."""
    plain, seconds = _all(Craft(confidence=CONFIDENCE))
    masked, _ = _all(Craft(confidence=CONFIDENCE, space=f"dark({DARK:g})"))
    count = len(plain)
    means, p99s, ssims = (
        torch.tensor([getattr(one.visibility, name) for one in plain]) for name in ("colour_mean", "colour_p99", "ssim")
    )
    reached, kept = sum(one.reached for one in plain), sum(one.reached for one in masked)
    checks = (
        Check(f"at {CONFIDENCE:.0%} after reload", f"{count} of {count}", f"{reached} of {count}", reached == count),
        _most("median of the mean CIEDE2000", MEAN, float(means.median())),
        _most("median of its 99th percentile", P99, float(p99s.median())),
        Check("median SSIM", f"≥ {SSIM}", f"{float(ssims.median()):.4f}", float(ssims.median()) >= SSIM),
        _most("largest mean CIEDE2000", WORST, float(means.max())),
        Check(
            f"dark pixels left alone: at {CONFIDENCE:.0%} after reload",
            "≥ 95 %",
            f"{kept} of {count}",
            kept >= 0.95 * count,
        ),
    )
    rows = tuple(
        (name, *(f"{float(values.quantile(q)):.3f}" for q in (0.0, 0.5, 0.95, 1.0)))
        for name, values in (
            ("mean CIEDE2000", means),
            ("99th percentile of CIEDE2000", p99s),
            ("SSIM", ssims),
            ("confidence", torch.tensor([one.confidence for one in plain])),
            ("steps", torch.tensor([float(one.steps) for one in plain])),
        )
    )
    return Section(
        title="Craft",
        checks=checks,
        tables=(Table(("over all runs", "smallest", "median", "95th percentile", "largest"), rows),),
        notes=(
            f"SqueezeNet 1.0, {len(photographs())} photographs of 512 x 512 pixels, {len(WISHES)} targets each"
            f" ({', '.join(dict.fromkeys(WISHES))}; five random ones); {seconds / count:.2f} s a run. Every figure is"
            " of the decoded PNG, through torchvision's transforms and the plain network.",
        ),
        facts={
            "runs": [one.visibility._asdict() | {"confidence": one.confidence, "steps": one.steps} for one in plain]
        },
    )


def _all(attack: Any) -> tuple[list[Crafted], float]:
    loaded = squeezenet()
    crafter = Crafter(classifier=loaded, fit=loaded.fit, way=Way("craft", attack), confidence=CONFIDENCE)
    started = time.perf_counter()
    done = [one for photo in photographs() for one, _ in crafter.craft(photo, _aims(crafter, photo, WISHES))]
    return done, time.perf_counter() - started


def _aims(crafter: Crafter, photo: Photograph, wishes: Sequence[str]) -> list[Aim]:
    return crafter.aim(photo, wishes)


def _most(what: str, goal: float, measured: float) -> Check:
    return Check(what, f"≤ {goal}", f"{measured:.3f}", measured <= goal)


# ---- peers


class Whole(nn.Module):
    """What brittle attacks, as one network: photographs, exactly preprocessed, through the folded network."""

    def __init__(self, network: Network, fit: Fit | None) -> None:
        super().__init__()
        self.net, self.front = fast_copy(network), None if fit is None else view(fit)

    def forward(self, photographs: Images) -> Tensor:
        logits: Tensor = self.net(photographs if self.front is None else self.front(photographs))
        return logits


class Sure(nn.Module):
    """Class 1 once the target of its row has the confidence: what lets any targeted attack aim at a probability.

    Four logits, as some losses need: not reached, reached, and two that are always below.
    """

    def __init__(self, net: nn.Module, targets: Tensor) -> None:
        super().__init__()
        self.net, self.targets = net, targets

    def forward(self, images: Images) -> Tensor:
        logits = self.net(images)
        index = self.targets.unsqueeze(1)
        others = torch.logsumexp(logits.scatter(1, index, -math.inf), dim=1)
        wanted = math.log(CONFIDENCE / (1 - CONFIDENCE)) + 0.05
        reached = logits.gather(1, index).squeeze(1) - wanted
        below = torch.minimum(others, reached)
        return torch.stack([others, reached, below - 5, below - 6], dim=1)


class Measured(NamedTuple):
    seconds: float
    reached: int
    mean: float
    p99: float


def section_peers() -> Section:
    """Ours beside the attacks that others offer for it, each rounded to 8 bits, on some photographs and targets."""
    loaded = squeezenet()
    photos = photographs()[:PEER_PHOTOGRAPHS]
    crafter = Crafter(classifier=loaded, fit=loaded.fit, way=Way("craft", Craft(confidence=CONFIDENCE)))
    aims = [crafter.aim(photo, PEER_WISHES) for photo in photos]
    count = len(photos) * len(PEER_WISHES)
    found = {name: _measured(crafter, photos, aims, call) for name, call in _calls().items()}
    ours = found["brittle craft"]
    checks = [
        Check(f"at {CONFIDENCE:.0%} after 8 bits", f"{count} of {count}", str(ours.reached), ours.reached == count)
    ]
    certain = {name: one for name, one in found.items() if one.reached == count and name != "brittle craft"}
    for name, one in found.items():
        if name != "brittle craft":
            checks += [
                Check(f"mean CIEDE2000, {name}", f"< {one.mean:.3f}", f"{ours.mean:.3f}", ours.mean < one.mean),
                Check(f"99th percentile, {name}", f"< {one.p99:.2f}", f"{ours.p99:.2f}", ours.p99 < one.p99),
            ]
    if certain:
        fastest = min(certain, key=lambda name: certain[name].seconds)
        limit = certain[fastest].seconds
        checks.append(
            Check(
                "time of the fastest that is always sure",
                f"≤ {limit:.1f} s, {fastest}",
                f"{ours.seconds:.1f} s",
                ours.seconds <= limit,
            )
        )
    rows = tuple(
        (name, f"{one.seconds:.1f}", f"{one.reached} of {count}", f"{one.mean:.3f}", f"{one.p99:.2f}")
        for name, one in found.items()
    )
    return Section(
        title="Craft, peers",
        checks=tuple(checks),
        tables=(Table(("attack", "seconds a run", "sure after 8 bits", "mean CIEDE2000", "99th percentile"), rows),),
        notes=(
            f"{PEER_PHOTOGRAPHS} photographs, targets {' and '.join(PEER_WISHES)}; all see the photograph's own pixels"
            " through the same preprocessing, in one batch for each photograph. The peers are given a network that says"
            f" yes only at the confidence; adv_lib's take {STEPS} steps, where their defaults are 1,000. Means over the"
            " runs.",
        ),
        facts={name: one._asdict() for name, one in found.items()},
    )


Call = Callable[[nn.Module, Images, Tensor, Any], Images]


def _calls() -> dict[str, Call]:
    adv_lib: Any = importlib.import_module("adv_lib.attacks")
    alma: Any = importlib.import_module("adv_lib.attacks.augmented_lagrangian")

    def yes(images: Images) -> Tensor:
        return torch.ones(len(images), dtype=torch.int64)

    def ours(net: nn.Module, images: Images, targets: Tensor, crafter: Crafter) -> Images:
        return _by(Craft(confidence=CONFIDENCE), images, targets, crafter)

    def pgd(net: nn.Module, images: Images, targets: Tensor, crafter: Crafter) -> Images:
        torchattacks: Any = importlib.import_module("torchattacks")
        attack = torchattacks.PGD(net.eval(), eps=2 / 255, alpha=0.5 / 255, steps=40, random_start=False)
        attack.set_mode_targeted_by_label(quiet=True)
        result: Images = attack(images, yes(images)).detach()
        return result

    def library(function: Any, **options: Any) -> Call:
        def call(net: nn.Module, images: Images, targets: Tensor, crafter: Crafter) -> Images:
            result: Images = function(net, images, yes(images), targeted=True, **options).detach()
            return result

        return call

    return {
        "brittle craft": ours,
        "torchattacks PGD, 40 steps": pgd,
        "adv_lib perc_al": library(adv_lib.perc_al, num_classes=4, max_iterations=STEPS),
        "adv_lib alma, CIEDE2000": library(alma.alma, distance="ciede2000", init_lr_distance=1.0, num_steps=STEPS),
        "adv_lib C&W L2": library(adv_lib.carlini_wagner_l2, binary_search_steps=4, max_iterations=STEPS // 4),
    }


def _by(attack: Any, images: Images, targets: Tensor, crafter: Crafter) -> Images:
    from brittle.goals import Targeted
    from brittle.rng import Rng

    through = viewed(crafter.classifier, crafter.fit)
    result: Images = attack(through, images, Targeted(targets), rng=Rng(0, tuple(map(str, range(len(images)))))).images
    return result


def _measured(crafter: Crafter, photos: list[Photograph], aims: list[list[Aim]], call: Call) -> Measured:
    seconds, reached, means, p99s = 0.0, 0, [], []
    for photo, wanted in zip(photos, aims, strict=True):
        targets = torch.tensor([aim.target or 0 for aim in wanted])
        images = (photo.pixels.float() / 255).expand(len(wanted), -1, -1, -1).contiguous()
        net = Sure(Whole(network_of(crafter.classifier), crafter.fit).eval().requires_grad_(False), targets)
        started = time.perf_counter()
        found = call(net, images, targets, crafter)
        seconds += time.perf_counter() - started
        levels = found.mul(255).round().clamp(0, 255).to(torch.uint8)
        for row in range(len(wanted)):
            likely = crafter.look(levels[row]).softmax(0)
            reached += int(float(likely[targets[row]]) >= CONFIDENCE)
            seen = visibility(images[row : row + 1], levels[row : row + 1] / 255)[0]
            means.append(seen.colour_mean)
            p99s.append(seen.colour_p99)
    count = len(means)
    return Measured(seconds / count, reached, sum(means) / count, sum(p99s) / count)
