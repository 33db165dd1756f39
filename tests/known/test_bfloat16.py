"""Attacks in bfloat16: what they see, what they may claim of it, and that nothing is graded by it."""

import copy
import pickle
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

import brittle
from brittle.attacks import APGD, PGD, DeepFool, Minimal, Square
from brittle.errors import BrittleError
from brittle.models import Network, bfloat16, fast, load_model
from brittle.models.bfloat16 import BFLOAT16, Coarse, quick_precision
from brittle.models.classifier import Settings, in_float32
from laws.worlds import MEAN, STD, trained_world

pytestmark = pytest.mark.usefixtures("one_thread", "multiplied")

GREY = torch.full((4, 1, 2, 2), 0.5)
LABELS = torch.zeros(4, dtype=torch.int64)


@pytest.fixture
def multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever processor this is: where it does not, that only takes longer."""
    monkeypatch.setattr(bfloat16, "quick_precision", lambda _: "bf16")


def coarse(net: nn.Module | None = None) -> Network:
    net = copy.deepcopy(trained_world().net) if net is None else net
    return Network(net, mean=MEAN, std=STD, precision="bf16")


class Gaps(nn.Module):
    """Two classes; the first leads by ``lead`` at an image of mean 0.5, and ``slope`` more for a darker one.

    spread: of the logits, which a third class makes.
    """

    def __init__(self, lead: float, slope: float = 1.0, spread: float = 10.0) -> None:
        super().__init__()
        self.lead, self.slope, self.spread = lead, nn.Parameter(torch.tensor(slope)), spread

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(1)
        gap = self.lead - self.slope * (mean - 0.5)
        return torch.stack([gap, torch.zeros_like(gap), torch.full_like(gap, -self.spread)], dim=1)


class Otherwise(nn.Module):
    """What stands for a copy in bfloat16: the network, seen through ``change``, and how many rows have been asked."""

    def __init__(self, net: nn.Module, change: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.change, self.asked = net, change, 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += len(images)
        return self.change(images, self.net(images))


def planted(monkeypatch: pytest.MonkeyPatch, change: Callable[[Tensor, Tensor], Tensor]) -> list[Otherwise]:
    """From now on such copies are made; they come to stand in the list."""
    made: list[Otherwise] = []

    def instead(net: nn.Module, _: nn.Module | None) -> Iterator[nn.Module]:
        made.append(Otherwise(net, change))
        yield made[-1]

    monkeypatch.setattr(fast, "in_bfloat16", instead)
    return made


# ---- what is seen


def test_attacks_see_bfloat16_and_graders_float32() -> None:
    world, classifier = trained_world(), coarse()
    exact = Network(classifier.net, mean=MEAN, std=STD)
    plain = exact.logits(world.images, plain=True)
    assert torch.equal(classifier.logits(world.images, plain=True), plain)
    seen, _ = classifier.linearize(world.images)
    assert torch.equal(seen, classifier.logits(world.images))
    assert seen.dtype == torch.float32
    assert torch.equal(seen, seen.bfloat16().float())  # the last layer's type
    off = (seen - plain).abs().amax() / plain.abs().amax()
    assert 1e-4 < float(off) < 4 * BFLOAT16


def test_a_batch_is_as_large_as_the_precision_makes_worth_while() -> None:
    classifier = coarse()
    assert (classifier.batch_size, in_float32(classifier).batch_size) == (128, 64)
    assert classifier.adjusted(Settings(batch_size=7)).batch_size == 7


@pytest.mark.skipif(quick_precision("cpu") != "bf16", reason="this processor does not multiply bfloat16")
@pytest.mark.parametrize("threads", [1, 2])
def test_rows_are_to_the_bit_those_of_any_batch(threads: int) -> None:
    torch.set_num_threads(threads)
    images, classifier = trained_world().images, coarse()
    together = classifier.logits(images)
    for count in (1, 2, 3, 5, 16):
        assert torch.equal(classifier.logits(images[3 : 3 + count]), together[3 : 3 + count]), f"{count} rows"


def test_a_network_that_cannot_be_folded_runs_under_autocast_in_its_own_mode() -> None:
    world, net = trained_world(), copy.deepcopy(trained_world().net)
    seen = []
    net.features[0].register_forward_hook(lambda *given: seen.append(given[2].dtype))  # type: ignore[index, union-attr]
    net.train()
    classifier = coarse(net)
    logits = classifier.logits(world.images)
    taken = classifier._fast.taken("bf16")
    assert isinstance(taken, Coarse)
    assert taken.autocast
    assert seen[-1] == torch.bfloat16
    assert all(module.training for module in net.modules())
    plain = classifier.logits(world.images, plain=True)
    assert seen[-1] == torch.float32
    assert 0 < float((logits - plain).abs().amax() / plain.abs().amax()) < 4 * BFLOAT16


@pytest.mark.parametrize(("groups", "stride", "sums"), [(8, 2, 2**-10), (8, 1, 0.0), (4, 2, 0.0)])
def test_only_strided_depthwise_convolutions_multiply_float32(groups: int, stride: int, sums: float) -> None:
    """Two weights, 1 + 2^-10 and -1, the first of which bfloat16 takes for 1. It holds their sum."""
    layer = nn.Conv2d(8, 8, (1, 2), stride=stride, groups=groups, bias=False)
    weights = torch.zeros_like(layer.weight)
    weights[:, 0, 0] = torch.tensor([1 + 2**-10, -1])
    layer.weight.data = weights
    with torch.inference_mode():
        found = Coarse(layer, autocast=True)(torch.ones(2, 8, 4, 4))
    assert isinstance(found, Tensor)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, torch.full_like(found, sums))


def test_what_bfloat16_makes_another_function_of_is_seen_in_float32() -> None:
    class Offset(nn.Module):
        """Its logits stand on a thousand, of which bfloat16 has no tenths."""

        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(64, 3)

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.head(images.flatten(1)) + 1000
            return logits

    torch.manual_seed(0)
    classifier, images = Network(Offset().eval(), precision="bf16"), trained_world().images
    torch.testing.assert_close(classifier.logits(images), classifier.logits(images, plain=True))
    with classifier.settled(images, classifier.logits(images)) as rounding:
        assert rounding.share < BFLOAT16


def test_a_copy_of_weights_that_have_changed_unseen_is_made_anew() -> None:
    """By a hundredth, which is what bfloat16 rounds; float32 tells it apart."""
    world, classifier = trained_world(), coarse()
    before = classifier.logits(world.images)
    for parameter in classifier.net.parameters():
        parameter.data.mul_(1.01)
    assert torch.equal(classifier.logits(world.images), before)  # nobody can see it
    with classifier.settled(world.images, before):
        assert torch.equal(classifier.logits(world.images), coarse(classifier.net).logits(world.images))
        assert not torch.equal(classifier.logits(world.images), before)


def test_one_that_sees_float32_shares_the_copies_and_goes_to_another_process() -> None:
    classifier, images = coarse(), trained_world().images
    exact = in_float32(classifier)
    assert exact.precision == "fp32"
    assert in_float32(exact) is exact
    expected = Network(classifier.net, mean=MEAN, std=STD).logits(images)
    assert torch.equal(exact.logits(images), expected)
    again = pickle.loads(pickle.dumps(classifier))
    assert torch.equal(again.logits(images), classifier.logits(images))
    assert torch.equal(in_float32(again).logits(images), expected)


# ---- what is claimed


@pytest.mark.parametrize("attack", [PGD(eps=0.1), APGD(eps=0.1, steps=10), Square(eps=0.1, queries=100)])
def test_claims_are_those_of_float32(attack: brittle.attacks.Attack) -> None:
    world, classifier = trained_world(), coarse()
    labels = classifier.logits(world.images, plain=True).argmax(1)
    found = brittle.attack(classifier, world.images, labels, attack)
    exact = brittle.attack(in_float32(classifier), world.images, labels, attack)
    assert not (found.claimed & ~found.fooled).any()
    assert not found.miscounted
    assert found.flags == exact.flags
    assert abs(int(found.fooled.sum()) - int(exact.fooled.sum())) <= 1
    assert 0.1 < float(exact.fooled.float().mean()) < 1, "then it says nothing"


def test_what_only_bfloat16_sees_fooled_is_not_fooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that is right on the images, and wrong wherever an attack goes."""

    def change(images: Tensor, logits: Tensor) -> Tensor:
        moved = (images != 0.5).flatten(1).any(1, keepdim=True)
        return torch.where(moved, logits.roll(1, 1), logits)

    made = planted(monkeypatch, change)
    found = brittle.attack(Network(Gaps(lead=5.0), precision="bf16"), GREY, LABELS, PGD(eps=0.1))
    assert made[0].asked > 4
    assert found.claimed.all()
    assert not found.fooled.any()
    assert "unconfirmed" in {flag.code for flag in found.flags}


