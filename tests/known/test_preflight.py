"""Preflight: each planted fault raises its own flag and no other; a clean network raises none."""

import math
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from brittle.errors import BrittleError
from brittle.models.network import Network
from brittle.models.preflight import check_compatible, glance, preflight
from brittle.models.zoo import load_model

SHARED = Path(os.environ.get("BRITTLE_DATA", Path(__file__).parents[2].parent / "shared" / "data"))
RESNET20 = SHARED / "weights" / "cifar10_resnet20.safetensors"
needs_data = pytest.mark.skipif(not RESNET20.exists(), reason=f"no real weights in {SHARED}; set BRITTLE_DATA")

CLASSES = 4
PROTOTYPES = torch.rand(CLASSES, 3, 6, 6, generator=torch.Generator().manual_seed(0)).mul(0.6).add(0.2)


def images_of(count: int) -> tuple[Tensor, Tensor]:
    """Noisy copies of a prototype per class."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(count) % CLASSES
    noise = torch.rand(count, 3, 6, 6, generator=generator).sub(0.5).mul(0.1)
    return (PROTOTYPES[labels] + noise).clamp(0, 1), labels


IMAGES, LABELS = images_of(40)


class Nearest(nn.Module):
    """Logits that fall with the squared distance to each prototype, then ``fault(logits)``."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        gaps = images.flatten(1).unsqueeze(1) - PROTOTYPES.flatten(1)
        return self.fault(-self.scale * gaps.square().sum(2))

    def fault(self, logits: Tensor) -> Tensor:
        return logits


def codes(net: nn.Module) -> list[str]:
    return [flag.code for flag in preflight(Network(net), IMAGES, LABELS)]


def message(net: nn.Module) -> str:
    (flag,) = preflight(Network(net), IMAGES, LABELS)
    return flag.message


def test_clean_network_raises_no_flag() -> None:
    assert codes(Nearest()) == []
    assert preflight(Network(Nearest()), IMAGES, None) == []
    assert preflight(Network(Nearest()), IMAGES[:0], LABELS[:0]) == []
    assert preflight(Network(Nearest()), IMAGES[:1], LABELS[:1]) == []


@needs_data
def test_real_network_raises_no_flag_and_one_without_its_mean_and_std_does() -> None:
    from brittle.data import load_data

    examples = load_data(str(SHARED / "cifar10-jpeg" / "test.parquet"), limit=64, fit=None)
    images, labels = examples.images(0, 64), examples.labels
    assert preflight(load_model("resnet20", weights=RESNET20), images, labels) == []
    (flag,) = preflight(load_model("resnet20", weights=RESNET20, mean=(0, 0, 0), std=(1, 1, 1)), images, labels)
    assert flag.code == "suspect-input-range"
    assert flag.message == (
        "accuracy on 64 images is 35.9 % as given; with ImageNet's mean and std it is 79.7 % (with CIFAR-10's it is as"
        " good): pass --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225, or what it was trained with"
    )


class Softmax(Nearest):
    def fault(self, logits: Tensor) -> Tensor:
        return logits.softmax(1)


class LogSoftmax(Nearest):
    def fault(self, logits: Tensor) -> Tensor:
        return logits.log_softmax(1)


class Sigmoid(Nearest):
    """One output for two classes, squashed."""

    def fault(self, logits: Tensor) -> Tensor:
        return (logits[:, 1] - logits[:, 0]).sigmoid()


def test_probabilities_are_flagged() -> None:
    assert "sum to 1 on all 40 images: the network ends in a softmax" in message(Softmax())
    assert "the outputs are log-probabilities" in message(LogSoftmax())
    flags = preflight(Network(Sigmoid()), IMAGES, None)
    assert flags[0].code == "probabilities"
    assert "the network seems to end in a sigmoid, so that class 1 is always predicted" in flags[0].message


def test_saturated_softmax_hides_its_gradients_and_is_flagged_for_both() -> None:
    assert codes(Softmax(scale=100.0)) == ["probabilities", "zero-gradient", "unbroken-at-eps-1"]


def test_one_hot_looking_logits_are_no_probabilities() -> None:
    class Shifted(Nearest):
        def fault(self, logits: Tensor) -> Tensor:
            return logits.softmax(1) * 1.5

    assert codes(Shifted()) == []


class Noisy(Nearest):
    """Noise from the global generator, in eval mode too."""

    def fault(self, logits: Tensor) -> Tensor:
        return logits + 0.1 * torch.randn_like(logits)


