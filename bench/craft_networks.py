"""Craft on other networks: on ResNet-20 towards every class, and what it costs on Inception v3 beside bare passes."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.bare import fast_copy, forward_backward
from bench.clock import interleaved
from bench.report import Check, Section, Table
from bench.setting import Skipped, data_file, first_images, network_of, resnet20
from brittle.attacks import Craft
from brittle.crafting.view import resized, viewed
from brittle.data.fit import Fit
from brittle.goals import Targeted
from brittle.models import Network, load_model
from brittle.rng import Rng
from brittle.studies.photographs import Photograph, read_photograph
from brittle.types import Images, Logits
from brittle.visibility.measures import visibility

COUNT, CLASSES, CONFIDENCE, SHARE = 100, 10, 0.99, 0.995
STEPS, ROUNDS, COST = 60, 3, 1.1


def section_cifar() -> Section:
    """Each image towards each of the classes that the network does not see in it."""
    classifier, (images, _) = resnet20(), first_images(COUNT)
    present = classifier.logits(images, plain=True).argmax(1)
    targets = torch.arange(CLASSES).repeat(COUNT, 1)
    targets = targets[targets != present.unsqueeze(1)]
    images = images.repeat_interleave(CLASSES - 1, dim=0)
    rng = Rng(0, tuple(map(str, range(len(images)))))
    outcome = Craft(confidence=CONFIDENCE)(classifier, images, Targeted(targets), rng=rng)
    levels = outcome.images.mul(255).round().clamp(0, 255)  # what a file holds
    likely = classifier.logits(levels / 255, plain=True).softmax(1).gather(1, targets.unsqueeze(1)).squeeze(1)
    reached = int((likely >= CONFIDENCE).sum())
    seen = visibility(images, levels / 255)
    rows = tuple(
        (name, *(f"{float(values.quantile(q)):.3f}" for q in (0.0, 0.5, 0.95, 1.0)))
        for name, values in (
            ("mean CIEDE2000", torch.tensor([one.colour_mean for one in seen])),
            ("99th percentile of CIEDE2000", torch.tensor([one.colour_p99 for one in seen])),
            ("confidence", likely),
            ("steps", outcome.steps.float()),
        )
    )
    share = reached / len(images)
    goal = f"≥ {SHARE:.1%} of {len(images)}"
    return Section(
        title="Craft, ResNet-20",
        checks=(Check(f"at {CONFIDENCE:.0%} after 8 bits", goal, f"{reached} ({share:.1%})", share >= SHARE),),
        tables=(Table(("over all runs", "smallest", "median", "95th percentile", "largest"), rows),),
        notes=(f"The first {COUNT} CIFAR-10 test images, right or wrong, towards each of the nine other classes.",),
        facts={"confidence": likely.tolist()},
    )


class Bare(nn.Module):
    """Resizing, cropping, normalising and the folded network, with nothing around them."""

    def __init__(self, network: Network, fit: Fit) -> None:
        super().__init__()
        self.net, self.fit = fast_copy(network), fit

    def forward(self, photographs: Images) -> Logits:
        logits: Logits = self.net(resized(photographs, self.fit))
        return logits


def section_inception() -> Section:
    """What an attack's gradient steps cost, beside as many forward and backward passes."""
    paths = sorted(data_file("imagenet-photos").glob("*.jpg"))
    if not paths:
        raise Skipped("imagenet-photos holds no photographs")
    with TemporaryDirectory() as folder:
        weights = Path(folder) / "random.safetensors"
        torch.manual_seed(0)
        save_file(torchvision.models.inception_v3(weights=None, init_weights=True).state_dict(), weights)
        loaded = load_model("torchvision:inception_v3", weights=weights)
    photograph = Photograph.of(read_photograph(paths[0]), loaded)
    image, target = (photograph.pixels.float() / 255).unsqueeze(0), torch.tensor([9])
    through = viewed(loaded, loaded.fit)
    assert loaded.fit is not None
    bare = Bare(network_of(loaded), loaded.fit).eval().requires_grad_(False)
    attack = Craft(steps=STEPS, walk=STEPS)

    def ours() -> Tensor:
        return attack(through, image, Targeted(target), rng=Rng(0, ("0",))).steps

    def theirs() -> None:
        forward_backward(bare, image, target, passes=STEPS, chunk=1)

    calls: dict[str, Callable[[], Tensor | None]] = {"brittle craft": ours, "bare passes": theirs}
    timed = interleaved(calls, ROUNDS)
    ratio = timed["brittle craft"].times(timed["bare passes"])
    rows = tuple((name, one.ms(STEPS)) for name, one in timed.items())
    return Section(
        title="Craft, bare passes",
        checks=(Check(f"{STEPS} steps, time of as many bare passes", f"≤ {COST}×", f"{ratio:.3f}×", ratio <= COST),),
        tables=(Table(("call", "ms a step (range)"), rows),),
        notes=(
            "Inception v3 with random weights, one photograph of 512 x 512 pixels, which it sees at 299 x 299. A bare"
            " pass resizes, crops and normalises the photograph, asks the network and takes the gradient back to the"
            " photograph's pixels.",
        ),
        facts={name: one.seconds for name, one in timed.items()},
    )
