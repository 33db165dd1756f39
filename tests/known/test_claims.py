"""Claims stay true: of changed networks, in half precision, in TF32, with offsets, and where there is no answer."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from flow_studies import audit_of
from torch import Tensor, nn

import brittle
from brittle import FMN, PGD, Classifier, DeepFool, Minimal
from brittle.attacks import Attack
from brittle.data import examples_of, load_data
from brittle.goals import Untargeted
from brittle.measure import Gate, accuracy_at, curve, summaries
from brittle.measure.classes import classes
from brittle.models import load_model
from brittle.models.network import Network
from brittle.run.attack import attack_graded
from brittle.run.engine import run
from laws.worlds import MEAN, STD, SmallCNN, network_of, trained_world

pytestmark = pytest.mark.usefixtures("one_thread")


class Odd(SmallCNN):
    """Reads Python attributes in its forward pass, which a trace freezes."""

    def __init__(self) -> None:
        super().__init__()
        self.mirrored, self.temperature = False, 1.0

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images.flip(3) if self.mirrored else images) / self.temperature


def odd() -> Odd:
    net = Odd()
    net.load_state_dict(trained_world().net.state_dict())
    return net.eval()


def average_weights(net: Odd) -> None:
    """As helpers for averaged weights write them: PyTorch counts no new version."""
    other = trained_world().net.state_dict()
    for name, parameter in net.named_parameters():
        parameter.data.copy_(other[name].roll(3, 0) if name.startswith("head") else other[name])


def mirror(net: Odd) -> None:
    net.mirrored = True


def heat(net: Odd) -> None:
    net.temperature = -0.5


CHANGES = [average_weights, mirror, heat]


def answers(classifier: Classifier, images: Tensor) -> Tensor:
    return classifier.logits(images, plain=True).argmax(1)


# ---- the fast copy


@pytest.mark.parametrize("change", CHANGES)
def test_attack_sees_the_network_as_it_is_now(change: Callable[[Odd], None]) -> None:
    net, images = odd(), trained_world().images
    classifier = Network(net, mean=MEAN, std=STD)
    before = classifier.logits(images)
    assert classifier.is_fast
    change(net)
    assert not torch.allclose(classifier.logits(images, plain=True), before, rtol=0.1)  # it is a change
    for attack, least in ((DeepFool(), 40), (PGD(norm="l2", eps=0.6), 25)):
        found = brittle.attack(classifier, images, answers(classifier, images), attack)
        assert not (found.claimed & ~found.fooled).any()
        assert int(found.fooled.sum()) >= least
        assert not found.miscounted
        assert classifier.is_fast  # by a copy that was made anew


@pytest.mark.parametrize("change", CHANGES)
def test_audit_sees_the_network_as_it_is_now(change: Callable[[Odd], None], tmp_path: Path) -> None:
    net, images = odd(), trained_world().images
    classifier = Network(net, mean=MEAN, std=STD)
    classifier.logits(images)
    change(net)
    examples = examples_of(images, answers(classifier, images))
    done = run(audit_of(classifier, examples, [DeepFool()]), out=tmp_path / "run")
    assert done.records["fooled"].all() and done.records["claimed"].all()
    assert "unconfirmed" not in [flag.code for flag in summaries(done.manifest, done.records)[0].flags]


def test_network_that_no_copy_agrees_with_is_attacked_itself() -> None:
    class Fickle(Odd):
        """Another function in every trace: what is traced answers for the time before."""

        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images) * (1.0 if isinstance(images, Tensor) else -1.0)

    net = Fickle()
    net.load_state_dict(trained_world().net.state_dict())
    classifier, images = Network(net.eval(), mean=MEAN, std=STD), trained_world().images
    found = brittle.attack(classifier, images, answers(classifier, images), DeepFool())
    assert not classifier.is_fast
    assert found.claimed.all() and found.fooled.all()


def test_checks_are_nobodys_passes_and_leave_no_trace() -> None:
    net, images = odd().train(), trained_world().images
    classifier = Network(net, mean=MEAN, std=STD)
    logits = classifier.logits(images, plain=True)
    counted, random = (classifier.forwards, classifier.backwards), torch.get_rng_state()
    with pytest.raises(KeyError), classifier.settled(images, logits):
        raise KeyError
    assert (classifier.forwards, classifier.backwards) == counted
    assert torch.equal(torch.get_rng_state(), random)
    assert all(module.training for module in net.modules())
    average_weights(net)
    assert classifier._fast._held is False


# ---- rounding

HALF = [torch.float16, torch.bfloat16]


def denied(classifier: Network, found: brittle.Found, labels: Tensor) -> tuple[int, int]:
    """Claims that the same network denies for each image alone, and that a float32 copy of it denies."""
    double = Network(copy.deepcopy(classifier.net).float(), mean=classifier.mean, std=classifier.std, fast=False)
    raw = Network(classifier.net, mean=classifier.mean, std=classifier.std, fast=False, steady=False)
    alone = torch.cat([raw.logits(image.unsqueeze(0)) for image in found.images])
    return tuple(  # type: ignore[return-value]
        int((found.claimed & (logits.argmax(1) == labels)).sum()) for logits in (alone, double.logits(found.images))
    )


@pytest.mark.parametrize("dtype", HALF)
def test_successes_in_half_precision_are_those_of_the_same_weights_in_float32(dtype: torch.dtype) -> None:
    world = trained_world()
    classifier = Network(copy.deepcopy(world.net).to(dtype), mean=MEAN, std=STD)
    labels, claimed = answers(classifier, world.images), 0
    for attack in (Minimal(), DeepFool(), FMN(steps=50), DeepFool(norm="linf")):
        found = brittle.attack(classifier, world.images, labels, attack)
        assert denied(classifier, found, labels) == (0, 0), attack
        claimed += int(found.claimed.sum())
    assert claimed >= 150  # of 160


def test_successes_on_a_real_network_in_half_precision(real_data: Path) -> None:
    made = network_of(load_model("resnet20", weights=real_data / "weights" / "cifar10_resnet20.safetensors"))
    examples = load_data(str(real_data / "cifar10-jpeg" / "test.parquet"), limit=4, fit=None)
    classifier = Network(copy.deepcopy(made.net).bfloat16(), mean=made.mean, std=made.std)
    images = examples.images(0, 4)
    labels = answers(classifier, images)
    found = brittle.attack(classifier, images, labels, DeepFool(candidates=1))
    assert found.claimed.all()
    assert denied(classifier, found, labels) == (0, 0)


class Autocast(nn.Module):
    """Computes in bfloat16 inside, and neither its weights nor its answer show it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits: Tensor = self.net(images)
        return logits.float()