def test_what_fails_by_less_than_bfloat16_rounds_is_attacked_again_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy whose gradient leads astray, from near the boundary and from far."""
    planted(monkeypatch, lambda _, logits: 2 * logits.detach() - logits)
    attack = PGD(eps=0.1, steps=4, step_size=0.1)
    for lead, again in ((0.05, True), (1.0, False)):
        classifier = Network(Gaps(lead, slope=lead / 0.09), precision="bf16")
        found = brittle.attack(classifier, GREY, LABELS, attack)
        exact = brittle.attack(in_float32(classifier), GREY, LABELS, attack)
        assert exact.fooled.all()
        assert found.fooled.tolist() == 4 * [again]
        assert found.backwards.tolist() == (4 + exact.backwards * again).tolist()
        assert not found.miscounted


@pytest.mark.parametrize("attack", [DeepFool(), Minimal(norm="linf")])
def test_what_makes_changes_small_sees_float32(attack: brittle.attacks.Attack) -> None:
    world, classifier = trained_world(), coarse()
    images, labels = world.images[:8], world.labels[:8]
    found = brittle.attack(classifier, images, labels, attack)
    exact = brittle.attack(in_float32(classifier), images, labels, attack)
    assert torch.equal(found.images, exact.images)
    assert torch.equal(found.forwards, exact.forwards)
    assert not found.miscounted


# ---- what is refused


def test_a_processor_that_does_not_multiply_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bfloat16, "quick_precision", lambda _: "fp32")
    message = "expected precision fp32, as this cpu does not multiply bf16 itself, and would take longer with it, got"
    with pytest.raises(BrittleError, match=message):
        coarse()
    with pytest.raises(BrittleError, match=message):
        load_model("digits-cnn", precision="bf16")


def test_what_is_no_precision_is_refused() -> None:
    with pytest.raises(BrittleError, match="expected precision as fp32 or bf16, got 'fp16'"):
        Network(nn.Flatten(), precision="fp16")  # type: ignore[arg-type]
