"""Photographs crafted for SqueezeNet: sure after reload, how visible, and peers that care for visibility too."""

import importlib
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.bare import fast_copy
from bench.report import Check, Section, Table
from bench.setting import Skipped, data_file, network_of
from brittle.attacks import Craft
from brittle.crafting.crafted import Crafted
from brittle.crafting.view import view, viewed
from brittle.data.fit import Fit
from brittle.goals import Targeted
from brittle.models import Classifier, Network, load_model
from brittle.rng import Rng
from brittle.studies.crafter import Aim, Crafter
from brittle.studies.photographs import Photograph, read_photograph
from brittle.studies.ways import Way
from brittle.types import Images
from brittle.visibility.measures import visibility

NAMED = ("ostrich", "espresso", "school bus", "jellyfish")
WISHES = ("random",) * 5 + ("least-likely",) + NAMED
CONFIDENCE, DARK = 0.99, 0.2
MEAN, P99, SSIM, WORST = 0.5, 2.0, 0.99, 1.5
PASSES = 60  # in each direction, at the median
PEER_PHOTOGRAPHS, PEER_WISHES, STEPS, DEFAULT_STEPS = 3, ("random", "ostrich"), 200, 1000
FASTER, SLOWER = 10, 1.5
PGD, PERC_AL = "torchattacks PGD, 40 steps", "adv_lib perc_al"


@cache
def squeezenet() -> Classifier:
    return load_model("torchvision:squeezenet1_0", weights=data_file("weights/imagenet_squeezenet1_0.safetensors"))


def photographs() -> list[Photograph]:
    paths = sorted(data_file("imagenet-photos").glob("*.jpg"))
    if not paths:
        raise Skipped("imagenet-photos holds no photographs")
    return [Photograph.of(read_photograph(Path(path)), squeezenet()) for path in paths]


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
        passes_check([one.passes for one in plain]),
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


def passes_check(passes: Sequence[int]) -> Check:
    """Forward ones; there are no more backward ones."""
    median = statistics.median(passes)
    return Check("median passes in each direction", f"≤ {PASSES}", f"{median:.0f}", median <= PASSES)


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
    passes: list[int]


def section_peers() -> Section:
    """Beside the attacks that others offer for it, each rounded to 8 bits, on some photographs and targets."""
    note = f"SqueezeNet 1.0, {PEER_PHOTOGRAPHS} photographs, targets {' and '.join(PEER_WISHES)}"
    return _beside("Craft, peers", squeezenet(), photographs()[:PEER_PHOTOGRAPHS], PEER_WISHES, _calls(), note)


