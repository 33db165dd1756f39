"""What every kind of classifier keeps to, whatever it is made of."""

import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import brittle
from brittle.errors import Unsupported
from brittle.goals import Targeted, Untargeted
from brittle.models import Averaged, Classifier, Front, Fronted, bfloat16
from brittle.models.classifier import Score, Settings, in_float32, is_classifier
from laws.classifiers import KINDS, Blur, Kind, behind, network, rounded, softly_rounded
from laws.worlds import trained_world


def _params(kinds: list[Kind]) -> list[Any]:
    missing = {one: f"{one} is not installed" for one in ("onnxruntime", "transformers") if find_spec(one) is None}
    skips = {one: pytest.mark.skip(reason=reason) for one, reason in missing.items()}
    return [pytest.param(kind, id=kind.name, marks=skips.get(kind.needs or "", ())) for kind in kinds]


each_kind = pytest.mark.parametrize("kind", _params(KINDS))
with_gradients = pytest.mark.parametrize("kind", _params([kind for kind in KINDS if kind.slope != "none"]))


pytestmark = pytest.mark.usefixtures("one_thread")


def images(count: int = 12) -> Tensor:
    """Images in the middle of the box, on no threshold of a front."""
    return 0.1 + 0.7 * trained_world().images[:count]


def labels(count: int = 12) -> Tensor:
    return trained_world().labels[:count]


@each_kind
def test_it_is_one(kind: Kind) -> None:
    classifier: Classifier = kind.make()
    assert is_classifier(classifier)
    logits = classifier.logits(images())
    assert (logits.shape, logits.dtype) == ((12, classifier.num_classes), torch.float32)
    assert not logits.requires_grad
    assert classifier.logits(images(0)).shape == (0, classifier.num_classes)


def test_what_is_none() -> None:
    assert not any(is_classifier(thing) for thing in (nn.Linear(2, 2), network, Fronted, object()))


@each_kind
def test_logits_do_not_depend_on_the_batch(kind: Kind) -> None:
    classifier = kind.make()
    together = classifier.logits(images())
    alone = torch.cat([classifier.logits(images()[row : row + 1]) for row in range(12)])
    turned = classifier.logits(images().flip(0)).flip(0)
    whole = kind.make().adjusted(Settings(batch_size=12)).logits(images())
    for other in (alone, turned, whole, classifier.logits(images(), plain=True)):
        torch.testing.assert_close(other, together, rtol=1e-5, atol=1e-5)


@each_kind
def test_precision_is_that_of_a_network_inside_and_plain_answers_have_none(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bfloat16, "quick_precision", lambda _: "bf16")
    exact, coarse = kind.make(), kind.make().adjusted(Settings(precision="bf16"))
    assert exact.precision == "fp32"
    assert coarse.precision == ("fp32" if kind.slope == "none" else "bf16")
    assert torch.equal(coarse.logits(images(), plain=True), exact.logits(images(), plain=True))
    torch.testing.assert_close(in_float32(coarse).logits(images()), exact.logits(images()), rtol=1e-5, atol=1e-5)
    sees = not torch.allclose(coarse.logits(images()), exact.logits(images()), rtol=1e-4, atol=1e-4)
    assert sees == (kind.slope != "none" and kind.name != "network, plain")


@each_kind
def test_passes_are_counted(kind: Kind) -> None:
    classifier = kind.make()
    classifier.logits(images())
    classifier.logits(images(3), plain=True)
    assert (classifier.forwards, classifier.backwards) == (15, 0)
    if kind.slope == "none":
        return
    classifier.gradient(images(), Untargeted(labels()).loss)
    assert (classifier.forwards, classifier.backwards) == (27, 12)
    logits, pullback = classifier.linearize(images(4))
    cotangents = torch.zeros_like(logits)
    cotangents[1] = 1
    pullback(cotangents, more=True)
    assert (classifier.forwards, classifier.backwards) == (31, 13)
    pullback(torch.ones_like(logits))
    assert (classifier.forwards, classifier.backwards) == (31, 17)


@each_kind
def test_access_is_what_it_gives(kind: Kind) -> None:
    classifier = kind.make()
    assert (classifier.access == "gradient") == (kind.slope != "none")
    if kind.slope != "none":
        return
    for ask in (classifier.linearize, lambda x: classifier.gradient(x, Untargeted(labels()).loss)):
        with pytest.raises(Unsupported, match="has no gradients"):
            ask(images())
    assert (classifier.forwards, classifier.backwards) == (0, 0)
    if classifier.access == "decision":
        assert set(classifier.logits(images()).flatten().tolist()) == {0.0, 1.0}


