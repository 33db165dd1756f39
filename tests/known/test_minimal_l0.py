"""The fewest pixels: PixelGreedy and sigma-zero where the answer is known, and Minimal, which chooses."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from brittle.attacks import BoundaryWalk, Minimal, Outcome, PixelGreedy, SigmaZero
from brittle.attacks.minimal.exchange import exchange
from brittle.attacks.parts.asking import asking_nearest
from brittle.data import load_data
from brittle.errors import BrittleError
from brittle.geometry.norms import L0, L1, L2, LINF, Lp
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models import Classifier, load_model
from brittle.models.network import Network
from brittle.rng import Rng
from known.affine import Affine


class Formula(nn.Module):
    """Two classes; ``gap(pixels)`` is the logit of class 0 minus that of class 1."""

    def __init__(self, gap: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.gap = gap

    def forward(self, images: Tensor) -> Tensor:
        gap = self.gap(images.flatten(1))
        return torch.stack([gap, torch.zeros_like(gap)], dim=1)


def run(attack: Any, net: nn.Module, images: Tensor, goal: Goal) -> Outcome:
    outcome: Outcome = attack(
        Network(net, fast=False), images, goal, rng=Rng(0, tuple(str(row) for row in range(len(images))))
    )
    return outcome


def affine(channels: int, classes: int = 2) -> tuple[Affine, Tensor, Tensor, Tensor]:
    """A classifier, images, their labels, and the fewest pixels that change the class of each: a count by sorting."""
    generator = torch.Generator().manual_seed(channels)
    weight = torch.randn(classes, channels * 64, generator=generator)
    net = Affine(weight, torch.zeros(classes))
    images = torch.rand(12, channels, 8, 8, generator=generator)
    logits = net(images).detach()
    labels = logits.argmax(1)
    fewest = torch.full((12,), torch.inf)
    for row in range(12):
        for other in range(classes):
            w = (weight[other] - weight[labels[row]]).view(channels, 64)
            gains = (w * ((w > 0).float() - images[row].view(channels, 64))).sum(0).sort(descending=True).values
            reached = gains.cumsum(0) > (logits[row, labels[row]] - logits[row, other])
            if other != labels[row] and bool(reached.any()):
                fewest[row] = min(float(fewest[row]), float(reached.int().argmax()) + 1)
    return net, images, labels, fewest


def pixels(outcome: Outcome, images: Tensor) -> Tensor:
    return L0.measure(outcome.images - images)


@pytest.mark.parametrize("channels", [1, 3])
def test_greedy_finds_the_fewest_pixels_of_an_affine_classifier(channels: int) -> None:
    net, images, labels, fewest = affine(channels)
    assert len(set(fewest.tolist())) >= 3
    outcome = run(PixelGreedy(), net, images, Untargeted(labels))
    assert outcome.claimed.all()
    # From the 9th on pixels come in twos, and one too many is put back.
    assert torch.equal(pixels(outcome, images), fewest)


@pytest.mark.parametrize("channels", [1, 3])
def test_sigma_zero_comes_near_the_fewest_pixels(channels: int) -> None:
    net, images, labels, fewest = affine(channels)
    outcome = run(SigmaZero(steps=200), net, images, Untargeted(labels))
    assert outcome.claimed.all()
    counts = pixels(outcome, images)
    assert (counts >= fewest).all()
    assert float((counts / fewest).mean()) < 1.2


@pytest.mark.parametrize("attack", [PixelGreedy(), SigmaZero()])
def test_a_target_is_reached(attack: Any) -> None:
    net, images, labels, _ = affine(3, classes=4)
    target = (labels + 1) % 4
    outcome = run(attack, net, images, Targeted(target))
    assert outcome.claimed.all()
    assert torch.equal(net(outcome.images).argmax(1), target)


def lured(x: Tensor) -> Tensor:
    """Pixel 0 helps most on its own; pixels 1 and 2 together do without it."""
    return 3.05 - 1.6 * x[:, 0] - 1.4 * x[:, 1] - 0.1 * x[:, 2] - 1.6 * x[:, 1] * x[:, 2]


def test_prune_puts_back_what_was_not_needed() -> None:
    images, goal = torch.zeros(1, 1, 2, 2), Untargeted(torch.zeros(1, dtype=torch.int64))
    pruned, all_of_it = (run(PixelGreedy(prune=prune), Formula(lured), images, goal) for prune in (True, False))
    assert pruned.images.flatten().tolist() == [0, 1, 1, 0]
    assert all_of_it.images.flatten().tolist() == [1, 1, 1, 0]
    assert (int(all_of_it.steps), int(pruned.forwards - all_of_it.forwards)) == (3, 5)  # tries 3, and then the other 2


def misleading(x: Tensor) -> Tensor:
    """The gradient at 0 praises pixel 0, which saturates; pixel 1 alone is enough."""
    return 1.0 - 0.5 * torch.tanh(8 * x[:, 0]) - 2.0 * x[:, 1]


def test_shortlist_tries_what_the_gradient_only_promises() -> None:
    images, goal = torch.zeros(1, 1, 2, 2), Untargeted(torch.zeros(1, dtype=torch.int64))
    by_gradient, tried = (run(PixelGreedy(shortlist=n, prune=False), Formula(misleading), images, goal) for n in (1, 2))
    assert tried.images.flatten().tolist() == [0, 1, 0, 0]
    assert by_gradient.images.flatten().tolist() == [1, 1, 0, 0]


def test_max_steps_gives_up() -> None:
    net, images, labels, fewest = affine(1)
    outcome = run(PixelGreedy(max_steps=2), net, images, Untargeted(labels))
    assert torch.equal(outcome.claimed, fewest <= 2)
    assert int(outcome.steps.max()) == 2


def test_each_option_of_sigma_zero_matter() -> None:
    net, images, labels, _ = affine(3)
    variants: dict[str, dict[str, Any]] = {
        "as it comes": {},
        "steps": {"steps": 20},
        "sigma": {"sigma": 0.3},
        "tau": {"tau": 0.9},
        "step_size": {"step_size": 0.1},
        "tau_rate": {"tau_rate": 0.1},
    }
    found = {what: run(SigmaZero(**options), net, images, Untargeted(labels)) for what, options in variants.items()}
    for what, outcome in found.items():
        assert what == "as it comes" or not torch.equal(outcome.images, found["as it comes"].images), what
    assert int(found["steps"].steps.max()) == 20
    assert pixels(found["steps"], images).mean() >= pixels(found["as it comes"], images).mean()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PixelGreedy(shortlist=0), "expected shortlist >= 1, got 0"),
        (lambda: PixelGreedy(max_steps=0), "expected max_steps >= 1, got 0"),
        (lambda: SigmaZero(steps=0), "expected steps >= 1, got 0"),
        (lambda: SigmaZero(step_size=0.0), "expected a finite step_size > 0, got 0.0"),
        (lambda: SigmaZero(sigma=-1.0), "expected a finite sigma > 0, got -1.0"),
        (lambda: SigmaZero(tau=float("nan")), "expected a finite tau >= 0, got nan"),
        (lambda: Minimal(norm=cast(Any, None)), "expected norm as l0, l1, l2, linf or lP, got None"),
    ],
)
def test_options_that_make_no_sense_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(BrittleError, match=message):
        make()


def test_minimal_is_no_larger_than_what_it_begins_with() -> None:
    net, images, labels, _ = affine(3)
    for norm in (L0, L1, L2, LINF, Lp(1.5)):
        first = PixelGreedy() if norm == L0 else BoundaryWalk(norm=norm)
        chosen, other = (run(attack, net, images, Untargeted(labels)) for attack in (Minimal(norm=norm), first))
        assert chosen.claimed.all()
        ratio = norm.measure(chosen.images - images) / norm.measure(other.images - images)
        assert float(ratio.max()) < 1.02


def exchangeable(x: Tensor) -> Tensor:
    """Pixels 0, 1 and 2 do it together; so do 2 and 3, and of that the gradient at 0 knows little."""
    return 1.0 - 0.45 * x[:, :3].sum(1) - 0.3 * x[:, 3] - 0.5 * x[:, 2] * x[:, 3]


def test_exchanges_leave_fewer_pixels() -> None:
    images, goal = torch.zeros(1, 1, 3, 3), Untargeted(torch.zeros(1, dtype=torch.int64))
    asking = asking_nearest(Network(Formula(exchangeable), fast=False), images, goal, L0)
    far = torch.tensor([1.0, 1, 1, 0, 1, 0, 0, 0, 0]).view(1, 1, 3, 3)
    asking.look(torch.tensor([0]), far)
    assert float(asking.best.size) == 4
    exchange(asking, torch.tensor([0]), far, torch.full((1, 9), -torch.inf), 4)
    assert asking.best.images.flatten().tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0]


def unseen(x: Tensor) -> Tensor:
    """Pixels 0 and 1 do it together; so does 3 alone, of which the gradient at 0 knows nothing."""
    return 1.0 - 0.55 * x[:, :2].sum(1) - 2.1 * torch.relu(x[:, 3] - 0.5)


def test_an_exchange_remembers_what_the_gradient_does_not_know() -> None:
    images, goal = torch.zeros(1, 1, 3, 3), Untargeted(torch.zeros(1, dtype=torch.int64))
    counts = {}
    for what in (-torch.inf, 1.05):
        asking = asking_nearest(Network(Formula(unseen), fast=False), images, goal, L0)
        known = torch.full((1, 9), -torch.inf)
        known[0, 3] = what
        asking.look(torch.tensor([0]), both := torch.tensor([1.0, 1, 0, 0, 0, 0, 0, 0, 0]).view(1, 1, 3, 3))
        exchange(asking, torch.tensor([0]), both, known, 4)
        counts[what] = int(asking.best.size)
    assert counts == {-torch.inf: 2, 1.05: 1}


def flat(x: Tensor) -> Tensor:
    """Flat about 0, as networks that resist are: of all pixels only 3 about the one at (10, 17) do anything, at 1."""
    bump = torch.relu(x.view(-1, 28, 28) - 0.5)
    return 1.0 - 3.0 * bump[:, 10, 17] - 1.2 * bump[:, 10, 16] - 1.2 * bump[:, 11, 17] - 0.01 * x[:, 5]


def test_a_pixel_is_found_that_the_gradient_knows_nothing_of() -> None:
    images, goal = torch.zeros(2, 1, 28, 28), Untargeted(torch.zeros(2, dtype=torch.int64))
    outcome = run(Minimal(norm="l0"), Formula(flat), images, goal)
    assert outcome.claimed.all()
    assert pixels(outcome, images).tolist() == [1, 1]


def test_of_a_pixel_other_colours_than_the_farthest_are_tried() -> None:
    """Black pixels, whose gradient is 0, and white ones, whose green has none, of which two would do.

    Magenta does 1 of the .5 that are wanted, white .4.
    """

    def gap(values: Tensor) -> Tensor:
        red, green, blue = values.view(-1, 3, 64).unbind(1)
        return 0.5 - (red * blue * (1 - 0.6 * (green > 0.5))).sum(1)

    black = torch.zeros(2, 3, 8, 8)
    outcome = run(Minimal(norm=L0), Formula(gap), black, Untargeted(torch.zeros(2, dtype=torch.int64)))
    assert outcome.claimed.all()
    assert pixels(outcome, black).tolist() == [1, 1]


@pytest.mark.parametrize("channels", [1, 3])
def test_minimal_finds_the_fewest_pixels_of_an_affine_classifier(channels: int) -> None:
    net, images, labels, fewest = affine(channels)
    outcome = run(Minimal(norm="l0"), net, images, Untargeted(labels))
    assert outcome.claimed.all()
    assert torch.equal(pixels(outcome, images), fewest)


def test_networks_that_resist_are_fooled_by_few_pixels(real_data: Path) -> None:
    classifier, images, labels = resisting(real_data, 5)
    rng, counts = Rng(0, tuple(str(row) for row in range(len(images)))), {}
    attacks: dict[str, Any] = {"minimal": Minimal(norm="l0"), "sigma-zero": SigmaZero(), "greedy": PixelGreedy()}
    for name, attack in attacks.items():
        outcome = attack(classifier, images, Untargeted(labels), rng=rng)
        assert name == "greedy" or outcome.claimed.all(), name
        counts[name] = pixels(outcome, images)
    assert float(counts["minimal"].mean()) <= 0.9 * float(counts["sigma-zero"].mean())
    assert float(counts["minimal"].mean()) <= 0.6 * float(counts["greedy"].mean())


def resisting(real_data: Path, count: int) -> tuple[Classifier, Tensor, Tensor]:
    """LeNet-5 of MNIST, trained against adversarial examples, and images that it gets right."""
    module = runpy.run_path(str(real_data / "weights" / "definitions.py"))
    net = module["LeNet5"]().eval()
    net.load_state_dict(load_file(real_data / "weights" / "mnist_advertorch_lenet5_adv.safetensors"))
    examples = load_data(str(real_data / "mnist" / "test.parquet"), limit=2 * count, fit=None)
    images, labels = examples.images(0, 2 * count), examples.labels
    assert labels is not None
    classifier = Network(net)
    right = (classifier.logits(images).argmax(1) == labels[: len(images)]).nonzero().squeeze(1)[:count]
    return classifier, images[right], labels[right]


def test_two_pixels_are_enough_for_half_of_cifar(real_data: Path) -> None:
    classifier = load_model("resnet20", weights=real_data / "weights" / "cifar10_resnet20.safetensors")
    examples = load_data(str(real_data / "cifar10-jpeg" / "test.parquet"), limit=None, fit=None)
    images = examples.images(0, 16)
    assert examples.labels is not None
    right = classifier.logits(images).argmax(1) == examples.labels[:16]
    images, labels = images[right], examples.labels[:16][right]
    rng = Rng(0, tuple(str(row) for row in range(len(images))))
    counts = {}
    for shortlist in (1, 16):
        outcome = PixelGreedy(shortlist=shortlist)(classifier, images, Untargeted(labels), rng=rng)
        counts[shortlist] = torch.where(outcome.claimed, pixels(outcome, images), torch.inf)
    assert float(counts[16].median()) <= 3
    assert float(counts[16].sort().values[: len(labels) * 3 // 4].sum()) < float(
        counts[1].sort().values[: len(labels) * 3 // 4].sum()
    )