def section_assembled() -> Section:
    """The same on a network of the size that people use, beside the two that its speed is compared with."""
    weights = data_file("weights/imagenet_inception_v3_assembled_fp16.safetensors")
    loaded = load_model("torchvision:inception_v3", weights=weights)  # its own x * 2 - 1 included
    calls = {name: call for name, call in _calls().items() if name in ("brittle craft", PGD, PERC_AL)}
    note = f"Inception v3, assembled from several sources, {PEER_PHOTOGRAPHS} photographs, target random"
    return _beside(
        "Craft, assembled Inception v3", loaded, photographs()[:: 12 // PEER_PHOTOGRAPHS], ("random",), calls, note
    )


def _beside(
    title: str,
    loaded: Classifier,
    photos: list[Photograph],
    wishes: Sequence[str],
    calls: "Mapping[str, Call]",
    note: str,
) -> Section:
    crafter = Crafter(classifier=loaded, fit=loaded.fit, way=Way("craft", Craft(confidence=CONFIDENCE)))
    aims = [crafter.aim(photo, wishes) for photo in photos]
    count = len(photos) * len(wishes)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # processor time of several threads would count their waiting for one another
    try:
        found = {name: _measured(crafter, photos, aims, call) for name, call in calls.items()}
    finally:
        torch.set_num_threads(threads)
    ours = found["brittle craft"]
    checks = [
        Check(f"at {CONFIDENCE:.0%} after 8 bits", f"{count} of {count}", str(ours.reached), ours.reached == count)
    ]
    for name, one in found.items():
        if name != "brittle craft":
            checks += [
                Check(f"mean CIEDE2000, {name}", f"< {one.mean:.3f}", f"{ours.mean:.3f}", ours.mean < one.mean),
                Check(f"99th percentile, {name}", f"< {one.p99:.2f}", f"{ours.p99:.2f}", ours.p99 < one.p99),
            ]
    # Every step costs the same, so that its default number of steps need not be waited for.
    faster, slower = found[PERC_AL].seconds * DEFAULT_STEPS / STEPS / ours.seconds, ours.seconds / found[PGD].seconds
    checks += [
        passes_check(ours.passes),
        Check(
            f"time of {PERC_AL} with its {DEFAULT_STEPS} steps, over ours",
            f"≥ {FASTER}×",
            f"{faster:.1f}×",
            faster >= FASTER,
        ),
        Check(f"time, over that of {PGD}", f"≤ {SLOWER}×", f"{slower:.2f}×", slower <= SLOWER),
    ]
    rows = tuple(
        (name, f"{one.seconds:.1f}", f"{one.reached} of {count}", f"{one.mean:.3f}", f"{one.p99:.2f}")
        for name, one in found.items()
    )
    headings = ("attack", "processor seconds a run", "sure after 8 bits", "mean CIEDE2000", "99th percentile")
    return Section(
        title=title,
        checks=tuple(checks),
        tables=(Table(headings, rows),),
        notes=(
            f"{note}; all see the photograph's own pixels through the same preprocessing, in one batch for each"
            " photograph. The peers are given a network that says yes only at the confidence; adv_lib's take"
            f" {STEPS} steps, where their defaults are {DEFAULT_STEPS}. Means over the runs; one thread.",
        ),
        facts={name: one._asdict() for name, one in found.items()},
    )


Call = Callable[[nn.Module, Images, Tensor, Any], tuple[Images, list[int]]]
"""What comes back also tells its forward passes, where they are counted."""


def _calls() -> dict[str, Call]:
    adv_lib: Any = importlib.import_module("adv_lib.attacks")
    alma: Any = importlib.import_module("adv_lib.attacks.augmented_lagrangian")

    def yes(images: Images) -> Tensor:
        return torch.ones(len(images), dtype=torch.int64)

    def ours(net: nn.Module, images: Images, targets: Tensor, crafter: Crafter) -> tuple[Images, list[int]]:
        through, ids = viewed(crafter.classifier, crafter.fit), tuple(map(str, range(len(images))))
        outcome = Craft(confidence=CONFIDENCE)(through, images, Targeted(targets), rng=Rng(0, ids))
        return outcome.images, outcome.forwards.tolist()

    def pgd(net: nn.Module, images: Images, targets: Tensor, crafter: Crafter) -> tuple[Images, list[int]]:
        torchattacks: Any = importlib.import_module("torchattacks")
        attack = torchattacks.PGD(net.eval(), eps=2 / 255, alpha=0.5 / 255, steps=40, random_start=False)
        attack.set_mode_targeted_by_label(quiet=True)
        return attack(images, yes(images)).detach(), []

    def library(function: Any, **options: Any) -> Call:
        def call(net: nn.Module, images: Images, targets: Tensor, crafter: Crafter) -> tuple[Images, list[int]]:
            return function(net, images, yes(images), targeted=True, **options).detach(), []

        return call

    return {
        "brittle craft": ours,
        PGD: pgd,
        PERC_AL: library(adv_lib.perc_al, num_classes=4, max_iterations=STEPS),
        "adv_lib alma, CIEDE2000": library(alma.alma, distance="ciede2000", init_lr_distance=1.0, num_steps=STEPS),
        "adv_lib C&W L2": library(adv_lib.carlini_wagner_l2, binary_search_steps=4, max_iterations=STEPS // 4),
    }


def _measured(crafter: Crafter, photos: list[Photograph], aims: list[list[Aim]], call: Call) -> Measured:
    seconds, reached, means, p99s, passes = 0.0, 0, [], [], list[int]()
    for photo, wanted in zip(photos, aims, strict=True):
        targets = torch.tensor([aim.target or 0 for aim in wanted])
        images = (photo.pixels.float() / 255).expand(len(wanted), -1, -1, -1).contiguous()
        net = Sure(Whole(network_of(crafter.classifier), crafter.fit).eval().requires_grad_(False), targets)
        started = time.process_time()
        found, asked = call(net, images, targets, crafter)
        seconds += time.process_time() - started
        passes += asked
        levels = found.mul(255).round().clamp(0, 255).to(torch.uint8)
        for row in range(len(wanted)):
            likely = crafter.look(levels[row]).softmax(0)
            reached += int(float(likely[targets[row]]) >= CONFIDENCE)
            seen = visibility(images[row : row + 1], levels[row : row + 1] / 255)[0]
            means.append(seen.colour_mean)
            p99s.append(seen.colour_p99)
    count = len(means)
    return Measured(seconds / count, reached, sum(means) / count, sum(p99s) / count, passes)
