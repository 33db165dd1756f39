"""What ``brittle.attack`` tells of itself, and what a longer run tells of a minimal attack."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from flow_studies import audit_of
from torch import Tensor, nn

import brittle
from brittle.attacks import Outcome
from brittle.data import digits_split
from brittle.goals import Goal, Untargeted
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.rng import Rng
from brittle.run.attack import attack_graded
from brittle.run.engine import run
from brittle.studies.longer import longer, longer_ratio
from known import planted
from known.planted import sound_cnn
from laws.worlds import trained_world


def told(net: nn.Module, method: brittle.attacks.Attack, **changes: Tensor) -> dict[str, str]:
    world = trained_world()
    given = {"images": world.images, "goal": world.labels} | changes
    found = brittle.attack(Network(net), given["images"], given["goal"], method)
    codes = [flag.code for flag in found.flags]
    assert repr(found).endswith(f"fooled; flags: {', '.join(codes) or 'none'})")
    return {flag.code: flag.message for flag in found.flags}


def test_a_sound_network_and_attack_tell_nothing() -> None:
    for method in (brittle.PGD(eps=0.05), brittle.FMN(norm="linf", steps=30), brittle.Square(eps=0.1, queries=20)):
        assert told(sound_cnn(), method) == {}
    nothing = brittle.attack(
        Network(sound_cnn()), trained_world().images[:0], trained_world().labels[:0], brittle.PGD()
    )
    assert nothing.flags == ()


def test_blind_gradients_are_told_by_the_network_and_by_the_attack() -> None:
    flags = told(planted.Rounding(sound_cnn()), brittle.FMN(norm="linf", steps=30))
    assert flags.keys() == {"zero-gradient", "unbounded-below-100"}
    assert flags["zero-gradient"].startswith("the gradient is zero or nearly so on 4 of 4 images")
    assert flags["unbounded-below-100"] == "fmn failed on 38 of 40 images, without a budget"
    assert told(planted.Rounding(sound_cnn()), brittle.PGD(eps=0.1)).keys() == {"zero-gradient", "no-headway"}
    assert told(planted.Rounding(sound_cnn()), brittle.Square(eps=0.1, queries=20)) == {}, "it asks for no gradient"


@pytest.mark.parametrize(("fault", "code"), [(planted.BatchStatistics, "batch-dependent"), (planted.Dropout, "random")])
def test_unreliable_answers_are_told(fault: type[planted.Planted], code: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert code in told(fault(sound_cnn()), brittle.PGD(eps=0.05))


def test_what_breaks_its_promises_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def cheat(self: object, classifier: Classifier, images: Tensor, goal: Goal, *, rng: Rng) -> Outcome:
        none = torch.zeros_like(goal.labels)
        return Outcome(images - 0.3, torch.ones_like(goal.labels, dtype=torch.bool), none, none + 1, none)

    monkeypatch.setattr(brittle.PGD, "__call__", cheat)
    assert {"unconfirmed", "outside-box", "over-budget", "miscounted-passes"} <= told(sound_cnn(), brittle.PGD()).keys()


def test_a_longer_run_tells_of_an_attack_that_stops_too_early() -> None:
    world = trained_world()
    classifier, goal, rng = Network(sound_cnn()), Untargeted(world.labels), world.rng()
    tried = range(0, len(world.images), 12)
    ratios = {}
    for steps in (1, 40):
        method = brittle.FMN(norm="linf", steps=steps)
        logits = classifier.logits(world.images)
        found = attack_graded(classifier, world.images, goal, method, rng, logits)
        every = longer_ratio(classifier, method, found, logits, rng, start=0)
        assert {row for row, one in enumerate(every) if one is not None} <= set(tried)
        ratios[steps] = [one for one in every if one is not None]
        assert len(ratios[steps]) >= len(tried) // 2
        assert all(0 <= one <= 1 for one in ratios[steps])
        assert longer_ratio(classifier, method, found, logits, rng, start=240) == [None] * len(world.images)
    few, many = (sorted(ratios[steps])[len(ratios[steps]) // 2] for steps in (1, 40))
    assert few < 0.9
    assert many > 0.95


def test_what_a_longer_run_is() -> None:
    assert longer(brittle.FMN(steps=50)) == brittle.FMN(steps=150)
    assert longer(brittle.HopSkipJump(queries=100)) == brittle.HopSkipJump(queries=300)
    for norm in ("l0", "l1", "l2", "linf"):
        again = longer(brittle.Minimal(norm=norm))
        assert again is not None
        assert brittle.catalog.traits_of(again).norm.name == norm
    for never in (brittle.PGD(), brittle.DeepFool(), brittle.Craft()):
        assert longer(never) is None


def test_a_longer_run_is_recorded_and_made_again_with_its_shard(tmp_path: Path) -> None:
    _, test = digits_split()
    assert test.labels is not None
    examples = brittle.examples_of(test.images(0, 96), test.labels[:96])
    methods = (brittle.FMN(norm="linf", steps=1), brittle.PGD(eps=0.05))

    def records() -> pd.DataFrame:
        return run(audit_of(Network(sound_cnn()), examples, methods, shard_size=48), out=tmp_path).records

    first = records()
    tried = first[first["longer_ratio"].notna()]
    assert set(tried["attack"]) == {"fmn(norm=linf, steps=1)"}
    assert len(tried) >= 4
    assert set(tried["position"]) <= {0, 12, 24, 36, 48, 60, 72, 84}
    next(tmp_path.glob("records/*/*/fmn*/00000.parquet")).unlink()
    pd.testing.assert_frame_equal(records().drop(columns="seconds"), first.drop(columns="seconds"), check_exact=True)