@pytest.mark.parametrize(
    ("make", "eps"),
    [
        (lambda net: net, torch.finfo(torch.float32).eps),
        (lambda net: net.double(), torch.finfo(torch.float32).eps),
        (lambda net: net.half(), torch.finfo(torch.float16).eps),
        (Autocast, torch.finfo(torch.bfloat16).eps),
    ],
)
def test_rounding_is_that_of_what_the_network_computes_in(make: Callable[[nn.Module], nn.Module], eps: float) -> None:
    world = trained_world()
    classifier = Network(make(copy.deepcopy(world.net)), mean=MEAN, std=STD)
    with classifier.settled(world.images, classifier.logits(world.images)) as rounding:
        assert rounding.eps == pytest.approx(eps)
        assert rounding.share == (1e-5 if eps < 1e-6 else 4 * eps)


@pytest.mark.parametrize(("setting", "unit"), [("highest", 2.0**-23), ("high", 2.0**-10), ("medium", 2.0**-7)])
def test_attacks_in_less_than_float32_claim_only_what_float32_confirms(setting: str, unit: float) -> None:
    world = trained_world()
    classifier, before = world.classifier(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(setting)
    try:
        with classifier.settled(world.images, classifier.logits(world.images)) as rounding:
            assert rounding.eps == pytest.approx(2.0**-23)  # what the logits themselves come in
            assert rounding.share == max(1e-5, 4 * unit if unit > 1e-6 else 0)
    finally:
        torch.set_float32_matmul_precision(before)


def test_another_answer_in_other_company_is_rounding_only_while_it_is_small() -> None:
    class Company(nn.Module):
        def __init__(self, net: nn.Module, pull: float) -> None:
            super().__init__()
            self.net, self.pull = net, pull

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.net(images)
            return logits + self.pull * logits.roll(1, 1) * (len(images) > 1)

    world = trained_world()
    for pull, least, most in ((1e-4, 1e-4, 1e-3), (0.5, 1e-5, 1e-5)):
        classifier = Network(Company(world.net, pull), mean=MEAN, std=STD, fast=False)
        with classifier.settled(world.images, classifier.logits(world.images)) as rounding:
            assert least <= rounding.share <= most


@pytest.mark.parametrize("attack", [DeepFool(), Minimal(), DeepFool(norm="linf"), brittle.SparseFool()])
def test_common_offset_of_the_logits_changes_no_distance(attack: Attack) -> None:
    def shifted(offset: float) -> Classifier:
        net = copy.deepcopy(trained_world().net).double()  # what an offset costs inside a network is not meant here
        net.head[2].bias.data += offset  # type: ignore[index, union-attr]
        return Network(net, mean=MEAN, std=STD)

    images = trained_world().images
    labels = answers(shifted(0), images)
    sizes = []
    for offset in (0.0, 1e3, 1e6):
        found = brittle.attack(shifted(offset), images, labels, attack)
        assert not (found.claimed & ~found.fooled).any()
        assert not (answers(shifted(0), found.images) == labels)[found.claimed].any()
        sizes.append(found.distance("l2"))
    differ = (sizes[1] / sizes[0] - 1).abs()
    # Of an image here and there, a tie between two pixels falls otherwise.
    assert float(differ.median()) < 1e-2 and float(differ.quantile(0.9)) < 3e-2
    assert float(sizes[2].median()) < 1.5 * float(sizes[0].median())


# ---- grading in float32


class Watched(nn.Module):
    """Notes under what precision it is run, and with a gradient or without."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.seen = copy.deepcopy(trained_world().net), list[tuple[str, bool]]()

    def forward(self, images: Tensor) -> Tensor:
        if images.sum() == 0:  # not to be traced
            return torch.zeros(len(images), 10)
        self.seen.append((torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32))
        logits: Tensor = self.net(images)
        return logits


def test_grading_is_in_float32_and_the_users_settings_come_back() -> None:
    net, world = Watched(), trained_world()
    classifier = Network(net, mean=MEAN, std=STD, batch_size=64)
    settings = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.allow_tf32 = True
    try:
        logits, rng = classifier.logits(world.images), world.rng()
        method = PGD(norm="l2", eps=0.6, steps=3)
        found = attack_graded(classifier, world.images, Untargeted(world.labels), method, rng, logits)
        assert found.fooled_8bit.any()  # asked for, so that the grader has two passes
        assert net.seen[-3:] == [("highest", False)] * 3  # the grader's two, and between them a look at the originals
        assert net.seen[-4] == ("medium", True)  # the attack's
        with pytest.raises(RuntimeError):
            classifier.logits(world.images[:, :, :3, :3], plain=True)
        assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == ("medium", True)
    finally:
        torch.set_float32_matmul_precision(settings[0])
        torch.backends.cudnn.allow_tf32 = settings[1]


# ---- no answer at all


class Breaking(nn.Module):
    """NaN, or infinity, as soon as the image is not one of those it knows."""

    def __init__(self, known: Tensor, bad: float) -> None:
        super().__init__()
        self.net, self.known, self.bad = copy.deepcopy(trained_world().net), (known - MEAN[0]) / STD[0], bad

    def forward(self, images: Tensor) -> Tensor:
        known = (images.unsqueeze(1) == self.known).flatten(2).all(2).any(1)
        logits: Tensor = self.net(images)
        return torch.where(known.unsqueeze(1), logits, self.bad * logits.sign())


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_no_answer_to_an_attacked_image_is_neither_fooled_nor_robust(bad: float, tmp_path: Path) -> None:
    world = trained_world()
    right = world.logits(world.images).argmax(1) == world.labels
    images, labels = world.images[right], world.labels[right]
    classifier = Network(Breaking(images, bad), mean=MEAN, std=STD)
    found = brittle.attack(classifier, images, labels, PGD(eps=0.1))
    assert found.non_finite.all()
    assert not found.fooled.any() and not found.claimed.any()
    done = run(audit_of(classifier, examples_of(images, labels), [PGD(eps=0.1)]), out=tmp_path / "run")
    assert all("non-finite-logits" in flags for flags in done.records["flags"])
    (summary,) = summaries(done.manifest, done.records)
    raised = {flag.code: flag.message for flag in summary.flags}
    assert f"{len(images)} of {len(images)} images" in raised["non-finite-logits"]
    for measures in (summary.overall, summary.attacks[0].measures):
        assert (measures["fooling_rate"].value, measures["robust_accuracy"].value) == (0, 0)
    for one in classes(next(done.manifest.views()), done.records, "pgd(eps=0.1)"):
        assert (one.robust_accuracy.count, one.taken_for) == (0, {})
    assert accuracy_at(*curve(done.records, "pgd(eps=0.1)", "linf"), 0.1) == 0
    assert not Gate.of(False, {"robust_accuracy": 0.01}).judged([summary]).passed


def test_finite_answers_are_not_flagged() -> None:
    world = trained_world()
    found = brittle.attack(world.classifier(), world.images, world.labels, PGD(eps=0.1))
    assert not found.non_finite.any()
