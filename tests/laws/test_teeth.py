"""The laws have teeth: an honest attack passes them all, and each planted fault fails the law made for it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from brittle.attacks import PGD, EightBit, Outcome
from brittle.catalog import ATTACKS
from brittle.errors import Unsupported
from brittle.geometry.norms import LINF, Norm
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from laws import contract
from laws.contract import LAWS, Law
from laws.subjects import IN_8_BITS, Subject, modest_eps
from laws.worlds import World, network_of, trained_world

Body = Callable[[Classifier, Tensor, Goal, Rng, float], Outcome]


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def world() -> World:
    return trained_world()


@dataclass(frozen=True, kw_only=True)
class Planted:
    """An attack with a budget in L-infinity that does whatever ``body`` does; never registered."""

    body: Body
    eps: float = field(default_factory=lambda: modest_eps(LINF))
    norm: Norm = LINF

    def __call__(self, classifier: Classifier, images: Tensor, goal: Goal, *, rng: Rng) -> Outcome:
        return self.body(classifier, images, goal, rng, self.eps)


def honest(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    return PGD(eps=eps)(classifier, images, goal, rng=rng)


def does_nothing(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    zeros = torch.zeros(len(images), dtype=torch.int64)
    return Outcome(images.clone(), zeros.bool(), zeros, zeros, zeros)


def does_nothing_and_claims_success(
    classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float
) -> Outcome:
    outcome = does_nothing(classifier, images, goal, rng, eps)
    return outcome._replace(claimed=torch.ones_like(outcome.claimed))


def breaks_its_budget(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    return honest(classifier, images, goal, rng, 1.5 * eps)


def breaks_its_budget_with_some_seeds(
    classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float
) -> Outcome:
    return honest(classifier, images, goal, rng, eps if rng.seed == 0 else 1.5 * eps)


@dataclass(frozen=True)
class NoProjection:
    """L-infinity whose projection is a no-op."""

    name: str = "linf"
    dual: Norm = LINF.dual

    def measure(self, delta: Tensor) -> Tensor:
        return LINF.measure(delta)

    def steepest(self, gradient: Tensor) -> Tensor:
        return LINF.steepest(gradient)

    def project(self, delta: Tensor, radius: float | Tensor) -> Tensor:
        return delta

    def to_plane(self, *arguments: object, **options: object) -> Tensor:
        raise NotImplementedError

    def approach(self, *arguments: object, **options: object) -> Tensor:
        raise NotImplementedError


def projects_nothing(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    return PGD(norm=NoProjection(), eps=eps)(classifier, images, goal, rng=rng)


def leaves_the_box(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps / 2)
    return outcome._replace(images=outcome.images - eps / 4)


def makes_nan(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    _, gradient = classifier.gradient(images, goal.loss)
    outcome = honest(classifier, images, goal, rng, eps)
    size = gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return outcome._replace(images=outcome.images + 0 * gradient / size)


def draws_from_the_global_generator(
    classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float
) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps)
    noise = torch.rand_like(images) * (~outcome.claimed).view(-1, 1, 1, 1)
    return outcome._replace(images=outcome.images + (images - outcome.images) * noise)


def mutates_its_input(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps)
    images.copy_(outcome.images)
    return outcome


def returns_its_input_itself(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    return does_nothing(classifier, images, goal, rng, eps)._replace(images=images)


def forgets_a_forward(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps)
    return outcome._replace(forwards=outcome.forwards - (outcome.forwards > 1).long())


def forgets_a_backward(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps)
    return outcome._replace(backwards=outcome.backwards - 1)


def goes_round_the_counter(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    if len(images):
        network = network_of(classifier)
        mean, std = network.mean, network.std
        shown = images if mean is None or std is None else (images - mean[0]) / std[0]
        with torch.no_grad():
            network.net(shown)
    return honest(classifier, images, goal, rng, eps)


def depends_on_position(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps)
    share = 1 / (1 + torch.arange(len(images)) % 2).view(-1, 1, 1, 1)
    kept = torch.where(outcome.claimed.view(-1, 1, 1, 1), 1.0, share)
    return outcome._replace(images=images + (outcome.images - images) * kept)


def depends_on_the_batch(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    return honest(classifier, images, goal, rng, eps / 2 if len(images) == 3 else eps)


def needs_company(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps)
    return Outcome(*(part.squeeze(0) if len(images) == 1 else part for part in outcome))


def changes_the_dtype(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps)
    return outcome._replace(images=outcome.images.double())


def returns_a_graph(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps)
    return outcome._replace(images=outcome.images.requires_grad_())


def goes_on_where_the_goal_is_met(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps)
    return outcome._replace(images=outcome.images * 0.99)


def leaves_eval_mode(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    network_of(classifier).net.eval()
    return honest(classifier, images, goal, rng, eps)


def attacks_in_training_mode(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    shown = (images - 0.3) / 0.4 if len(images) else images
    with torch.no_grad():
        meant = network_of(classifier).net(shown).mean() if len(images) else 0.0
    outcome = honest(classifier, images, goal, rng, eps)
    return outcome._replace(images=outcome.images + 0 * meant)


def collects_gradients(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    with torch.enable_grad():
        for parameter in network_of(classifier).net.parameters():
            if parameter.requires_grad:
                torch.autograd.backward(parameter.sum())
    return honest(classifier, images, goal, rng, eps)


def switches_gradients_on(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps)
    torch.set_grad_enabled(True)
    return outcome


def ignores_the_target(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    return honest(classifier, images, goal, rng, eps)


def ignores_the_reject_class(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    return honest(classifier, images, Untargeted(goal.labels) if isinstance(goal, Untargeted) else goal, rng, eps)


def refuses_too_late(classifier: Classifier, images: Tensor, goal: Goal, rng: Rng, eps: float) -> Outcome:
    outcome = honest(classifier, images, goal, rng, eps)
    if isinstance(goal, Targeted):
        raise Unsupported("supports untargeted goals, got targeted")
    return outcome


def planted(body: Body, goals: tuple[str, ...] = ("untargeted", "targeted")) -> Subject:
    return Subject(body.__name__, Planted(body=body), "budget", goals, LINF)


FAULTS: list[tuple[Body, Law, str]] = [
    (does_nothing, contract.law_finds_the_plane, "not fooled"),
    (does_nothing, contract.law_comes_back_unchanged_where_the_goal_is_met, "not claimed"),
    (does_nothing_and_claims_success, contract.law_claims_are_true, "not confirmed by a fresh pass"),
    (does_nothing_and_claims_success, contract.law_fails_in_good_order_without_a_gradient, "claims to have fooled"),
    (does_nothing_and_claims_success, contract.law_finds_the_plane, "not fooled"),
    (breaks_its_budget, contract.law_stays_within_budget, "beyond the budget"),
    (projects_nothing, contract.law_stays_within_budget, "beyond the budget"),
    (leaves_the_box, contract.law_stays_in_the_box, "a pixel below the box"),
    (makes_nan, contract.law_fails_in_good_order_without_a_gradient, "not finite"),
    (draws_from_the_global_generator, contract.law_leaves_global_randomness_alone, "torch's global generator"),
    (draws_from_the_global_generator, contract.law_same_seed_same_bits, "images differ"),
    (breaks_its_budget_with_some_seeds, contract.law_keeps_its_word_with_another_seed, "beyond the budget"),
    (mutates_its_input, contract.law_leaves_its_input_alone, "the input images have changed"),
    (returns_its_input_itself, contract.law_leaves_its_input_alone, "shares memory"),
    (forgets_a_forward, contract.law_counts_its_passes, "counted"),
    (forgets_a_backward, contract.law_counts_its_passes, "counted"),
    (goes_round_the_counter, contract.law_counts_its_passes, "the network has seen"),
    (depends_on_position, contract.law_batched_equals_one_by_one, "in batches of"),
    (depends_on_the_batch, contract.law_batched_equals_one_by_one, "in batches of 3"),
    (needs_company, contract.law_takes_any_batch_size, "batch of 1"),
    (changes_the_dtype, contract.law_keeps_shape_dtype_and_device, "dtypes"),
    (returns_a_graph, contract.law_keeps_shape_dtype_and_device, "still carry a graph"),
    (goes_on_where_the_goal_is_met, contract.law_comes_back_unchanged_where_the_goal_is_met, "have changed"),
    (leaves_eval_mode, contract.law_leaves_the_network_alone, "modes have changed"),
    (leaves_eval_mode, contract.law_attacks_the_network_in_eval_mode, "lost their training mode"),
    (attacks_in_training_mode, contract.law_attacks_the_network_in_eval_mode, "updated their statistics"),
    (collects_gradients, contract.law_leaves_the_network_alone, "gradients have changed"),
    (ignores_the_reject_class, contract.law_does_not_claim_what_the_network_refuses, "not confirmed by a fresh pass"),
    (switches_gradients_on, contract.law_same_seed_same_bits, "left switched on"),
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__.removeprefix("law_"))
def test_honest_attack_obeys(law: Law, world: World) -> None:
    law(planted(honest), world)


@pytest.mark.parametrize(
    ("body", "law", "reason"), FAULTS, ids=[f"{body.__name__}-{law.__name__}" for body, law, _ in FAULTS]
)
def test_planted_fault_fails(body: Body, law: Law, reason: str, world: World) -> None:
    with pytest.raises(AssertionError, match=reason):
        law(planted(body), world)


def test_ignored_goal_fails(world: World) -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        contract.law_refuses_other_goals_before_any_work(planted(honest, ("untargeted",)), world)


def test_late_refusal_fails(world: World) -> None:
    with pytest.raises(AssertionError, match="only after passes"):
        contract.law_refuses_other_goals_before_any_work(planted(refuses_too_late, ("untargeted",)), world)


def test_an_attack_in_8_bits_that_does_not_round_fails(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def unrounded(self: EightBit, *given: Any, **named: Any) -> Outcome:
        outcome: Outcome = self.attack(*given, **named)
        return outcome

    monkeypatch.setattr(EightBit, "__call__", unrounded)
    with pytest.raises(AssertionError, match="not what a PNG holds"):
        contract.law_saves_without_loss(IN_8_BITS[0], world)


def test_every_law_has_a_fault_made_for_it() -> None:
    apart = {contract.law_refuses_other_goals_before_any_work, contract.law_saves_without_loss}
    tested = {law for _, law, _ in FAULTS} | apart
    assert [law.__name__ for law in LAWS if law not in tested] == []


def test_faults_are_not_registered() -> None:
    assert not [entry for entry in ATTACKS.values() if entry.type.__module__ == __name__]
