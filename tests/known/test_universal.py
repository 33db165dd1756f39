"""Universal perturbations: exact steps on affine classifiers, published behaviour, files, and every option."""

import base64
import dataclasses
import json
import pickle
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from brittle.attacks import FGSM, PGD, AddPerturbation, BestOf, DeepFool, Restarts, Universal, UniversalSGD
from brittle.attacks.universal import pool as fitting
from brittle.attacks.universal.pool import Step
from brittle.catalog import FITTERS, attacks_from, config_of, label_of, traits_of
from brittle.data import Examples, digits_split, examples_of, load_data
from brittle.data.perturbation import Perturbation, read_perturbation, write_perturbation
from brittle.errors import BrittleError, Unsupported
from brittle.geometry.box import clip
from brittle.geometry.norms import L1, L2, LINF, Lp, Norm
from brittle.goals import Targeted, Untargeted
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.rng import Rng
from brittle.run.attack import attack
from known.affine import Affine
from laws.worlds import World, trained_world

pytestmark = pytest.mark.usefixtures("one_thread")


Data = tuple[Classifier, Examples, Tensor]


@cache
def digits() -> Data:
    """The trained world's network, 96 digits that it has been trained on to fit to, and 200 that it has not seen."""
    train, test = digits_split()
    return trained_world().shared_classifier, examples_of(train.images(0, 96)), test.images(0, 200)


def rate(classifier: Classifier, images: Tensor, made: Perturbation) -> float:
    """The part of the images that change their class."""
    clean, moved = (classifier.logits(one, plain=True).argmax(1) for one in (images, clip(images + made.values)))
    return float((clean != moved).float().mean())


@cache
def fitted(method: Any, seed: int = 0) -> Perturbation:
    """To the digits, once for all that ask for it."""
    classifier, examples, _ = digits()
    made: Perturbation = method.fit(classifier, examples, seed=seed)
    return made


def on_unseen(method: Any, seed: int = 0) -> float:
    classifier, _, unseen = digits()
    return rate(classifier, unseen, fitted(method, seed))


def same(method: Any, other: Any) -> bool:
    return torch.equal(fitted(method).values, fitted(other).values)


# ---- exact


def plane(weight: Tensor, gap: float) -> Affine:
    """Class 1 where ``<weight, x> > 0.5 * sum(weight) + gap``."""
    return Affine(
        torch.stack([torch.zeros_like(weight), weight]), torch.tensor([0.0, -0.5 * float(weight.sum()) - gap])
    )


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_affine_steps_are_the_closed_form(batch: int) -> None:
    """All images are at one distance from one plane: a batch adds as many steps as it has images, and is done."""
    weight = torch.randn(16, generator=torch.Generator().manual_seed(0))
    classifier = Network(plane(weight, gap=0.3))
    images = torch.full((16, 1, 4, 4), 0.5)
    exact = Universal(eps=10.0, passes=1, batch=batch, attack=DeepFool(overshoot=0.02))
    made = exact.fit(classifier, examples_of(images))
    step = 1.02 * 0.3 / float(weight.square().sum()) * weight.view(1, 4, 4)
    torch.testing.assert_close(made.values, batch * step, rtol=1e-4, atol=1e-6)
    assert made.about["fooling rate"] == "1.0000"


