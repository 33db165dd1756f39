"""The laws that every attack obeys. Each is a plain function that raises AssertionError; nothing here knows an attack.

A law gets an attack (``Subject``) and the trained world; worlds of its own it makes itself.
"""

import io
import random
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from brittle.attacks import EightBit, Outcome
from brittle.catalog import traits_of
from brittle.errors import Unsupported
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.classifier import Classifier
from laws.subjects import Subject
from laws.worlds import World, copied, deaf_worlds, linear_world

OVER_OPTIMUM = {"minimal": 1.03, "budget": 1.05}
"""How much more than the closed-form distance an attack that sees gradients may need on a linear classifier."""
OVER_OPTIMUM_BLIND = {"minimal": 1.5, "budget": 2.0}
"""The same for attacks that only ask for scores or decisions."""
MANY_PASSES = 100  # of one kind, for one image that cannot be attacked

Law = Callable[[Subject, World], None]


class Called(NamedTuple):
    """What a call has made and asked for, and what it has done to things that are not its own."""

    outcome: Outcome
    counted: tuple[int, int]
    to_its_input: tuple[str, ...]
    to_global_randomness: tuple[str, ...]


class Watched(NamedTuple):
    """What a call has made, what the Classifier has counted, and what hooks on the plain network have seen of it."""

    outcome: Outcome
    counted: tuple[int, int]
    rows: int
    padding: int
    backwards: int


class Treated(NamedTuple):
    """What a call has made of a network in an odd state, and that state before and afterwards."""

    outcome: Outcome
    before: dict[str, object]
    after: dict[str, object]


@lru_cache(maxsize=8)
def called(subject: Subject, world: World, goal: str) -> Called:
    """The attack on the world as a user's first call: made once for all laws that look at it."""
    (wanted,) = world.goals([goal])
    images, labels = world.images.clone(), wanted.labels.clone()
    states = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    classifier = world.shared_classifier
    before = classifier.forwards, classifier.backwards
    outcome: Outcome = subject.attack(classifier, images, wanted, rng=world.rng())
    moved = {
        "torch's": not torch.equal(torch.get_rng_state(), states[0]),
        "numpy's": str(np.random.get_state()) != states[1],
        "Python's": random.getstate() != states[2],
    }
    inputs = {
        "the input images have changed": not torch.equal(images, world.images),
        "the goal has changed": not torch.equal(wanted.labels, labels),
        "what comes back shares memory with the input": _where(outcome.images) == _where(images),
    }
    return Called(
        outcome,
        (classifier.forwards - before[0], classifier.backwards - before[1]),
        tuple(what for what, happened in inputs.items() if happened),
        tuple(f"{whose} global generator has moved" for whose, happened in moved.items() if happened),
    )


def usual(subject: Subject, world: World, goal: str) -> Outcome:
    return called(subject, world, goal).outcome


@lru_cache(maxsize=4)
def watched(subject: Subject, world: World, goal: str) -> Watched:
    """The attack on the plain network, whose hooks count the rows in either direction without the Classifier's help."""
    net, rows, padding, backwards = copied(world.net), [0], [0], [0]

    def on_gradient(gradient: Tensor) -> None:
        backwards[0] += int((gradient != 0).any(1).sum())

    def on_forward(module: nn.Module, given: tuple[Tensor], output: Tensor) -> None:
        rows[0] += len(given[0])
        padding[0] += _perhaps_padding(given[0])
        if output.requires_grad:
            output.register_hook(on_gradient)  # type: ignore[no-untyped-call]

    net.register_forward_hook(on_forward)
    classifier = world.classifier(fast=False, net=net)
    outcome = subject(world, world.goals([goal])[0], classifier=classifier)
    return Watched(outcome, (classifier.forwards, classifier.backwards), rows[0], padding[0], backwards[0])


@lru_cache(maxsize=4)
def treated(subject: Subject, world: World, *, fast: bool) -> Treated:
    """The attack on a network in an odd state: in training mode but for its outermost module, partly frozen, with a
    gradient from elsewhere, and with a user's hook where there is no fast copy, which a hook rules out."""
    net = copied(world.net).train()
    net.training = False
    first, *_, last = net.parameters()
    first.requires_grad_(False)
    last.grad = torch.full_like(last, 3.0)
    if not fast:
        net.register_forward_hook(_no_hook)
    before = _state(net)
    outcome = subject(world, world.goals(subject.goals)[0], classifier=world.classifier(fast=fast, net=net))
    return Treated(outcome, before, _state(net))


def plain(subject: Subject, world: World, goal: str) -> Outcome:
    return watched(subject, world, goal).outcome