SCORES: dict[str, Score] = {
    "loss": Untargeted(labels()).loss,
    "margin": Untargeted(labels()).margin,
    "towards a class": Targeted((labels() + 1) % 5).loss,
    "one class": lambda logits: logits[:, 2],
    # As DLR: nothing by nothing for rows of zeros, which those of other chunks are meanwhile.
    "quotient": lambda logits: (logits[:, 0] - logits[:, 1]) / logits.std(1),
}


@with_gradients
@pytest.mark.parametrize("score", SCORES.values(), ids=list(SCORES))
def test_the_gradient_is_the_slope_of_any_score_or_is_declared_not_to_be(kind: Kind, score: Score) -> None:
    """Central differences along the gradient's own direction, in float64 of float32 logits."""
    classifier, x = kind.make(), images()
    logits, gradient = classifier.gradient(x, score)
    torch.testing.assert_close(logits, classifier.logits(x), rtol=1e-5, atol=1e-5)
    assert bool((gradient.flatten(1).abs().amax(1) > 0).all())
    size = gradient.flatten(1).norm(dim=1)
    step = 2e-3 * gradient / size.view(-1, 1, 1, 1)
    after, before = (kind.scored(classifier, x + way * step, lambda logits: score(logits.double())) for way in (1, -1))
    slope = (after - before) / 4e-3 / size
    if kind.slope == "own":
        assert float(slope.median()) == pytest.approx(1, abs=0.02)
        assert float(((slope - 1).abs() < 0.1).float().mean()) >= 0.8  # a kink of a ReLU lies between, here and there
    else:
        assert float(((slope - 1).abs() > 0.1).float().mean()) >= 0.5, "it is exact: there is nothing to declare"


@with_gradients
def test_rows_of_a_gradient_are_their_own(kind: Kind) -> None:
    classifier = kind.make()
    goal = Untargeted(labels())
    _, together = classifier.gradient(images(), goal.loss)
    for rows in (slice(0, 1), slice(4, 9), slice(11, 12)):
        _, apart = classifier.gradient(images()[rows], goal[rows].loss)
        torch.testing.assert_close(apart, together[rows], rtol=1e-4, atol=1e-6)


@each_kind
def test_fingerprint_is_that_of_the_function_and_goes_with_it_to_another_process(kind: Kind) -> None:
    classifier, other = kind.make(), kind.other()
    logits = classifier.logits(images())  # and makes what it makes on the first pass
    assert not torch.allclose(logits, other.logits(images())) or kind.slope == "approximate"
    assert kind.make().fingerprint == classifier.fingerprint != other.fingerprint
    again = pickle.loads(pickle.dumps(classifier))
    assert again.fingerprint == classifier.fingerprint
    torch.testing.assert_close(again.logits(images()), logits, rtol=1e-5, atol=1e-5)


