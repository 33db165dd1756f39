"""Every registered attack obeys every law, by registration alone."""

from typing import Any

import pytest

from brittle.catalog import ATTACKS, FITTERS
from brittle.geometry.norms import norm_named
from laws import contract
from laws.contract import IN_ANY_NORM, LAWS, Law
from laws.subjects import _NORM_OF, IN_8_BITS, SUBJECTS, Subject
from laws.worlds import CLASSES, World, trained_world

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def world() -> World:
    return trained_world()


@pytest.mark.parametrize(
    ("subject", "law"),
    [
        pytest.param(subject, law, id=f"{subject.name}-{law.__name__.removeprefix('law_')}")
        for subject in SUBJECTS
        for law in LAWS
        if subject.first or law not in IN_ANY_NORM
    ],
)
def test_law(subject: Subject, law: Law, world: World) -> None:
    law(subject, world)


@pytest.mark.parametrize(
    "law",
    [
        contract.law_stays_within_budget,
        contract.law_batched_equals_one_by_one,
        contract.law_counts_its_passes,
        contract.law_saves_without_loss,
    ],
    ids=lambda law: law.__name__.removeprefix("law_"),
)
@pytest.mark.parametrize("subject", IN_8_BITS, ids=lambda subject: subject.name)
def test_any_attack_in_8_bits(subject: Subject, law: Law, world: World) -> None:
    law(subject, world)


def test_every_attack_is_a_subject_in_each_of_its_norms() -> None:
    entries: list[Any] = [*ATTACKS.values(), *FITTERS.values()]
    for entry in entries:
        own = [subject for subject in SUBJECTS if subject.name.startswith(f"{entry.name}, ")]
        assert own
        if "norm" in entry.fields():
            assert {norm_named(_NORM_OF.get(name, name)) for name in entry.norms} <= {one.norm for one in own}


def test_world_is_neither_hopeless_nor_trivial(world: World) -> None:
    right = world.logits(world.images).argmax(1) == world.labels
    assert 0.8 <= float(right.float().mean()) <= 1
    assert float((world.images == 0).float().mean()) > 0.3  # the box binds
    assert len(set(world.labels.tolist())) == CLASSES


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if s.kind == "budget"], ids=lambda subject: subject.name)
def test_budgets_are_neither_hopeless_nor_trivial(subject: Subject, world: World) -> None:
    goal = world.goals(["untargeted"])[0]
    fooled = goal.is_met(world.logits(subject(world, goal).images)).float().mean()
    assert 0.1 < float(fooled) < 1
