"""What attacks are made of: asking counts what it is asked, rows are cut together, and the best is kept."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import FGSM, PGD
from brittle.attacks.parts.asking import asking_first, asking_nearest
from brittle.attacks.parts.best import First, Nearest
from brittle.attacks.parts.rows import kept, rows_of
from brittle.geometry.norms import L2
from brittle.goals import Untargeted
from brittle.models.network import Network
from brittle.rng import Rng


def classifier() -> Network:
    """Two pixels are the two logits."""
    return Network(nn.Flatten(), fast=False, batch_size=2)


IMAGES = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]]).view(3, 1, 1, 2)
GOAL = Untargeted(torch.zeros(3, dtype=torch.int64))
ROWS = torch.tensor([0, 2, 2])


def test_every_question_counts_a_pass_for_each_row_that_it_is_about() -> None:
    net = classifier()
    ask = asking_first(net, IMAGES, GOAL)
    ask.logits(ROWS, IMAGES[ROWS])
    ask.margins(ROWS, IMAGES[ROWS])
    ask.look(ask.everyone, IMAGES)
    assert ask.forwards.tolist() == [3, 1, 5]
    ask.gradient(ROWS, IMAGES[ROWS])
    ask.margin_gradient(ask.everyone, IMAGES)
    ask.descent(ask.everyone, IMAGES)
    assert (ask.forwards.tolist(), ask.backwards.tolist(), ask.steps.tolist()) == ([6, 3, 9], [3, 2, 4], [1, 1, 1])
    _, pullback = ask.linearize(ROWS[:2], IMAGES[ROWS[:2]])
    pullback(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), more=True)
    pullback(torch.tensor([[0.0, 1.0], [0.0, 2.0]]))
    assert ask.backwards.tolist() == [5, 2, 5], "of the first question, the second row asks nothing"
    assert (int(ask.forwards.sum()), int(ask.backwards.sum())) == (net.forwards, net.backwards)


def test_what_another_attack_asks_counts_and_what_it_does_not_look_at_is_looked_at() -> None:
    net = classifier()
    ask = asking_first(net, IMAGES, GOAL)
    found = ask.outcome_of(FGSM(eps=0.35), ask.everyone[1:], IMAGES[1:], Rng(0, ("b", "c")))
    assert found.claimed.tolist() == [True, True]
    found = ask.outcome_of(PGD(eps=0.01, steps=2), ask.everyone[:1], IMAGES[:1], Rng(0, ("a",)))
    assert not found.claimed.any()
    assert ask.forwards.tolist() == [2, 2, 2]
    assert ask.backwards.tolist() == [2, 1, 1]
    assert int(ask.forwards.sum()) == net.forwards
    assert not ask.best.claimed.any(), "its results are not offered"


def test_the_first_that_meets_the_goal_stays_and_the_nearest_replaces_others() -> None:
    far, near = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2), torch.tensor([0.4, 0.6]).view(1, 1, 1, 2)
    row = torch.tensor([1])
    for best, expected in ((First(IMAGES), far), (Nearest(IMAGES, L2), near)):
        before = best.images.clone()
        best.offer(row, far, torch.tensor([True]))
        if isinstance(best, Nearest):
            best.offer(row, near, torch.tensor([True]))
            best.offer(row, far, torch.tensor([True]))
            best.offer(row, IMAGES[1:2], torch.tensor([False]))
        else:
            best.offer(row, near, torch.tensor([False]))
        assert torch.equal(best.images[1:2], expected)
        assert best.claimed.tolist() == [False, True, False]
        assert torch.equal(best.images[[0, 2]], before[[0, 2]])


def test_the_margin_is_that_of_the_nearest() -> None:
    ask = asking_nearest(classifier(), IMAGES, GOAL, L2)
    for x in ([0.2, 0.8], [0.4, 0.6], [0.0, 1.0]):
        ask.look(torch.tensor([1]), torch.tensor(x).view(1, 1, 1, 2))
    assert ask.margin.tolist() == pytest.approx([0, -0.2, 0])
    assert ask.outcome().forwards.tolist() == [0, 3, 0]


class Pair(NamedTuple):
    one: Tensor
    number: float


@dataclass
class State:
    rows: Tensor
    goal: Untargeted
    rng: Rng
    pair: Pair
    pairs: list[tuple[Tensor, Tensor]]
    attack: PGD
    text: str = "text"
    none: Tensor | None = None


def test_all_that_is_held_is_cut_to_the_same_rows() -> None:
    a = torch.arange(3)
    state = State(a, Untargeted(a), Rng(0, ("a", "b", "c")), Pair(a, 0.5), [(a, -a)], PGD())
    for which in (torch.tensor([True, False, True]), torch.tensor([0, 2])):
        cut = rows_of(state, which)
        assert cut.rows.tolist() == cut.goal.labels.tolist() == cut.pair.one.tolist() == [0, 2]
        assert cut.rng.ids == ("a", "c")
        assert (cut.pair.number, cut.text, cut.none, cut.attack) == (0.5, "text", None, PGD())
        assert [one.tolist() for one in cut.pairs[0]] == [[0, 2], [0, -2]]
        assert state.rows is a, "the state itself stays as it is"
    assert kept(torch.tensor([True, True, True]), a)[0] is a
    assert [one.tolist() for one in kept(torch.tensor([False, True, False]), a, -a)] == [[1], [-1]]