def _where(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def check_box(subject: Subject, images: Tensor) -> None:
    assert images.isfinite().all(), "pixels that are not finite"
    if subject.stays_in_the_box:
        low, high = float(images.min()), float(images.max())
        assert low >= 0, f"a pixel below the box: {low}"
        assert high <= 1, f"a pixel above the box: {high}"


def check_budget(subject: Subject, originals: Tensor, images: Tensor) -> None:
    if subject.kind != "budget" or subject.norm is None:
        return
    size = float(subject.norm.measure(images.double() - originals.double()).max())
    rounding = 2**-24 * float(subject.norm.measure(torch.ones(1, *images.shape[1:])))
    eps = subject.attack.eps if hasattr(subject.attack, "eps") else traits_of(subject.attack).eps
    assert eps is not None, "a budget attack without a budget"
    assert size <= eps * (1 + 1e-5) + rounding, f"beyond the budget: {size} instead of at most {eps}"


def check_same_bits(first: Outcome, second: Outcome, when: str) -> None:
    for name, one, other in zip(Outcome._fields, first, second, strict=True):
        assert torch.equal(one, other), f"{name} differ {when}"


def law_stays_in_the_box(subject: Subject, world: World) -> None:
    for goal in subject.goals:
        check_box(subject, usual(subject, world, goal).images)


def law_stays_within_budget(subject: Subject, world: World) -> None:
    for goal in subject.goals:
        check_budget(subject, world.images, usual(subject, world, goal).images)


def law_keeps_shape_dtype_and_device(subject: Subject, world: World) -> None:
    outcome = usual(subject, world, subject.goals[0])
    expected = [world.images.dtype, torch.bool, torch.int64, torch.int64, torch.int64]
    assert [field.dtype for field in outcome] == expected, f"dtypes {[field.dtype for field in outcome]}"
    assert outcome.images.shape == world.images.shape, f"images of shape {tuple(outcome.images.shape)}"
    for name, field in outcome._asdict().items():
        assert field.device == world.images.device, f"{name} on another device"
        assert not field.requires_grad, f"{name} still carry a graph"
        assert name == "images" or field.shape == world.labels.shape, f"{name} of shape {tuple(field.shape)}"
        assert name == "images" or (field >= 0).all(), f"negative {name}"


def law_leaves_its_input_alone(subject: Subject, world: World) -> None:
    for goal in subject.goals:
        assert not (done := called(subject, world, goal).to_its_input), ", ".join(done)


def law_leaves_the_network_alone(subject: Subject, world: World) -> None:
    for fast in (True, False):
        done = treated(subject, world, fast=fast)
        for what, value in done.after.items():
            assert value == done.before[what], f"{what} have changed"


def _no_hook(module: nn.Module, given: object, output: object) -> None:
    """A user's hook that must still be there afterwards."""


def _state(net: nn.Module) -> dict[str, object]:
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    parameters = dict(net.named_parameters())
    return {
        "weights": {name: tensor.numpy().tobytes() for name, tensor in net.state_dict().items()},
        "modes": {name: module.training for name, module in net.named_modules()},
        "hooks": [list(getattr(module, kind).values()) for module in net.modules() for kind in hooks],
        "requires_grad": {name: parameter.requires_grad for name, parameter in parameters.items()},
        "gradients": {name: None if p.grad is None else p.grad.tolist() for name, p in parameters.items()},
        "parameters": {name: id(parameter) for name, parameter in parameters.items()},
    }


def law_leaves_global_randomness_alone(subject: Subject, world: World) -> None:
    for goal in subject.goals:
        assert not (done := called(subject, world, goal).to_global_randomness), ", ".join(done)


def law_same_seed_same_bits(subject: Subject, world: World) -> None:
    """Wherever the global generator stands, and where gradients are switched off."""
    first = usual(subject, world, subject.goals[0])
    torch.rand(7)
    with torch.no_grad():
        again = subject(world, world.goals(subject.goals)[0])
        assert not torch.is_grad_enabled(), "grad mode is left switched on"
    check_same_bits(first, again, "between two runs with one seed, the second under torch.no_grad()")


def law_keeps_its_word_with_another_seed(subject: Subject, world: World) -> None:
    goal = world.goals(subject.goals)[-1]
    other = subject(world, goal, seed=2)
    check_box(subject, other.images)
    check_budget(subject, world.images, other.images)
    check_claims(world, goal, other)


def law_batched_equals_one_by_one(subject: Subject, world: World) -> None:
    shuffled = torch.randperm(len(world.images), generator=torch.Generator().manual_seed(3))
    goal = world.goals(subject.goals)[0]
    whole = _summary(world, goal, torch.arange(len(shuffled)), usual(subject, world, subject.goals[0]))
    for rows in torch.split(shuffled, [1, 1, 3, 3, 32] if subject.first else [1, 3, 36]):
        part = _summary(world, goal, rows, subject(world, goal, rows=rows))
        _check_like(whole, rows, part, f"in batches of {len(rows)}")


def _summary(world: World, goal: Goal, rows: Tensor, outcome: Outcome) -> dict[str, Tensor]:
    images, claimed, *counts = outcome
    measures = [(images - world.images[rows]).flatten(1).norm(p, dim=1) for p in (1, 2, torch.inf)]
    return {
        "fooled": goal[rows].is_met(world.logits(images)),
        "claimed": claimed,
        "counts": torch.stack(counts, dim=1),
        "distances": torch.stack(measures, dim=1),
    }


def _check_like(whole: dict[str, Tensor], rows: Tensor, parts: dict[str, Tensor], when: str) -> None:
    for name in ("fooled", "claimed", "counts"):
        differ = int((whole[name][rows] != parts[name]).sum())
        assert not differ, f"{differ} {name} differ {when}"
    torch.testing.assert_close(
        parts["distances"], whole["distances"][rows], rtol=1e-4, atol=1e-6, msg=lambda text: f"{when}: {text}"
    )


def law_comes_back_unchanged_where_the_goal_is_met(subject: Subject, world: World) -> None:
    classifier, world = world.shared_classifier, world.part(slice(0, 16))
    predicted, odd = world.logits(world.images).argmax(1), torch.arange(len(world.images)) % 2 == 1
    after = world.after(predicted)
    goals: dict[str, Goal] = {
        "untargeted": Untargeted(torch.where(odd, after, predicted)),
        "targeted": Targeted(torch.where(odd, predicted, after)),
    }
    for goal in (goals[name] for name in subject.goals):
        met = goal.is_surely_met(world.logits(world.images))
        assert torch.equal(met, odd), "this world is not what the law needs"
        outcome = subject(world, goal, classifier=classifier)
        assert torch.equal(outcome.images[met], world.images[met]), "images that met the goal have changed"
        assert outcome.claimed[met].all(), "not claimed where the goal was met from the start"
        assert not outcome.steps[met].any(), "steps taken where the goal was met from the start"
        assert outcome.steps[~met].all(), "no step taken where the goal was not met"


def law_takes_any_batch_size(subject: Subject, world: World) -> None:
    for size, name in ((0, subject.goals[0]), (0, subject.goals[-1]), (1, subject.goals[-1]), (3, subject.goals[-1])):
        part, (goal,) = world.part(slice(0, size)), world.goals([name])
        outcome = subject(part, goal[:size], classifier=_after_one_pass(world))
        shapes = [(size, *world.images.shape[1:]), *[(size,)] * 4]
        assert [tuple(field.shape) for field in outcome] == shapes, f"batch of {size}"


def _after_one_pass(world: World) -> Classifier:
    classifier = world.classifier()
    classifier.logits(world.images[:4])
    return classifier


def law_fails_in_good_order_without_a_gradient(subject: Subject, world: World) -> None:
    for deaf in deaf_worlds():
        for goal in deaf.goals(subject.goals):
            outcome = subject(deaf, goal)
            check_box(subject, outcome.images)
            check_budget(subject, deaf.images, outcome.images)
            assert not outcome.claimed.any(), "claims to have fooled a network that does not look"
            if subject.access == "gradient":
                most = max(int(outcome.steps.max()), int(outcome.forwards.max()), int(outcome.backwards.max()))
                assert most <= MANY_PASSES, f"{most} steps or passes for an image that cannot be attacked"


def law_finds_the_plane(subject: Subject, world: World) -> None:
    p = getattr(subject.norm, "p", None)
    norm = subject.norm
    if p is None or norm is None or subject.fitted:
        return  # it promises nothing in a norm with a closed-form distance, or nothing on other images
    linear, distance = linear_world(p)
    ratios = OVER_OPTIMUM if subject.access == "gradient" else OVER_OPTIMUM_BLIND
    limit = ratios[subject.kind] * distance
    subject = subject.near_an_optimum()
    if subject.kind == "budget":
        subject = subject.with_eps(limit)
    for goal in linear.goals(subject.goals):
        outcome = subject(linear, goal)
        missed = int((~goal.is_met(linear.logits(outcome.images))).sum())
        assert not missed, f"{missed} of {len(linear.images)} images not fooled with {limit / distance:g} x the optimum"
        sizes = norm.measure(outcome.images.double() - linear.images.double()) / distance
        assert sizes.min() >= 1 - 1e-4, f"fooled at {float(sizes.min()):g} x the smallest distance there is"
        assert sizes.max() <= limit / distance * (1 + 1e-5), f"{float(sizes.max()):g} x the smallest distance"


def law_counts_its_passes(subject: Subject, world: World) -> None:
    for goal in subject.goals:
        _check_counted(*called(subject, world, goal)[:2])
    for goal in subject.goals if subject.first else subject.goals[-1:]:
        seen = watched(subject, world, goal)
        forwards, backwards = _check_counted(seen.outcome, seen.counted)
        assert backwards == seen.backwards, f"{backwards} backwards reported, the network has seen {seen.backwards}"
        least = seen.rows - seen.padding
        assert least <= forwards <= seen.rows, (
            f"{forwards} forwards reported, the network has seen {least} to {seen.rows}"
        )


def _check_counted(outcome: Outcome, counted: tuple[int, int]) -> tuple[int, int]:
    reported = int(outcome.forwards.sum()), int(outcome.backwards.sum())
    assert reported == counted, f"reported (forwards, backwards) {reported}, counted {counted}"
    return reported


def _perhaps_padding(batch: Tensor) -> int:
    """On a CPU the Classifier fills batches of fewer than four rows up with copies of the last one."""
    copies = 0
    while len(batch) <= 4 and copies < len(batch) - 1 and torch.equal(batch[-1], batch[-2 - copies]):
        copies += 1
    return copies


def check_claims(world: World, goal: Goal, outcome: Outcome) -> None:
    false = int((outcome.claimed & ~goal.is_met(world.logits(outcome.images))).sum())
    assert not false, f"{false} of {int(outcome.claimed.sum())} claims are not confirmed by a fresh pass"


def law_claims_are_true(subject: Subject, world: World) -> None:
    for name, goal in zip(subject.goals, world.goals(subject.goals), strict=True):
        check_claims(world, goal, usual(subject, world, name))


def law_saves_without_loss(subject: Subject, world: World) -> None:
    if not isinstance(subject.attack, EightBit):
        return  # the others do not promise it
    off_the_levels = world.images * 0.99 + 0.001
    for images in (world.images, off_the_levels):
        for goal in world.goals(subject.goals):
            outcome = subject(replace(world, images=images), goal)
            saved = torch.stack([_reread(image) for image in outcome.images])
            assert torch.equal(saved, outcome.images), "what comes back is not what a PNG holds"
            lost = int((outcome.claimed & ~goal.is_met(world.logits(saved))).sum())
            assert not lost, f"{lost} images no longer fool when they are read again"
            assert outcome.claimed.any(), "nothing fools"


def _reread(image: Tensor) -> Tensor:
    """A grey image, saved as PNG and loaded."""
    file = io.BytesIO()
    Image.fromarray((image[0] * 255).round().byte().numpy()).save(file, "png")
    return torch.from_numpy(np.array(Image.open(file))).unsqueeze(0).float() / 255


def law_refuses_other_goals_before_any_work(subject: Subject, world: World) -> None:
    for name in {"untargeted", "targeted"} - set(subject.goals):
        classifier = world.classifier()
        with pytest.raises(Unsupported, match=name):
            subject(world, world.goals([name])[0], classifier=classifier)
        assert (classifier.forwards, classifier.backwards) == (0, 0), "refused only after passes through the network"


def law_attacks_the_network_in_eval_mode(subject: Subject, world: World) -> None:
    for fast, in_eval_mode in ((True, usual), (False, plain)):
        done = treated(subject, world, fast=fast)
        assert done.after["modes"] == done.before["modes"], "modules have lost their training mode"
        assert done.after["weights"] == done.before["weights"], "batch norms have updated their statistics"
        check_same_bits(
            in_eval_mode(subject, world, subject.goals[0]), done.outcome, "where the network is in training mode"
        )


def law_does_not_claim_what_the_network_refuses(subject: Subject, world: World) -> None:
    if "untargeted" not in subject.goals:
        return
    logits = world.logits(world.images)
    nearest = Untargeted(world.labels).others(logits).argmax(1)
    goal = Untargeted(world.labels, reject=int(nearest.mode().values))
    outcome = subject(world, goal)
    check_claims(world, goal, outcome)
    check_box(subject, outcome.images)
    check_budget(subject, world.images, outcome.images)


IN_ANY_NORM = {
    law_attacks_the_network_in_eval_mode,
    law_leaves_the_network_alone,
    law_takes_any_batch_size,
}
"""Laws about what an attack does to the network, and dear ones: they are tried on each attack, not in each norm."""

LAWS: list[Law] = [law for name, law in sorted(globals().items()) if name.startswith("law_")]
