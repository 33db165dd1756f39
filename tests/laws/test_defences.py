"""What every defence keeps to, by registration alone."""

import pickle
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

import brittle
from brittle.catalog import config_of, label_of, options_of
from brittle.data import Examples, digits_split
from brittle.defend import DEFENCES, BitDepth, DefenceEntry, defences_from, defended
from brittle.goals import Untargeted
from brittle.models import BlackBox, Classifier
from brittle.models.classifier import Settings
from laws.classifiers import OnlyPredicts
from laws.worlds import trained_world

each = pytest.mark.parametrize("entry", DEFENCES.values(), ids=list(DEFENCES))
COUNT = 10


pytestmark = pytest.mark.usefixtures("one_thread")


def images() -> Tensor:
    """Off every threshold and every kink, in the middle of the box."""
    noise = torch.rand(COUNT, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    return 0.1 + 0.7 * trained_world().images[:COUNT] + 0.05 * noise


def labels() -> Tensor:
    return trained_world().labels[:COUNT]


def bare() -> Classifier:
    return trained_world().classifier()


@cache
def clean() -> Examples:
    """What a defence may be fitted on: others than those above."""
    return digits_split()[0]


def made_by(entry: DefenceEntry) -> Any:
    """With its defaults; fitted on few images, and a detector such that what it does shows."""
    said = {"images": 200, "fpr": 0.5, "squeezers": (BitDepth(bits=1),)} if entry.fitted else {}
    return entry.type(**{name: value for name, value in said.items() if name in options_of(entry.type)})


@cache
def fitted(entry: DefenceEntry, seed: int) -> Classifier:
    return defended(bare(), made_by(entry), seed=seed, clean=clean())


def behind(entry: DefenceEntry, seed: int = 0) -> Classifier:
    """With counts of its own."""
    return fitted(entry, seed).adjusted(Settings())


@each
def test_it_says_what_it_is_and_what_an_attacker_does(entry: DefenceEntry) -> None:
    assert entry.paper.startswith(("arXiv:", "doi:"))
    assert 20 <= len(entry.summary) <= 120
    assert entry.summary.endswith(".")
    assert entry.attacker
    assert all(one.help for one in options_of(entry.type).values())
    assert {"samples", "draws"} <= set(options_of(entry.type)) or not entry.drawn
    made = entry.type()
    assert DEFENCES.one(label_of(made)) == made
    if not any(one.of for one in options_of(entry.type).values()):  # what holds others is written as text
        assert DEFENCES.build(entry.name, config_of(made)) == made


@each
def test_answers_are_of_the_same_classes_and_for_every_image(entry: DefenceEntry) -> None:
    made = behind(entry)
    for plain in (False, True):
        logits = made.logits(images(), plain=plain)
        assert logits.shape == (COUNT, made.num_classes)
        assert bool(logits.isfinite().all())
        assert made.logits(images()[:0], plain=plain).shape == (0, made.num_classes)
    assert made.num_classes - (made.reject is not None) == bare().logits(images()).shape[1]


@each
@pytest.mark.parametrize("plain", [False, True], ids=["attacked", "answered"])
def test_an_answer_does_not_depend_on_the_batch(entry: DefenceEntry, plain: bool) -> None:
    made = behind(entry)
    together = made.logits(images(), plain=plain)
    alone = torch.cat([made.logits(images()[row : row + 1], plain=plain) for row in range(COUNT)])
    turned = made.logits(images().flip(0), plain=plain).flip(0)
    small = made.adjusted(Settings(batch_size=3)).logits(images(), plain=plain)
    for other in (alone, turned, small):
        torch.testing.assert_close(other, together, rtol=1e-5, atol=1e-5)


@each
def test_what_is_drawn_comes_from_the_seed(entry: DefenceEntry) -> None:
    state = torch.get_rng_state()
    first, again, other = behind(entry), behind(entry), behind(entry, seed=1)
    for plain in (False, True):
        answers = [one.logits(images(), plain=plain) for one in (first, again, other, first)]
        assert torch.equal(answers[0], answers[1])
        assert torch.equal(answers[0], answers[3])
        assert torch.equal(answers[0], answers[2]) is not entry.drawn
    assert first.fingerprint == again.fingerprint
    assert (first.fingerprint == other.fingerprint) is not entry.drawn
    assert torch.equal(torch.get_rng_state(), state)
    shipped = pickle.loads(pickle.dumps(first))
    assert shipped.fingerprint == first.fingerprint
    torch.testing.assert_close(shipped.logits(images(), plain=True), first.logits(images(), plain=True))


@each
def test_an_attacker_does_not_know_how_an_image_will_be_drawn(entry: DefenceEntry) -> None:
    made = behind(entry)
    same = torch.allclose(made.logits(images()), made.logits(images(), plain=True), rtol=1e-4, atol=1e-4)
    assert same is not entry.drawn


@each
def test_the_gradient_is_a_slope_or_is_declared_to_be_another(entry: DefenceEntry) -> None:
    """Central differences along it, of what an attacker sees; of a detector by its own part of that."""
    made, goal, x = behind(entry), Untargeted(labels()), images()

    def score(logits: Tensor) -> Tensor:
        detects = entry.fitted and made.reject is not None
        return logits[:, -1] - logits[:, :-1].amax(1) if detects else goal.loss(logits)

    logits, gradient = made.gradient(x, score)
    torch.testing.assert_close(logits, made.logits(x), rtol=1e-4, atol=1e-4)
    size = gradient.flatten(1).norm(dim=1)
    assert bool((size > 0).all()), "an attacker would be blind"
    step = 1e-3 * gradient / size.view(-1, 1, 1, 1)
    after, before = (score(made.logits(x + way * step).double()) for way in (1, -1))
    slope = (after - before) / 2e-3 / size
    near = float(((slope - 1).abs() < 0.1).float().mean())
    assert (near >= 0.7) is (entry.backward == "own"), slope


@each
def test_rows_of_a_gradient_are_their_own_and_passes_are_counted(entry: DefenceEntry) -> None:
    made, goal = behind(entry), Untargeted(labels())
    _, together = made.gradient(images(), goal.loss)
    assert (made.forwards, made.backwards) == (COUNT, COUNT)
    _, apart = made.gradient(images()[3:5], goal[slice(3, 5)].loss)
    torch.testing.assert_close(apart, together[3:5], rtol=1e-3, atol=1e-5)
    assert (made.forwards, made.backwards) == (COUNT + 2, COUNT + 2)


@each
def test_the_bare_network_stays_as_it_is(entry: DefenceEntry) -> None:
    classifier = bare()
    x = images()
    before, mark, given = classifier.logits(x, plain=True), classifier.fingerprint, x.clone()
    made = defended(classifier, made_by(entry), clean=clean())
    made.gradient(x, Untargeted(labels()).loss)
    assert torch.equal(classifier.logits(x, plain=True), before)
    assert classifier.fingerprint == mark != made.fingerprint
    assert torch.equal(x, given)


@each
def test_attacks_and_grading_take_it(entry: DefenceEntry) -> None:
    made = behind(entry)
    found = brittle.attack(made, images(), made.logits(images(), plain=True).argmax(1), brittle.PGD(eps=0.3, steps=5))
    assert not found.miscounted
    assert bool((found.distance("linf") <= 0.3 + 1e-6).all())


@each
def test_a_classifier_without_gradients_may_stand_behind_it(entry: DefenceEntry) -> None:
    box = BlackBox(OnlyPredicts(0), batch_size=5)
    if entry.inside:
        with pytest.raises(brittle.BrittleError, match=f"expected a network directly behind {entry.name}"):
            defended(box, entry.type(), clean=clean())
        return
    made = defended(box, made_by(entry), clean=clean())
    assert made.access == "decision"
    with pytest.raises(brittle.Unsupported):
        made.linearize(images())


def test_several_are_met_in_order() -> None:
    steps = [DEFENCES.one(text) for text in ("binarise", "blur")]
    both = defended(bare(), *steps).logits(images())
    torch.testing.assert_close(both, bare().logits(steps[1].step(steps[0].step(images()))), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(both, defended(bare(), *reversed(steps)).logits(images()))


def test_two_of_a_kind_draw_apart() -> None:
    noise = DEFENCES.one("noise(sd=0.2, samples=64)")
    twice = defended(bare(), noise, noise)
    alike = images() + 2**0.5 * 0.2 * torch.zeros(())  # the sum of independent ones is wider by a root of two
    inner = twice.inner.inner  # type: ignore[attr-defined]
    seen: list[Tensor] = []

    def looked_at(x: Tensor, plain: bool = False) -> Tensor:
        seen.append(x)
        return trained_world().logits(x)

    inner.logits = looked_at
    twice.logits(alike[:1], plain=True)
    spread = float((torch.cat(seen) - alike[:1]).std())
    assert spread == pytest.approx(2**0.5 * 0.2, rel=0.1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jpg", "unknown defence 'jpg'; did you mean 'jpeg'"),
        ("jpeg,quality=0", "expected quality from 1 to 100, got 0"),
        ("pgd", "expected a defence, got the attack pgd"),
    ],
)
def test_what_is_none(text: str, message: str) -> None:
    with pytest.raises(brittle.BrittleError, match=message):
        defences_from([text])
