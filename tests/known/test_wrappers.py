"""Attacks that hold other attacks: what they keep of each run, and that no pass goes uncounted."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import FGSM, FMN, PGD, BestOf, Craft, DeepFool, Expectation, Outcome, Restarts, UniversalSGD
from brittle.catalog import Kind, label_of, option, register, traits_of
from brittle.errors import BrittleError, Unsupported
from brittle.geometry.norms import L1, L2, LINF, Norm, NormLike, norm_of, per_row
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.averaged import Averaged
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.rng import Rng
from known.affine import Affine
from known.quadric import Curved

pytestmark = pytest.mark.usefixtures("one_thread")


class World(NamedTuple):
    net: nn.Module
    images: Tensor
    labels: Tensor

    @property
    def goal(self) -> Untargeted:
        return Untargeted(self.labels)

    @property
    def rng(self) -> Rng:
        return Rng(0, tuple(f"image {row}" for row in range(len(self.images))))

    def run(self, attack: Any, goal: Goal | None = None) -> Outcome:
        """The outcome; its passes are those that the classifier counted."""
        classifier = Network(self.net, fast=False)
        outcome: Outcome = attack(classifier, self.images, goal or self.goal, rng=self.rng)
        assert classifier.forwards == int(outcome.forwards.sum())
        assert classifier.backwards == int(outcome.backwards.sum())
        return outcome


@pytest.fixture(scope="module")
def curved() -> World:
    net, images = Curved(), torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return World(net, images, net(images).argmax(1))


# ---- an attack that answers at random, and one that answers what it is told


class Call(NamedTuple):
    """What a held attack was asked, and what it answered."""

    ids: tuple[str, ...]
    outcome: Outcome


class Held(NamedTuple):
    """Registered for one test."""

    draws: type
    told: type
    calls: list[Call]


def enrol(kind: Kind) -> Held:
    calls: list[Call] = []

    def answer(ids: tuple[str, ...], found: Tensor, claimed: Tensor, classifier: Classifier) -> Outcome:
        classifier.logits(found)
        ones = torch.ones_like(claimed, dtype=torch.int64)
        outcome = Outcome(found, claimed, ones * 3, ones, 0 * ones)
        calls.append(Call(ids, outcome))
        return outcome

    @register(f"draws {kind}", paper="none", kind=kind, norms=("l2",), access="score", cost="F")
    @dataclass(frozen=True, kw_only=True)
    class Draws:
        """Moves each image by a size drawn at random, and claims success for two thirds of them."""

        eps: float = option(1.0, "budget")

        def __call__(self, classifier: Classifier, images: Tensor, goal: Goal, *, rng: Rng) -> Outcome:
            size, luck = rng.uniform("size", images[:, 0, 0, 0]), rng.uniform("luck", images[:, 0, 0, 0])
            return answer(rng.ids, images + per_row(size, images), luck < 2 / 3, classifier)

    @register(f"told {kind}", paper="none", kind=kind, norms=("l1", "l2", "linf"), access="score", cost="F")
    @dataclass(frozen=True, kw_only=True)
    class Told:
        """Moves the first ``pixels`` of each image by ``size``, and claims what it is told to."""

        norm: NormLike = option(L2, "norm")
        eps: float = option(1.0, "budget")
        pixels: int = option(1, "how many")
        size: float = option(0.1, "how far")
        claims: tuple[bool, ...] = option((True,), "by row of the whole batch, again and again")

        def __post_init__(self) -> None:
            object.__setattr__(self, "norm", norm_of(self.norm))

        def __call__(self, classifier: Classifier, images: Tensor, goal: Goal, *, rng: Rng) -> Outcome:
            found = images.clone()
            found.flatten(1)[:, : self.pixels] += self.size
            rows = [int(name.removeprefix("image ")) for name in rng.ids]
            claimed = torch.tensor([self.claims[row % len(self.claims)] for row in rows])
            return answer(rng.ids, found, claimed, classifier)

    return Held(Draws, Told, calls)


@pytest.fixture
def minimal(registry: None) -> Held:
    return enrol("minimal")


@pytest.fixture
def budget(registry: None) -> Held:
    return enrol("budget")


def equal(a: Outcome, b: Outcome) -> bool:
    return all(torch.equal(one, other) for one, other in zip(a, b, strict=True))


def answers_to(name: str, calls: list[Call]) -> list[tuple[Tensor, bool]]:
    """(image, claimed) of each run that saw the example."""
    return [
        (call.outcome.images[call.ids.index(name)], bool(call.outcome.claimed[call.ids.index(name)]))
        for call in calls
        if name in call.ids
    ]


# ---- Restarts


def test_one_run_is_the_attack_itself(curved: World) -> None:
    bare = PGD(norm=L2, eps=0.5, steps=4, random_start=True)
    assert equal(curved.run(Restarts(attack=bare, times=1)), curved.run(bare))


def test_each_run_draws_for_itself_and_the_first_as_the_attack_alone(curved: World, minimal: Held) -> None:
    bare = curved.run(minimal.draws())
    minimal.calls.clear()
    curved.run(Restarts(attack=minimal.draws(), times=4))
    assert equal(minimal.calls[0].outcome, bare)
    starts = [call.outcome.images for call in minimal.calls]
    assert all((a - b).flatten(1).abs().amax(1).gt(1e-4).all() for a in starts for b in starts if a is not b)


def test_of_a_minimal_attack_the_smallest_claimed_result_is_kept(curved: World, minimal: Held) -> None:
    outcome = curved.run(Restarts(attack=minimal.draws(), times=3))
    assert [len(call.ids) for call in minimal.calls] == [24, 24, 24]
    runs = set()
    for row, name in enumerate(curved.rng.ids):
        answers = answers_to(name, minimal.calls)
        sizes = [float((image - curved.images[row]).norm()) if claimed else torch.inf for image, claimed in answers]
        best = min(range(3), key=sizes.__getitem__) if min(sizes) < torch.inf else 2  # nothing: the last attempt
        assert torch.equal(outcome.images[row], answers[best][0])
        assert bool(outcome.claimed[row]) == (min(sizes) < torch.inf)
        runs.add(best)
    assert runs == {0, 1, 2}


def test_under_a_budget_the_first_success_is_kept_and_the_image_leaves(curved: World, budget: Held) -> None:
    outcome = curved.run(Restarts(attack=budget.draws(), times=3))
    left = [len(call.ids) for call in budget.calls]
    assert left[0] == 24 > left[1] > left[2] > 0
    for row, name in enumerate(curved.rng.ids):
        answers = answers_to(name, budget.calls)
        successes = [claimed for _, claimed in answers]
        assert not any(successes[:-1])
        assert len(answers) == 3 or successes[-1]
        assert torch.equal(outcome.images[row], answers[-1][0])
        assert bool(outcome.claimed[row]) == successes[-1]
        assert int(outcome.forwards[row]) == len(answers)
        assert int(outcome.steps[row]) == 3 * len(answers)


def test_an_image_that_needs_no_change_is_not_tried_again(curved: World) -> None:
    wrong = Untargeted((curved.labels + 1) % 5)
    outcome = curved.run(Restarts(attack=DeepFool(), times=4), wrong)
    assert torch.equal(outcome.images, curved.images)
    assert torch.equal(outcome.forwards, curved.run(DeepFool(), wrong).forwards)


def test_more_restarts_fool_more_and_never_less(curved: World) -> None:
    attack = PGD(norm=LINF, eps=0.04, steps=2, step_size=0.01, random_start=True)
    claimed = [curved.run(Restarts(attack=attack, times=times)).claimed for times in (1, 3, 12)]
    assert (claimed[0] <= claimed[1]).all()
    assert (claimed[1] <= claimed[2]).all()
    assert 0 < int(claimed[0].sum()) < int(claimed[2].sum()) < 24


# ---- BestOf


@pytest.mark.parametrize("norm", [L1, L2, LINF], ids=str)
def test_the_smallest_in_the_norm_of_the_attacks_is_kept(norm: Norm, curved: World, minimal: Held) -> None:
    """One pixel by 0.5 or sixteen by 0.2: 0.5 and 3.2 in L1, 0.5 and 0.8 in L2, 0.5 and 0.2 in L-infinity."""
    few, many = (minimal.told(norm=norm, pixels=pixels, size=size) for pixels, size in ((1, 0.5), (16, 0.2)))
    for attacks in ((few, many), (many, few)):
        outcome = curved.run(BestOf(attacks=attacks))
        assert outcome.claimed.all()
        changed = (outcome.images != curved.images).flatten(1).sum(1)
        assert (changed == (16 if norm == LINF else 1)).all()
        assert (outcome.forwards == 2).all()
        assert (outcome.steps == 6).all()


def test_a_large_success_is_better_than_a_small_failure(curved: World, minimal: Held) -> None:
    small, large = minimal.told(size=0.1, claims=(False, True)), minimal.told(size=0.4, claims=(True, True, False))
    for attacks in ((small, large), (large, small)):
        outcome = curved.run(BestOf(attacks=attacks))
        size = LINF.measure(outcome.images - curved.images)
        for row in range(24):
            tried = [attack.size for attack in attacks if attack.claims[row % len(attack.claims)]]
            assert bool(outcome.claimed[row]) == bool(tried)
            assert float(size[row]) == pytest.approx(min(tried, default=attacks[-1].size), abs=1e-6)


def test_each_of_the_attacks_has_its_say(curved: World) -> None:
    """Two real ones, neither of which is always the better."""
    attacks = (FMN(steps=8), DeepFool())
    alone = [curved.run(attack) for attack in attacks]
    both = curved.run(BestOf(attacks=attacks))
    first, second = (L2.measure(outcome.images - curved.images) for outcome in alone)
    assert torch.equal(L2.measure(both.images - curved.images), torch.minimum(first, second))
    assert 0 < int((second < first).sum()) < 12
    for count in ("steps", "forwards", "backwards"):
        assert torch.equal(getattr(both, count), getattr(alone[0], count) + getattr(alone[1], count))


def test_under_a_budget_the_next_attack_sees_what_the_last_has_not_fooled(curved: World, budget: Held) -> None:
    attacks = (budget.told(claims=(True, False, False)), budget.told(size=0.2, claims=(True, True, False)))
    outcome = curved.run(BestOf(attacks=attacks))
    ids = curved.rng.ids
    assert [call.ids for call in budget.calls] == [ids, tuple(name for row, name in enumerate(ids) if row % 3)]
    assert outcome.claimed.tolist() == [row % 3 != 2 for row in range(24)]
    assert outcome.forwards.tolist() == [1 + (row % 3 > 0) for row in range(24)]
    size = LINF.measure(outcome.images - curved.images)
    torch.testing.assert_close(size, torch.tensor([0.1, 0.2, 0.2] * 8), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("attacks", "message"),
    [
        ((), "expected attacks as at least one attack, got ()"),
        (
            (DeepFool(), DeepFool(norm=L1)),
            "expected attacks of one kind, norm and eps (deepfool is minimal l2), got deepfool(norm=l1), which is"
            " minimal l1",
        ),
        (
            (FGSM(), PGD(), DeepFool(norm=LINF)),
            "expected attacks of one kind, norm and eps (fgsm(eps=8/255) is budget linf with eps 0.031372549), got"
            " deepfool(norm=linf), which is minimal linf",
        ),
        (
            (PGD(eps=0.1), FGSM(eps=0.2)),
            "expected attacks of one kind, norm and eps (pgd(eps=0.1) is budget linf with eps 0.1), got fgsm(eps=0.2),"
            " which is budget linf with eps 0.2",
        ),
        (PGD(), f"expected attacks as at least one attack, got {PGD()}"),
        ((DeepFool(), Craft()), "expected attacks that minimise a norm in BestOf, got craft: visibility"),
    ],
)
def test_attacks_that_cannot_be_compared_are_refused(attacks: tuple[Any, ...], message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        BestOf(attacks=attacks)
    assert str(refused.value) == message


@pytest.mark.parametrize("box", [True, False])
def test_successes_that_an_attack_has_not_seen_itself_count(box: bool, curved: World) -> None:
    """FGSM never looks at what its step has made; another attack that does nothing must not replace it."""
    step, idle = FGSM(eps=0.1, box=box), PGD(eps=0.1, steps=1, step_size=1e-7)
    alone = step(Network(curved.net), curved.images, Untargeted(curved.labels), rng=curved.rng)
    fooled = curved.net(alone.images).argmax(1) != curved.labels
    assert int(fooled.sum()) > 3
    for wrapper in (BestOf(attacks=(step, idle)), Restarts(attack=step), Expectation(attack=step)):
        classifier = Network(curved.net)
        outcome = wrapper(classifier, curved.images, Untargeted(curved.labels), rng=curved.rng)
        assert torch.equal(outcome.claimed, fooled)
        assert torch.equal(outcome.images[fooled], alone.images[fooled])
        assert classifier.forwards == int(outcome.forwards.sum())


# ---- what a classifier answers on average


class Scripted(nn.Module):
    """Two classes with a plane of its own at each pass; what it has seen is kept."""

    def __init__(self, weights: Tensor, biases: Tensor) -> None:
        super().__init__()
        self.weights, self.biases = nn.Parameter(weights), nn.Parameter(biases)
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        turn = len(self.seen) % len(self.weights)
        self.seen.append(images.detach().clone())
        score = images.flatten(1) @ self.weights[turn] + self.biases[turn]
        return torch.stack([-score, score], dim=1)


def scripted(*biases: float, slope: float = 1.0, noise: float = 0.0, turns: int | None = None) -> Scripted:
    """Planes ``slope * mean pixel + bias``, whose normals are disturbed by ``noise``."""
    count = turns or len(biases)
    planes = torch.full((count, 64), slope / 64)
    planes += noise * torch.randn(count, 64, generator=torch.Generator().manual_seed(3))
    return Scripted(planes, torch.tensor(biases * (count // len(biases))))


GREY = torch.full((4, 1, 8, 8), 0.5)
ROWS = Rng(0, ("a", "b", "c", "d"))


def test_answers_are_means_over_passes() -> None:
    net = scripted(0.1, 0.4, 1.0, noise=0.3)
    classifier, goal = Network(net, fast=False), Untargeted(torch.zeros(4, dtype=torch.int64))
    plane, bias = net.weights.detach().mean(0), net.biases.detach().mean()
    mean = GREY.flatten(1) @ plane + bias
    for samples in (1, 3):
        average = Averaged(classifier, samples=samples, noise=0.0, seed=0)
        scores = [
            average.logits(GREY)[:, 1],
            average.gradient(GREY, goal.loss)[0][:, 1],
            average.linearize(GREY)[0][:, 1],
        ]
        if samples == 3:
            for score in scores:
                torch.testing.assert_close(score, mean)
        else:
            assert len({round(float(score[0]), 4) for score in scores}) == 3
    average = Averaged(classifier, samples=3, noise=0.0, seed=0)
    # The loss against class 0 of two is its logit difference, 2 * score.
    torch.testing.assert_close(average.gradient(GREY, goal.loss)[1].flatten(1), (2 * plane).expand(4, 64))
    _, pullback = average.linearize(GREY)
    first = torch.tensor([[1.0, 0.0]]).expand(4, 2)
    torch.testing.assert_close(pullback(first, more=True).flatten(1), (-plane).expand(4, 64))
    torch.testing.assert_close(pullback(1 - first).flatten(1), plane.expand(4, 64))
    assert (classifier.forwards, classifier.backwards) == (4 * (3 + 9 + 6), 4 * (1 + 3 + 3 + 6))


def test_noise_is_the_same_for_every_image_and_question() -> None:
    net = scripted(0.0)
    average = Averaged(Network(net, fast=False), samples=40, noise=0.2, seed=0)
    average.logits(GREY)
    average.logits(GREY[:1])
    first, again = net.seen[:40], net.seen[40:]
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one, one[:1].expand_as(one))
        assert torch.equal(one[:1], other[:1])
    noise = torch.stack([one[0] for one in first]) - 0.5
    assert 0.19 < float(noise.std()) < 0.21
    assert abs(float(noise.mean())) < 0.02
    assert len({float(one[0, 0, 0, 0]) for one in first}) == 40
    Averaged(Network(net, fast=False), samples=1, noise=0.2, seed=1).logits(GREY[:1])
    assert not torch.equal(net.seen[-1][:1], first[0][:1])


# ---- Expectation


def test_the_expectation_of_what_does_not_vary_is_the_attack_itself(curved: World) -> None:
    bare = PGD(norm=L2, eps=0.5, steps=4, random_start=True)
    for samples in (1, 3):
        alone, outcome = curved.run(bare), curved.run(Expectation(attack=bare, samples=samples))
        torch.testing.assert_close(outcome.images, alone.images, rtol=0, atol=1e-5)
        assert torch.equal(outcome.claimed, alone.claimed)
        assert torch.equal(outcome.steps, alone.steps)
        assert torch.equal(outcome.forwards, samples * alone.forwards + 2)  # the image itself, and the claim
        assert torch.equal(outcome.backwards, samples * alone.backwards)


def test_an_image_that_is_wrong_already_costs_one_pass(curved: World) -> None:
    outcome = curved.run(Expectation(), Untargeted((curved.labels + 1) % 5))
    assert outcome.claimed.all()
    assert torch.equal(outcome.images, curved.images)
    assert (outcome.forwards == 1).all()
    assert not outcome.steps.any()
    assert not outcome.backwards.any()


def test_a_claim_is_that_of_the_classifier_itself() -> None:
    """On average the image is fooled at once, and the next pass says so or does not."""
    for bias, claimed in ((0.4, True), (-0.2, False)):
        # The first pass sees the image; two passes are the attack's first look; the last one checks what it claims.
        net = scripted(-1.0, 0.5, 0.3, bias, slope=0.0)
        outcome = Expectation(attack=PGD(steps=1), samples=2)(
            Network(net, fast=False), GREY, Untargeted(torch.zeros(4, dtype=torch.int64)), rng=ROWS
        )
        assert len(net.seen) == 4
        assert bool(outcome.claimed.all()) is claimed
        assert bool(outcome.claimed.any()) is claimed


def test_the_average_shows_the_way_where_single_gradients_mislead() -> None:
    """Class 1 is ``eps`` away along the mean of the gradients, each of which is mostly noise."""
    fooled = []
    net = scripted(-0.55, noise=0.1, turns=997)
    mean = Affine(torch.stack([torch.full((64,), -1 / 64), torch.full((64,), 1 / 64)]), torch.tensor([0.55, -0.55]))
    images = GREY[:1].expand(16, 1, 8, 8)
    world = World(net, images, torch.zeros(16, dtype=torch.int64))
    for samples in (1, 200):
        found = world.run(Expectation(attack=FGSM(eps=0.06), samples=samples)).images
        with torch.no_grad():
            fooled.append(int(mean(found).argmax(1).sum()))
    assert fooled == [0, 16]


def test_with_noise_what_is_found_survives_noise(curved: World) -> None:
    """The class of the mean logits over noise that the attack has not seen; DeepFool alone stops at the boundary."""
    net = Curved()
    with torch.no_grad():
        net.first.mul_(3)
        world = World(net, curved.images, net(curved.images).argmax(1))
    draws = 0.2 * torch.randn(400, 1, 1, 8, 8, generator=torch.Generator().manual_seed(9))
    fooled = []
    for attack in (DeepFool(), Expectation(attack=DeepFool(), samples=64, noise=0.2)):
        found = world.run(attack).images
        with torch.no_grad():
            classes = torch.stack([net(found + draw) for draw in draws]).mean(0).argmax(1)
        fooled.append(int((classes != world.labels).sum()))
    assert fooled[1] >= fooled[0] + 5


# ---- all three


def wrapped(attack: Any) -> list[Any]:
    return [Restarts(attack=attack), BestOf(attacks=(attack, attack)), Expectation(attack=attack)]


def test_a_wrapper_is_what_it_holds() -> None:
    for attack in (DeepFool(norm=L1), PGD(norm=L2, eps=0.25), FGSM(eps=0.1, box=False)):
        for wrapper in wrapped(attack):
            assert traits_of(wrapper) == traits_of(attack)._replace(looks=True)
    assert traits_of(BestOf(attacks=(FGSM(eps=0.1, box=False), PGD(eps=0.1)))).box is False


def test_a_goal_that_a_held_attack_cannot_serve_is_refused_before_any_work(curved: World) -> None:
    classifier = Network(curved.net)
    for wrapper in [*wrapped(DeepFool(norm=L1)), Restarts(attack=Restarts(attack=DeepFool(norm=L1)))]:
        with pytest.raises(Unsupported) as refused:
            wrapper(classifier, curved.images, Targeted(curved.labels), rng=curved.rng)
        assert str(refused.value) == f"{label_of(wrapper)} supports untargeted goals, got targeted"
        assert "deepfool(norm=l1)" in str(refused.value)
    assert classifier.forwards == 0


@pytest.mark.parametrize(
    "make", [lambda a: Restarts(attack=a), lambda a: BestOf(attacks=(a,)), lambda a: Expectation(attack=a)]
)
def test_what_must_be_fitted_first_and_what_is_no_attack_are_refused(make: Any) -> None:
    with pytest.raises(
        BrittleError, match=r"^expected an attack, got the fitter universal-sgd; it fits one perturbation"
    ):
        make(UniversalSGD())
    with pytest.raises(BrittleError, match=r"^expected a registered attack such as DeepFool\(\), got 3$"):
        make(3)