def test_another_process_answers_the_same(tmp_path: Path) -> None:
    """All kinds at once: starting one takes longer than all their passes."""
    kinds = [kind for kind in KINDS if kind.needs is None or find_spec(kind.needs)]
    made = [kind.make() for kind in kinds]
    answers = [(one.logits(images()), one.fingerprint) for one in made]
    (tmp_path / "made").write_bytes(pickle.dumps((made, images())))
    script = (
        "import pickle, sys, torch; torch.set_num_threads(1); path = sys.argv[1]\n"
        "made, images = pickle.loads(open(path, 'rb').read())\n"
        "torch.save([(one.logits(images), one.fingerprint) for one in made], path)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "made")], check=True, env=environment)
    for kind, here, there in zip(kinds, answers, torch.load(tmp_path / "made"), strict=True):
        torch.testing.assert_close(there[0], here[0], rtol=1e-5, atol=1e-5, msg=kind.name)
        assert there[1] == here[1], kind.name


@each_kind
def test_attacks_and_grading_take_it(kind: Kind) -> None:
    classifier = kind.make()
    method: brittle.attacks.Attack = brittle.DeepFool(max_steps=5, candidates=1)
    if kind.slope == "none":
        method = brittle.HopSkipJump(queries=60)
    right = classifier.logits(images()).argmax(1)
    found = brittle.attack(classifier, images(), right, method)
    assert not found.miscounted
    assert not bool((found.claimed & ~found.fooled).any())
    assert int(found.fooled.sum()) >= 6


@each_kind
def test_settings_are_those_of_the_part_that_they_are_about(kind: Kind) -> None:
    classifier = kind.make()
    names = [f"class {k}" for k in range(kind.make().logits(images(4)).shape[1])]
    other = classifier.adjusted(Settings(name="mine", class_names=names, reject="class 1", batch_size=7))
    assert (other.name, other.class_names, other.reject, other.batch_size) == ("mine", tuple(names), 1, 7)
    assert classifier.reject is None
    torch.testing.assert_close(other.logits(images()), classifier.logits(images()), rtol=1e-5, atol=1e-5)
    assert other.fingerprint == classifier.fingerprint
    assert (other.forwards, classifier.forwards) == (12, 12)
    shifted = classifier.adjusted(Settings(mean=(0.9,), std=(0.05,)))
    assert shifted.fingerprint != classifier.fingerprint


# ---- what only fronts can get wrong


def test_a_front_is_exact_forwards_and_its_approximation_backwards() -> None:
    x = images(4)
    goal = Untargeted(labels(4))
    exact = network().logits(rounded(x, 6))
    for gradient, approximation in (("straight-through", lambda one: one), (soft, soft)):
        front = Front(lambda one: rounded(one, 6), gradient)  # type: ignore[arg-type]
        through = behind(front)
        torch.testing.assert_close(through.logits(x), exact, rtol=1e-5, atol=1e-5)
        logits, pulled = through.gradient(x, goal.loss)
        torch.testing.assert_close(logits, exact, rtol=1e-5, atol=1e-5)
        leaf = x.clone().requires_grad_()
        _, inner = network().gradient(rounded(x, 6), goal.loss)
        (expected,) = torch.autograd.grad(approximation(leaf), leaf, inner)
        torch.testing.assert_close(pulled, expected, rtol=1e-4, atol=1e-6)


def soft(images: Tensor) -> Tensor:
    return softly_rounded(images, 6)


def test_the_network_behind_a_front_is_still_folded() -> None:
    inner = network()
    Fronted(inner, Front(torch.square)).gradient(images(), Untargeted(labels()).loss)
    assert inner.is_fast


def test_a_front_in_training_mode_defends_in_eval_mode_and_gets_its_mode_back() -> None:
    blur = Blur(0.9).train()
    through = behind(Front(blur))
    assert torch.equal(through.logits(images()), through.logits(images()))
    assert blur.dropout.training
    assert behind(Front(Blur(0.9).eval())).fingerprint == through.fingerprint


def test_values_that_a_step_closes_over_are_part_of_it() -> None:
    def scaled(share: float) -> Front:
        return Front(lambda images: images * share)

    assert behind(scaled(0.5)).fingerprint == behind(scaled(0.5)).fingerprint != behind(scaled(0.6)).fingerprint


def test_fronts_that_are_none() -> None:
    with pytest.raises(brittle.BrittleError, match="expected a step from images to images, got int"):
        Front(3)  # type: ignore[arg-type]
    with pytest.raises(brittle.BrittleError, match='expected the gradient "own", "straight-through" or a step'):
        Front(torch.square, "none")  # type: ignore[arg-type]
    with pytest.raises(brittle.BrittleError, match=r"expected brittle.Front\(step\), got function"):
        Fronted(network(), rounded)  # type: ignore[arg-type]
    smaller = behind(Front(lambda images: images[:, :, ::2, ::2], "straight-through"))
    with pytest.raises(brittle.BrittleError, match=r"\(1, 8, 8\), as straight-through does, got \(1, 4, 4\)"):
        smaller.logits(images())


def test_an_average_counts_what_it_is_asked_and_its_network_every_pass() -> None:
    inner = network()
    average = Averaged(inner, samples=3, noise=0.1)
    average.gradient(images(), Untargeted(labels()).loss)
    assert (average.forwards, average.backwards) == (12, 12)
    assert (inner.forwards, inner.backwards) == (36, 36)
    with pytest.raises(brittle.BrittleError, match=r"expected samples >= 1 and a finite noise >= 0, got 0 and 0\.0"):
        Averaged(inner, samples=0)