def test_batch_one_is_the_published_algorithm() -> None:
    """Algorithm 1 written out, image after image, with one pass and the same order."""
    classifier, examples, _ = digits()
    method = Universal(eps=1.5, passes=1, batch=1, attack=DeepFool())
    images = examples.images(0, 96)
    labels = classifier.logits(images).argmax(1)
    order = Rng(3, examples.ids).uniform("universal order 0", torch.zeros(96, dtype=torch.float64)).argsort()
    v = torch.zeros_like(images[:1])
    for row in order.tolist():
        x, goal = clip(images[row : row + 1] + v), Untargeted(labels[row : row + 1])
        if not bool(goal.is_met(classifier.logits(x))):
            v = L2.project(v + DeepFool()(classifier, x, goal, rng=Rng(3, (examples.ids[row],))).images - x, 1.5)
    torch.testing.assert_close(method.fit(classifier, examples, seed=3).values, v[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", [L1, Lp(1.5), L2, LINF], ids=str)
@pytest.mark.parametrize("method", [Universal, UniversalSGD])
def test_it_stays_within_its_budget(method: Any, norm: Norm) -> None:
    classifier, examples, _ = digits()
    eps = 0.1 * float(norm.measure(torch.ones(1, 1, 8, 8)))
    short = {"passes": 2} if method is Universal else {"epochs": 2}
    made = method(norm=norm, eps=eps, **short).fit(classifier, examples)
    size = float(norm.measure(made.values.unsqueeze(0))[0])
    assert 0.5 * eps < size <= eps * (1 + 1e-5)
    assert (made.norm, made.eps) == (norm, eps)


def test_gradient_steps_are_the_closed_form() -> None:
    """Two classes: the gradient is ``weight`` whatever the image, and steps shrink along a cosine."""
    weight = torch.randn(16, generator=torch.Generator().manual_seed(1))
    classifier = Network(plane(weight, gap=0.3))
    method = UniversalSGD(norm=L2, eps=1.0, epochs=2, minibatch=2, step_size=0.1, shift=0.0)
    made = method.fit(classifier, examples_of(torch.full((4, 1, 4, 4), 0.5)))
    length = 0.1 * (1 + 0.8535534 + 0.5 + 0.1464466)  # 4 steps, of (1 + cos(pi * k / 4)) / 2
    torch.testing.assert_close(made.values, (length * weight / weight.norm()).view(1, 4, 4), rtol=1e-4, atol=1e-6)


# ---- published behaviour, on small real data


def test_rate_rises_with_eps() -> None:
    for method in (Universal, UniversalSGD):
        rates = [on_unseen(method(norm=L2, eps=eps)) for eps in (0.5, 1.0, 2.0)]
        assert rates[0] < rates[1] - 0.05, method
        assert rates[1] < rates[2] - 0.05, method


def test_rate_on_unseen_data_rises_with_the_number_of_images() -> None:
    classifier, examples, unseen = digits()
    some = examples_of(examples.images(0, 6))
    for method in (Universal(eps=1.5, passes=3), UniversalSGD(norm=L2, eps=1.5)):
        few = sum(rate(classifier, unseen, method.fit(classifier, some, seed=seed)) for seed in range(3)) / 3
        many = sum(on_unseen(method, seed) for seed in range(3)) / 3
        assert few < many - 0.03, method


def test_both_are_far_above_chance_and_gradients_generalise_better() -> None:
    classifier, _, unseen = digits()
    draws = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    noise = [Perturbation.of(1.5 * one / one.norm() * (1 - 1e-6), norm=L2, eps=1.5) for one in draws]
    by_chance = max(rate(classifier, unseen, one) for one in noise)
    of_2017, by_gradients = (
        sum(on_unseen(method, seed) for seed in range(3)) / 3
        for method in (Universal(eps=1.5), UniversalSGD(norm=L2, eps=1.5))
    )
    assert by_chance < of_2017 - 0.1
    assert by_chance < by_gradients - 0.1


@cache
def resnet20(folder: Path) -> Data:
    """ResNet-20, 64 CIFAR-10 test images to fit to, and 128 others."""
    from brittle.models import load_model

    classifier = load_model("resnet20", weights=folder / "weights" / "cifar10_resnet20.safetensors")
    images = load_data(str(folder / "cifar10-jpeg" / "test.parquet"), limit=192).images(0, 192)
    return classifier, examples_of(images[:64]), images[64:]


@pytest.mark.parametrize("method", [Universal(passes=2), UniversalSGD(norm=L2, eps=1.0, epochs=3)], ids=label_of)
def test_real_network_rate_rises_with_eps_and_with_the_number_of_images(method: Any, real_data: Path) -> None:
    """What the paper's figures show, on images that v has not been fitted to."""
    classifier, examples, unseen = resnet20(real_data)
    by_eps = [
        rate(classifier, unseen, dataclasses.replace(method, eps=eps).fit(classifier, examples))
        for eps in (0.25, 0.5, 1.0)
    ]
    assert by_eps[0] + 0.05 < by_eps[1] < by_eps[2] - 0.05, by_eps
    few = rate(classifier, unseen, method.fit(classifier, examples_of(examples.images(0, 8))))
    assert few < by_eps[2] - 0.05, (few, by_eps[2])


def test_real_network_beside_chance(real_data: Path) -> None:
    """More unseen images are fooled than by chance, by the gradient variant most."""
    classifier, mine, unseen = resnet20(real_data)
    fits = {
        "2017": Universal(passes=1).fit(classifier, mine),
        "gradients": UniversalSGD(norm=L2, eps=1.0, epochs=4).fit(classifier, mine),
    }
    draws = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    fits["chance"] = Perturbation.of(draws / draws.norm() * (1 - 1e-6), norm=L2, eps=1.0)
    rates = {name: rate(classifier, unseen, made) for name, made in fits.items()}
    assert rates["chance"] < rates["2017"] < rates["gradients"], rates


# ---- each option does something


def test_universal_norm_and_eps() -> None:
    classifier, examples, _ = digits()
    for norm, eps in ((L2, 0.7), (LINF, 0.1)):
        made = Universal(norm=norm, eps=eps, passes=1).fit(classifier, examples)
        assert float(norm.measure(made.values.unsqueeze(0))[0]) == pytest.approx(eps, rel=1e-3)


@dataclasses.dataclass
class Counting:
    """How many images a fit has gone through, of how many at the most."""

    done: int = 0
    total: int = 0

    def __call__(self, step: Step) -> None:
        assert step.done > self.done or not self.total
        self.done, self.total = step


@pytest.mark.parametrize(("wanted", "passes"), [(0.0, [1]), (0.15, [1, 2, 3]), (1.0, [4])])
def test_universal_rate_and_passes(wanted: float, passes: list[int]) -> None:
    classifier, examples, _ = digits()
    counted = Counting()
    made = Universal(eps=1.5, rate=wanted, passes=4).fit(classifier, examples, on_step=counted)
    assert counted.total == 4 * 96
    assert -(-counted.done // 96) in passes
    assert (float(made.about["fooling rate"]) >= wanted) == (wanted < 1)


def test_universal_batch() -> None:
    assert not same(Universal(eps=1.5, passes=1), Universal(eps=1.5, passes=1, batch=32))


def test_universal_attack() -> None:
    """Any attack for untargeted goals: also one under a budget, of which only successes count."""
    steps = PGD(norm=L2, eps=0.5, steps=5)
    assert not same(Universal(eps=1.5, passes=1), Universal(eps=1.5, passes=1, attack=steps))
    assert on_unseen(Universal(eps=1.5, passes=2, attack=steps)) > 0.2
    too_small = Universal(eps=1.5, passes=1, attack=PGD(norm=L2, eps=1e-6))
    assert not fitted(too_small).values.any()
    assert not same(Universal(eps=1.5, passes=1), Universal(eps=1.5, passes=1, attack=DeepFool()))
    unseeing = Universal(eps=1.5, passes=1, attack=FGSM(norm=L2, eps=0.5))  # it does not look at what its step has made
    assert fitted(unseeing).values.any()


def test_the_best_pass_is_kept() -> None:
    classifier, examples, _ = digits()
    rates = [
        float(Universal(eps=0.8, rate=1.0, passes=passes).fit(classifier, examples).about["fooling rate"])
        for passes in range(1, 6)
    ]
    assert rates == sorted(rates)
    assert rates[0] < rates[-1]


@pytest.mark.parametrize(
    "options",
    [
        {"norm": L2, "eps": 0.1},
        {"eps": 0.05},
        {"epochs": 3},
        {"minibatch": 32},
        {"step_size": 0.01},
        {"momentum": 0.0},
        {"clamp": 0.0},
        {"shift": 0.25},
    ],
    ids=str,
)
def test_universal_sgd_options_change_what_is_fitted(options: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"eps": 0.1, "epochs": 2}
    assert not same(UniversalSGD(**usual), UniversalSGD(**usual | options))


def test_universal_sgd_clamp() -> None:
    """Class 1 is 0.3 away in odds: with a clamp below that no image counts, and v stays where it is."""
    classifier = Network(plane(torch.ones(16), gap=0.3))
    examples = examples_of(torch.full((4, 1, 4, 4), 0.5))
    assert not UniversalSGD(clamp=-0.5, epochs=1).fit(classifier, examples).values.any()
    assert UniversalSGD(clamp=0.0, epochs=1).fit(classifier, examples).values.all()


def test_universal_sgd_shift_generalises() -> None:
    """Fitted without it to few images of a network that sees shifts, v suits them better and others worse."""
    classifier, examples, _ = digits()
    few = examples_of(examples.images(0, 16))
    fits = {shift: UniversalSGD(norm=L2, eps=1.5, shift=shift).fit(classifier, few) for shift in (0.0, 0.25)}
    own = {shift: rate(classifier, few.images(0, 16), made) for shift, made in fits.items()}
    assert own[0.25] < own[0.0]


def test_every_field_of_the_fits_has_its_test() -> None:
    tested = {"norm", "eps", "rate", "passes", "batch", "attack"}
    assert tested == {field.name for field in dataclasses.fields(Universal)}
    tested = {"norm", "eps", "epochs", "minibatch", "step_size", "momentum", "clamp", "shift"}
    assert tested == {field.name for field in dataclasses.fields(UniversalSGD)}


# ---- how a fit behaves


@pytest.mark.parametrize("method", [Universal(eps=1.5, passes=2), UniversalSGD(epochs=2)], ids=label_of)
def test_a_fit_depends_on_the_seed_and_not_on_the_order_of_the_data_nor_on_memory(
    method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, examples, _ = digits()
    usual = method.fit(classifier, examples)
    assert not torch.equal(usual.values, method.fit(classifier, examples, seed=1).values)
    turned = examples_of(examples.images(0, 96).flip(0), ids=examples.ids[::-1])
    torch.testing.assert_close(method.fit(classifier, turned).values, usual.values, rtol=1e-3, atol=1e-4)
    monkeypatch.setattr(fitting, "_KEPT_BYTES", 0)
    assert torch.equal(method.fit(classifier, examples).values, usual.values)


def test_images_beyond_memory_are_read_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    classifier, examples, _ = digits()
    asked: list[int] = []

    def read(rows: Any) -> Tensor:
        asked.append(len(rows))
        return examples.read(rows)

    monkeypatch.setattr(fitting, "_KEPT_BYTES", 0)
    UniversalSGD(epochs=1).fit(classifier, dataclasses.replace(examples, read=read))
    assert max(asked) <= classifier.batch_size < len(examples)


@pytest.mark.parametrize("method", [Universal(), UniversalSGD()], ids=label_of)
def test_a_network_that_does_not_look_gives_no_perturbation(method: Any) -> None:
    from laws.worlds import deaf_worlds

    for world in deaf_worlds():
        made = method.fit(world.classifier(), examples_of(world.images))
        assert not made.values.any()
        assert made.about["fooling rate"] == "0.0000"


@pytest.mark.parametrize("method", [Universal(), UniversalSGD()], ids=label_of)
def test_running_what_must_be_fitted_is_refused_and_says_what_to_do(method: Any) -> None:
    classifier, examples, _ = digits()
    images, labels = examples.images(0, 4), torch.zeros(4, dtype=torch.int64)
    advice = f"run `brittle fit {FITTERS.entry_of(method).name},...`, then `--attack perturbation,file=FILE`"
    with pytest.raises(BrittleError) as refused:
        attack(classifier, images, labels, method)
    assert advice in str(refused.value)
    with pytest.raises(BrittleError, match="expected an attack, got the fitter"):
        Restarts(attack=method)


def test_attacks_that_cannot_take_the_steps_are_refused() -> None:
    held: Any
    for held, message in (
        (UniversalSGD(), "expected an attack, got the fitter universal-sgd"),
        (DeepFool(box=False), "that stays in the box, got deepfool"),
    ):
        with pytest.raises(BrittleError, match=message):
            Universal(attack=held)


def test_fitting_to_nothing_or_to_a_tensor_is_refused() -> None:
    classifier, examples, _ = digits()
    with pytest.raises(BrittleError, match="expected at least one example to fit to, got none from memory"):
        Universal().fit(classifier, examples_of(torch.zeros(0, 1, 8, 8)))
    with pytest.raises(BrittleError, match=r"expected brittle.Examples to fit to, got Tensor"):
        UniversalSGD().fit(classifier, examples.images(0, 4))  # type: ignore[arg-type]


# ---- the perturbation


@pytest.fixture
def made() -> Perturbation:
    return Perturbation.of(
        0.1 * torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(4)).sign(),
        norm=LINF,
        eps=0.1,
        about={"data": "noise"},
    )


def test_it_is_added_clipped_and_costs_one_forward_pass(made: Perturbation) -> None:
    world = trained_world()
    found = attack(world.shared_classifier, world.images, world.labels, AddPerturbation(file=made))
    wrong = world.logits(world.images).argmax(1) != world.labels
    assert int(wrong.sum()) > 0
    assert torch.equal(found.images[wrong], world.images[wrong])
    assert torch.equal(found.images[~wrong], clip(world.images + made.values)[~wrong])
    assert (set(found.forwards.tolist()), set(found.backwards.tolist())) == ({1}, {0})
    assert found.within_budget.all()


def test_everything_survives_a_file(made: Perturbation, tmp_path: Path) -> None:
    path = tmp_path / "u.safetensors"
    write_perturbation(made, path)
    loaded = read_perturbation(path)
    assert [one.name for one in tmp_path.iterdir()] == ["u.safetensors"]
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode
    assert torch.equal(loaded.values, made.values)
    assert (loaded.norm, loaded.eps, loaded.about, loaded.digest) == (LINF, 0.1, {"data": "noise"}, made.digest)
    assert attacks_from(f"perturbation,file={path}") == [AddPerturbation(file=path)] == [AddPerturbation(file=made)]


def test_it_survives_the_way_to_another_process(made: Perturbation) -> None:
    """One that has never been in a file, in a process that knows nothing of this one."""
    sent = base64.b64encode(pickle.dumps(AddPerturbation(file=made, eps=0.05))).decode()
    asked = "import base64, pickle, sys; one = pickle.loads(base64.b64decode(sys.stdin.read()))"
    shown = "print(one.perturbation, one.eps, float(one.values.abs().max()))"
    answer = subprocess.run(
        [sys.executable, "-c", f"{asked}; {shown}"], input=sent, capture_output=True, text=True, check=True
    )
    digest, eps, largest = answer.stdout.split()
    assert (digest, float(eps)) == (f"sha256:{made.digest}", 0.05)
    assert float(largest) == pytest.approx(0.05)


def test_eps_scales_it(made: Perturbation) -> None:
    half = AddPerturbation(file=made, eps=0.05)
    torch.testing.assert_close(half.values, 0.5 * made.values)
    assert traits_of(half).eps == 0.05
    assert torch.equal(dataclasses.replace(half, eps=0.1).values, made.values)
    none = Perturbation.of(torch.zeros(1, 8, 8), norm=LINF, eps=0)
    with pytest.raises(BrittleError, match=r"expected eps = 0, as the perturbation was fitted for, got 0.1"):
        AddPerturbation(file=none, eps=0.1)


def test_every_field_of_the_perturbation_has_its_test() -> None:
    assert {field.name for field in dataclasses.fields(AddPerturbation)} == {"file", "eps"}


def test_records_name_it_by_its_digest(made: Perturbation) -> None:
    adds = AddPerturbation(file=made)
    assert json.loads(json.dumps(config_of(adds))) == {"file": f"sha256:{made.digest}", "eps": 0.1}
    assert label_of(adds) == f"perturbation(eps=0.1, file=sha256:{made.digest})"
    again = Perturbation.of(made.values, norm=LINF, eps=0.1)
    assert {made, again} == {made}
    assert again != Perturbation.of(made.values, norm=LINF, eps=0.2)
    assert len(made.digest) == 16


def test_what_it_was_made_of_may_change(made: Perturbation) -> None:
    values = made.values.clone()
    mine = Perturbation.of(values, norm=LINF, eps=0.1)
    values.zero_()
    assert mine == made
    assert torch.equal(mine.values, made.values)


def test_it_works_within_wrappers_and_on_other_networks(made: Perturbation) -> None:
    world = trained_world()
    whole = AddPerturbation(file=made)
    small = AddPerturbation(file=Perturbation.of(0.5 * made.values, norm=LINF, eps=0.1))
    goal = Untargeted(world.labels)
    both = BestOf(attacks=(small, whole))(world.shared_classifier, world.images, goal, rng=world.rng())
    alone = whole(world.shared_classifier, world.images, goal, rng=world.rng())
    assert torch.equal(both.images, alone.images)
    other = Network(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))
    assert attack(other, world.images, torch.zeros(len(world.images), dtype=torch.int64), whole).within_budget.all()


def test_what_it_cannot_do_is_refused_before_any_work(made: Perturbation) -> None:
    world: World = trained_world()
    classifier, adds = world.classifier(), AddPerturbation(file=made)
    with pytest.raises(BrittleError) as refused:
        adds(classifier, torch.rand(2, 3, 8, 8), Untargeted(torch.zeros(2, dtype=torch.int64)), rng=Rng(0, ("a", "b")))
    expected = (
        "expected images of 1 x 8 x 8 (channels x height x width), as the perturbation was fitted on, got 3 x 8 x 8"
    )
    assert str(refused.value) == expected
    with pytest.raises(Unsupported, match="targeted"):
        adds(classifier, world.images, Targeted(world.labels), rng=world.rng())
    assert classifier.forwards == 0


@pytest.mark.parametrize(
    ("values", "eps", "message"),
    [
        (torch.zeros(2, 1, 8, 8), 0.1, "expected the perturbation as values [C, H, W], got 2 x 1 x 8 x 8"),
        (torch.full((1, 8, 8), torch.nan), 0.1, "expected finite values in the perturbation, got NaN or infinity"),
        (torch.full((1, 8, 8), 0.2), 0.1, "expected the perturbation within its eps of 0.1 in linf, got a size of 0.2"),
        (torch.zeros(1, 8, 8), -1.0, "expected a finite eps >= 0 in the perturbation, got -1.0"),
    ],
)
def test_what_is_no_perturbation_is_refused(values: Tensor, eps: float, message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        Perturbation.of(values, norm=LINF, eps=eps)
    assert str(refused.value) == message


def test_files_that_hold_no_perturbation_are_refused(made: Perturbation, tmp_path: Path) -> None:
    path = tmp_path / "u.safetensors"
    write_perturbation(made, path)
    whole = path.read_bytes()
    cut, text, weights, large = (tmp_path / f"{name}.safetensors" for name in ("cut", "text", "weights", "large"))
    cut.write_bytes(whole[:150])
    text.write_text("not a perturbation")
    save_file({"fc.weight": torch.zeros(2, 2)}, weights)
    says = json.dumps({"format": "brittle perturbation 2", "norm": "linf", "eps": "0.05"})
    save_file(load_file(path), large, {"brittle": says})
    for file, message in (
        (cut, "expected a perturbation file, got "),
        (text, "expected a perturbation file, got "),
        (weights, "expected a perturbation that `brittle fit` has written, "),
        (large, "within its eps of 0.05 in linf, got a size of 0.1"),
        (tmp_path / "w.safetensors", "did you mean 'u.safetensors'?"),
        (tmp_path, "got the directory"),
    ):
        with pytest.raises(BrittleError) as refused:
            read_perturbation(file)
        assert message in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_file_is_written_whole_or_not_at_all(
    made: Perturbation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, _: bytes) -> None:
        path.write_text("the beginning")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BrittleError, match=r"cannot write .*: No space left on device"):
        write_perturbation(made, tmp_path / "u.safetensors")
    assert not list(tmp_path.iterdir())
    with pytest.raises(BrittleError, match=r"expected a file name that ends in .safetensors"):
        write_perturbation(made, tmp_path / "u.pt")