def test_randomness_is_flagged_and_the_global_generator_is_left_alone() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        before = torch.get_rng_state()
        (flag,) = preflight(Network(Noisy()), IMAGES, None)
        assert torch.equal(torch.get_rng_state(), before)
    assert flag.code == "random"
    assert "112 of 112 repeated answers differ, by up to 0." in flag.message
    seen = glance(Network(Noisy()), IMAGES, LABELS, Network(Nearest()).logits(IMAGES), gradients=False)
    assert [flag.code for flag in seen] == ["random"]  # and not the company, which changes as much


class BatchCentred(Nearest):
    """Logits relative to the batch's mean."""

    def fault(self, logits: Tensor) -> Tensor:
        return logits - 0.5 * logits.mean(0)


class Positional(Nearest):
    """An image gets other logits from the fifth place on: alone, the first four are as they are in the batch."""

    def fault(self, logits: Tensor) -> Tensor:
        return logits + 0.1 * (torch.arange(len(logits)) >= 4).unsqueeze(1) * torch.tensor([1.0, 0, 0, 0])


class BatchNormOfTheBatch(Nearest):
    """Batch norm without running statistics: normalises by the batch in eval mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(self.norm(images) * 0.2 + 0.5)


@pytest.mark.parametrize(
    "net", [BatchCentred(), Positional(), BatchNormOfTheBatch()], ids=lambda net: type(net).__name__
)
def test_batch_dependence_is_flagged(net: nn.Module) -> None:
    assert codes(net) == ["batch-dependent"]


class Rounded(Nearest):
    """Pixels rounded to 16 levels first: no gradient anywhere, though the accuracy is that of the clean network."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward((images * 15).round() / 15)


class Detached(Nearest):
    """No graph at all."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).detach()


class DetachedInPart(Nearest):
    """Images of class 0 or 1 lose their gradient: 20 of 40."""

    def fault(self, logits: Tensor) -> Tensor:
        blind = (logits.argmax(1) < 2).unsqueeze(1)
        return torch.where(blind, logits.detach(), logits)


def test_zero_gradients_are_flagged_with_their_share() -> None:
    for net in (Rounded(), Detached()):
        flags = preflight(Network(net), IMAGES, LABELS)
        assert [flag.code for flag in flags] == ["zero-gradient", "unbroken-at-eps-1"]
        assert "zero or nearly so on 40 of 40 images (100 %)" in flags[0].message
        assert "16 of 16 images withstand 20 gradient steps" in flags[1].message
    assert (
        "zero or nearly so on 20 of 40 images (50.0 %)"
        in preflight(Network(DetachedInPart()), IMAGES, LABELS)[0].message
    )


class NanGradient(Nearest):
    """Finite logits, but the square root at 0 has an infinite slope, and infinity times 0 is NaN."""

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        zero = (images.flatten(1)[:, :1] * 0).sqrt()
        return logits + zero * torch.tensor([1.0, 0, 0, 0])


def test_non_finite_gradients_are_flagged_with_their_share() -> None:
    flags = preflight(Network(NanGradient()), IMAGES, LABELS)
    assert [flag.code for flag in flags] == ["non-finite-gradient"]
    assert "NaN or infinity on 40 of 40 images (100 %)" in flags[0].message


class Undifferentiable(Nearest):
    """A step of its own whose backward pass fails."""

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, logits: Tensor) -> Tensor:
            return logits.clone()

        @staticmethod
        def backward(ctx: object, gradient: Tensor) -> Tensor:
            raise RuntimeError("no backward\nwritten yet")

    def fault(self, logits: Tensor) -> Tensor:
        stepped: Tensor = self.Step.apply(logits)
        return stepped


def test_network_whose_backward_pass_fails_gets_one_line() -> None:
    expected = "cannot be differentiated in its input, it raises RuntimeError: no backward written yet"
    with pytest.raises(BrittleError, match=expected):
        preflight(Network(Undifferentiable(), fast=False), IMAGES, LABELS)


@pytest.mark.parametrize(
    ("mean", "std", "advice"),
    [
        (
            (0.485, 0.456, 0.406),
            (0.229, 0.224, 0.225),
            "ImageNet's mean and std it is 100 %: pass --mean 0.485,0.456,0.406",
        ),
        ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616), "CIFAR-10's mean and std it is 100 %"),
        ((0.5,) * 3, (0.5,) * 3, "[-1, 1] mean and std it is 100 %: pass --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5"),
        (
            (0.0,) * 3,
            (1 / 255,) * 3,
            "0-to-255 mean and std it is 100 %: pass --mean 0,0,0 --std 0.003922,0.003922,0.003922",
        ),
    ],
)
def test_forgotten_normalisation_is_found(mean: tuple[float, ...], std: tuple[float, ...], advice: str) -> None:
    class Wants(nn.Module):
        """Right where the pixels are near a prototype once this normalisation is undone, off by one elsewhere."""

        def forward(self, images: Tensor) -> Tensor:
            offset, scale = (torch.tensor(values).view(1, -1, 1, 1) for values in (mean, std))
            gaps = (images * scale + offset).flatten(1).unsqueeze(1) - PROTOTYPES.flatten(1)
            logits = -gaps.square().sum(2)
            is_near = gaps.abs().amax(2).amin(1, keepdim=True) < 0.06
            return torch.where(is_near, logits, logits.roll(1, 1))

    flags = preflight(Network(Wants(), fast=False), IMAGES, LABELS)
    messages = [flag.message for flag in flags if flag.code == "suspect-input-range"]
    assert len(messages) == 1
    assert "as given; with " + advice in messages[0]


def test_superfluous_normalisation_is_found() -> None:
    (flag,) = preflight(Network(Nearest(), mean=(5.0, -5.0, 5.0), std=(1.0, 1.0, 1.0)), IMAGES, LABELS)
    assert flag.code == "suspect-input-range"
    assert "is 25.0 % as given; with no mean and std it is 100 % (with ImageNet's or CIFAR-10's or" in flag.message
    assert "pass --mean 0,0,0 --std 1,1,1, or what it was trained with" in flag.message


def test_one_image_more_is_no_evidence_for_another_normalisation() -> None:
    classifier = Network(Nearest(), mean=(5.0, -5.0, 5.0), std=(1.0, 1.0, 1.0))
    right = classifier.logits(IMAGES[:4]).argmax(1) == LABELS[:4]
    assert int(right.sum()) == 1
    pair = torch.tensor([int(right.nonzero()), int((~right).nonzero()[0])])
    assert preflight(classifier, IMAGES[pair], LABELS[pair]) == []


def test_accuracy_of_guessing_is_flagged_even_when_nothing_helps() -> None:
    (flag,) = preflight(Network(Nearest()), IMAGES, (LABELS + 1) % CLASSES)
    assert flag.code == "suspect-input-range"
    assert "is 0 %, no better than guessing among 4 classes" in flag.message
    assert preflight(Network(Nearest()), IMAGES[:9], (LABELS[:9] + 1) % CLASSES) == []  # too few to say


def test_mediocre_accuracy_is_not_flagged() -> None:
    labels = torch.where(torch.arange(40) < 18, (LABELS + 1) % CLASSES, LABELS)  # 55 % right; guessing: 25 %
    assert preflight(Network(Nearest()), IMAGES, labels) == []


def test_probe_is_the_first_64_examples_and_costs_no_more_than_it_says() -> None:
    images, labels = images_of(200)
    classifier, blind = Network(Nearest()), Network(Rounded())
    assert preflight(classifier, images, labels) == []
    assert 64 + 8 + 16 + 8 < classifier.backwards <= 64 + 8 + 16 * 19 + 16 + 8
    assert classifier.forwards + classifier.backwards < 600
    preflight(blind, images, labels)
    assert 700 < blind.forwards + blind.backwards < 1000
    images[64:] = torch.nan
    counts = []
    for logits in (None, classifier.logits(images[:64])):
        counts.append(classifier.forwards)
        assert preflight(classifier, images, labels, logits=logits) == []
        counts.append(classifier.forwards)
    assert (counts[1] - counts[0]) - (counts[3] - counts[2]) == 64, "logits that are at hand are not asked for"


class Counted(Nearest):
    """How many images go through, pass by pass."""

    def __init__(self) -> None:
        super().__init__()
        self.passes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.passes.append(len(images))
        return super().forward(images)


class LateNoise(Counted):
    """Is random in one pass, the 60th of two images, by a generator of its own."""

    def fault(self, logits: Tensor) -> Tensor:
        return logits + float(self.passes[-1] == 2 and self.passes.count(2) == 60)


def test_noise_in_one_pass_of_64_is_seen() -> None:
    late = LateNoise()
    (flag,) = preflight(Network(late, fast=False), IMAGES, LABELS)
    assert flag.code == "random"
    assert late.passes.count(2) >= 64


class StraightThroughInPart(Nearest):
    """Images of class 0 are rounded, with the gradient of the identity."""

    def forward(self, images: Tensor) -> Tensor:
        mine = (super().forward(images).argmax(1) == 0).view(-1, 1, 1, 1)
        rounded = images + ((images * 7).round() / 7 - images).detach()
        return super().forward(torch.where(mine, rounded, images))


def test_one_image_whose_slope_is_wrong_makes_for_a_look_at_more() -> None:
    mine, others = (torch.arange(label, len(LABELS), CLASSES) for label in (0, 1))
    order = torch.cat([mine[:1], others[:7], mine[1:9]])
    flags = preflight(Network(StraightThroughInPart()), IMAGES[order], LABELS[order])
    assert [flag.code for flag in flags] == ["rough-gradient"]
    assert "of 16 images it is wrong for the smallest move" in flags[0].message
    few = torch.cat([mine[:2], others])
    assert preflight(Network(StraightThroughInPart()), IMAGES[few], LABELS[few]) == []  # no more than a flag takes


def test_a_normalisation_that_can_be_no_better_any_more_is_tried_no_further() -> None:
    labels = torch.where(torch.arange(40) < 18, (LABELS + 1) % CLASSES, LABELS)  # 55 % right; nothing is at 75 %
    net = Counted()
    assert preflight(Network(net, fast=False), IMAGES, labels) == []
    sure = Counted()
    assert preflight(Network(sure, fast=False), IMAGES, LABELS) == []
    tried = sum(net.passes) - sum(sure.passes)
    assert 5 * 16 <= tried < 5 * 40


class Nan(Nearest):
    def fault(self, logits: Tensor) -> Tensor:
        return torch.where((logits.argmax(1) == 2).unsqueeze(1), torch.nan, logits)


class InADict(Nearest):
    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {"logits": super().forward(images)}


class FeatureMap(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images


MISFITS = {
    "nan": (
        Nan(),
        IMAGES,
        LABELS,
        "expected finite logits, got NaN or infinity on 10 of 40 images; look for NaN weights",
    ),
    "dict": (InADict(), IMAGES, LABELS, r"to return logits \[B, K\], got dict; wrap it"),
    "feature map": (FeatureMap(), IMAGES, LABELS, r"expected logits \[\d+, K\] from the network, got shape"),
    "grey": (
        nn.Sequential(nn.Conv2d(3, 4, 6), nn.Flatten()),
        IMAGES[:, :1],
        LABELS,
        r"expected images with 3 channels"
        r" \(colour\), as the network's first convolution wants, got 1 \(grey\)",
    ),
    "colour": (nn.Sequential(nn.Conv2d(1, 4, 6), nn.Flatten()), IMAGES, LABELS, r"with 1 channel \(grey\), .* got 3"),
    "size": (
        nn.Sequential(nn.Flatten(), nn.Linear(9, 4)),
        IMAGES,
        LABELS,
        r"does not run on images of 3 x 6 x 6 \(channels"
        r" x height x width\), it raises RuntimeError: .*mat1",
    ),
    "label too high": (
        Nearest(),
        IMAGES,
        LABELS + 1,
        "expected labels from 0 to 3, as the network has 4 classes, got 4",
    ),
    "label too low": (Nearest(), IMAGES, LABELS - 1, "expected labels from 0 to 3, .* got -1"),
}


@pytest.mark.parametrize("case", MISFITS)
def test_what_cannot_belong_together_gets_one_line(case: str) -> None:
    net, images, labels, expected = MISFITS[case]
    for check in (check_compatible, preflight):
        with pytest.raises(BrittleError, match=expected) as caught:
            check(Network(net), images, labels)
        assert "\n" not in str(caught.value)


def test_grey_images_with_a_colour_mean_name_the_channels() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 6), nn.Flatten())
    with pytest.raises(BrittleError, match="expected images with 3 channels"):
        check_compatible(Network(net, mean=(0.5,) * 3, std=(0.5,) * 3), IMAGES[:, :1], None)


def test_labels_beyond_the_probe_are_checked_too() -> None:
    images, labels = images_of(100)
    labels[99] = 9
    with pytest.raises(BrittleError, match="expected labels from 0 to 3"):
        preflight(Network(Nearest()), images, labels)


def test_compatible_logits_come_back() -> None:
    logits = check_compatible(Network(Nearest()), IMAGES, LABELS)
    assert torch.equal(logits.argmax(1), LABELS)
    assert math.isfinite(float(logits.sum()))
