"""Defences judged: closed forms of each defence, and figures that can be counted by hand."""

from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import torch
from fake_run import manifest_of
from torch import nn
from torch.nn import functional

import brittle
from brittle import load_data, load_model
from brittle.attacks.budget.jumps import _Climb, _jumped, climb_jumps
from brittle.attacks.parts.asking import asking_first
from brittle.cli.gate import judged
from brittle.defend import (
    JPEG,
    Binarise,
    BitDepth,
    Blur,
    CropResize,
    Median,
    Noise,
    RandomResizePad,
    TotalVariation,
    Translate,
    defended,
)
from brittle.defend.rounding import softly_rounded
from brittle.defend.soft_jpeg import soft_jpeg
from brittle.errors import BrittleError
from brittle.geometry.norms import L2, LINF
from brittle.goals import Untargeted
from brittle.measure import Budget, Gate, JudgedDefence, Measured, every_sides, judge_defences
from brittle.measure.outcomes import judged as judged_rows
from brittle.models import Classifier, Network
from brittle.models.front import from_afar, taken_apart, taken_back
from brittle.models.stairs import Stairs
from brittle.records import CERTIFIED, TRANSFERRED, Manifest
from brittle.rng import Rng
from known.rows import row, table
from known.test_measure import failed, spec

STANDARD = spec("standard(eps=0.1)", "budget", "linf", eps=0.1).model_copy(update={"access": "gradient"})
SQUARE = spec("square(eps=0.1)", "budget", "linf", eps=0.1).model_copy(update={"access": "score"})

NONE, NONE_GIVEN = CERTIFIED.empty_table().to_pandas(), TRANSFERRED.empty_table().to_pandas()


def images(count: int = 3, side: int = 8) -> torch.Tensor:
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(0))


# ---- what each defence does to an image


def test_a_flat_image_stays_as_it_is_where_nothing_is_added() -> None:
    flat = torch.full((2, 3, 9, 9), 0.6)
    for one in (Blur(sd=2.0), CropResize(), Median(), TotalVariation(), BitDepth(bits=4)):
        torch.testing.assert_close(one.step(flat), flat, rtol=0, atol=1e-5)
    assert float((JPEG().step(flat) - flat).abs().max()) <= 2 / 255


def test_blurs_add_their_variances() -> None:
    dot = torch.zeros(1, 1, 41, 41)
    dot[0, 0, 20, 20] = 1
    twice = Blur(sd=1.5).step(Blur(sd=2.0).step(dot))
    torch.testing.assert_close(twice, Blur(sd=2.5).step(dot), rtol=0, atol=2e-4)
    torch.testing.assert_close(Blur(sd=2.0).step(dot).sum(), torch.tensor(1.0))


def test_a_crop_keeps_a_ramp_a_ramp_of_that_share() -> None:
    ramp = torch.linspace(0, 1, 20).expand(1, 1, 20, 20)
    middle = CropResize(keep=0.5).step(ramp)[0, 0, 10]
    torch.testing.assert_close(middle.diff()[2:-2], torch.full((15,), 0.5 / 19), rtol=1e-3, atol=1e-5)


def test_a_translation_is_by_whole_pixels_and_each_images_own() -> None:
    x = images(64)
    moved = Translate(pixels=2).step(x, Rng(0, tuple(map(str, range(64)))))
    padded = functional.pad(x, (2, 2, 2, 2), mode="replicate")
    places = [(down, right) for down in range(5) for right in range(5)]
    found = [
        next(
            place
            for place in places
            if torch.equal(padded[k, :, place[0] : place[0] + 8, place[1] : place[1] + 8], one)
        )
        for k, one in enumerate(moved)
    ]
    assert len(set(found)) > 15


def test_bits_are_levels_and_a_median_drops_a_dot() -> None:
    assert len(set(BitDepth(bits=2).step(images()).flatten().tolist())) == 4
    dotted = torch.zeros(1, 1, 8, 8)
    dotted[0, 0, 4, 4] = 1
    assert float(Median(size=3).step(dotted).max()) == 0


def test_a_window_larger_than_the_image_is_refused() -> None:
    Median(size=5).step(torch.rand(1, 1, 3, 4))
    with pytest.raises(BrittleError, match=r"more than 2 pixels a side for median\(size=5\), got 2x4"):
        Median(size=5).step(torch.rand(1, 1, 2, 4))


def test_total_variation_falls_and_the_objective_is_less_than_for_the_image_and_its_blur() -> None:
    x, weight = images(), 0.1

    def variation(u: torch.Tensor) -> torch.Tensor:
        down = functional.pad(u.diff(dim=2), (0, 0, 0, 1))
        right = functional.pad(u.diff(dim=3), (0, 1))
        return (down.square() + right.square()).sqrt().sum((1, 2, 3))

    def objective(u: torch.Tensor) -> torch.Tensor:
        return (u - x).square().sum((1, 2, 3)) / (2 * weight) + variation(u)

    smooth = TotalVariation(weight=weight, steps=200).step(x)
    assert bool((variation(smooth) < 0.7 * variation(x)).all())
    for other in (x, Blur(sd=0.5).step(x), TotalVariation(weight=weight, steps=3).step(x)):
        assert bool((objective(smooth) < objective(other)).all())
    torch.testing.assert_close(smooth.mean((1, 2, 3)), x.mean((1, 2, 3)), rtol=0, atol=1e-5)


def test_a_random_size_and_place_keep_what_is_black_around_it() -> None:
    white = torch.ones(40, 1, 16, 16)
    share = RandomResizePad(least=0.5).step(white, Rng(0, tuple(map(str, range(40))))).mean((1, 2, 3)).sqrt()
    assert 0.5 <= float(share.min()) < 0.6
    assert 0.9 < float(share.max()) <= 1


def test_the_jpeg_that_attackers_differentiate_is_the_file_but_for_rounding() -> None:
    """Within a grey level and a half of libjpeg on average, for smooth images, grey and in colour, of any size."""

    def sharply(values: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
        return (values / unit).round() * unit

    smooth = Blur(sd=2.0).step(torch.rand(2, 3, 21, 34, generator=torch.Generator().manual_seed(0)))
    for quality in (30, 75, 95):
        for x in (smooth, smooth[:, :1]):
            off = (
                (soft_jpeg(x, lambda v, unit: (v / unit).round() * unit, quality) - JPEG(quality=quality).step(x))
                .abs()
                .mean()
            )
            assert float(off) < 1.5 / 255, quality
            heights, _ = Stairs(partial(soft_jpeg, quality=quality), softly_rounded).heights(x)
            assert heights.shape[1] == {1: 24 * 40, 3: 24 * 40 + 2 * 16 * 24}[x.shape[1]], "no more than is coded"
            assert float((x - JPEG(quality=quality).step(x)).abs().mean()) > 0.3 / 255


def test_a_soft_rounding_is_as_steep_as_a_jump_is_near() -> None:
    values = torch.tensor([0.0, -1.0, 0.25, 0.4999, 1.5001, 1.9, -0.4], requires_grad=True)
    soft = softly_rounded(values, torch.ones(()))
    torch.testing.assert_close(soft[:2], torch.tensor([0.0, -1.0]))
    (slope,) = torch.autograd.grad(soft.sum(), values)
    jump = torch.tensor([0.25, 0.0, 0.0, 0.4, 0.1])  # how far away it is
    torch.testing.assert_close(slope[2:], (-jump / 0.16).exp(), rtol=1e-2, atol=1e-4)
    assert bool((slope[:2] > 0).all())


def test_an_attack_through_rounding_comes_near_to_the_best_set_of_jumps() -> None:
    """Of a linear score: pixels that jump gain so much each, and cost the square of their way to it."""
    behind, x, weight, levels, eps = _linear_behind_levels()
    apgd = brittle.APGD(norm="l2", eps=eps, loss="margin")
    found = brittle.attack(behind, x, torch.zeros(20, dtype=torch.long), apgd)
    gained = ((levels * x).round() - (levels * found.images).round()).flatten(1) @ weight
    assert float((gained / _greedy(x, weight, levels, eps)).mean()) > 0.7


def _linear_behind_levels() -> tuple[Classifier, torch.Tensor, torch.Tensor, int, float]:
    weight = torch.randn(64, generator=torch.Generator().manual_seed(0))
    x, levels, eps = 0.1 + 0.8 * images(20), 15, 0.03
    linear = nn.Linear(64, 2).requires_grad_(False)
    linear.weight.copy_(torch.stack([weight, -weight]))
    linear.bias.copy_(torch.tensor([1e3, -1e3]))  # or it would stop at its first success
    return defended(Network(nn.Sequential(nn.Flatten(), linear).eval()), BitDepth(bits=4)), x, weight, levels, eps


def _greedy(x: torch.Tensor, weight: torch.Tensor, levels: int, eps: float) -> torch.Tensor:
    """What the jumps of the most gain for their cost bring, as many as there may be."""
    values = (levels * x).flatten(1)
    away = torch.where(weight < 0, values.round() + 0.5 - values, values - values.round() + 0.5) / levels
    order = (weight.abs() / away.square()).argsort(1, descending=True)
    within = away.square().gather(1, order).cumsum(1) <= eps**2
    return (weight.abs().expand_as(away).gather(1, order) * within).sum(1)


def test_jumps_come_nearer_to_the_best_set_than_a_climb_through_slopes() -> None:
    """The same score, where 100 steps of APGD reach 0.719 of it."""
    classifier, x, weight, levels, eps = _linear_behind_levels()
    ask = asking_first(classifier, x, Untargeted(torch.zeros(len(x), dtype=torch.long)))
    apart = taken_apart(classifier)
    assert apart is not None
    climb_jumps(ask, apart, L2, eps, steps=10)
    made = ask.outcome().images
    assert bool((L2.measure(made - x) <= eps * (1 + 1e-5)).all())
    gained = ((levels * x).round() - (levels * made).round()).flatten(1) @ weight
    assert float((gained / _greedy(x, weight, levels, eps)).mean()) > 0.725


def test_what_is_taken_back_and_found_again_gains_more() -> None:
    """Of what jumps of JPEG gain to first order, on 8 smooth images."""
    few = torch.rand(8, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    x, stairs = 0.2 + 0.6 * functional.interpolate(few, size=32, mode="bicubic").clamp(0, 1), JPEG().soft
    whole = stairs.heights(x)[0].round().detach()
    gains = torch.randn(whole.shape, generator=torch.Generator().manual_seed(1)) ** 3
    at = _Climb.start(torch.arange(8), Untargeted(torch.zeros(8, dtype=torch.long)), x, 0.9)
    at.note(at.loss, gains, first=True)
    for norm, eps in ((LINF, 2 / 255), (L2, 0.25)):
        once, often = (
            (gains * (stairs.heights(x + delta)[0].round() - whole)).sum(1).detach()
            for tries in (0, 5)
            for delta in (_jumped(stairs, norm, eps, x, at, tries),)
        )
        assert bool((often >= 0.9999 * once).all())
        assert float(often.sum()) > 1.005 * float(once.sum()), "behind a real network a tenth more"


@pytest.mark.parametrize(
    ("method", "most"),
    [(brittle.DeepFool(), 0.7), (brittle.attacks.SuperDeepFool(), 0.7), (brittle.attacks.SparseFool(), 0.92)],
)
def test_a_step_to_the_boundary_goes_by_the_slope_over_many_levels(method: brittle.Attack, most: float) -> None:
    """What is not seen of it is taken back: so it ends nearer than without levels, at 0.56, 0.57 and 0.89 of the way.
    Through the slope near jumps it is 1.75, 0.79 and 0.94 of it."""
    weight = torch.randn(64, generator=torch.Generator().manual_seed(0))
    x, linear = 0.1 + 0.8 * images(20), nn.Linear(64, 2).requires_grad_(False)
    linear.weight.copy_(torch.stack([weight, -weight]))
    linear.bias.copy_(torch.tensor([1.0, -1.0]))
    bare = Network(nn.Sequential(nn.Flatten(), linear).eval())
    norm = "l1" if isinstance(method, brittle.attacks.SparseFool) else "l2"
    free, behind = (
        brittle.attack(one, x, one.logits(x).argmax(1), method) for one in (bare, defended(bare, BitDepth(bits=3)))
    )
    assert bool(behind.fooled.all())
    assert float(behind.distance(norm).median()) < most * float(free.distance(norm).median())


def test_from_afar_what_rounds_has_the_slope_of_the_identity_wherever_it_stands() -> None:
    """Before a linear network that is the gradient without it; near its jumps it is not."""
    bare, x = Network(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).eval()), images()

    def slope(classifier: Classifier) -> torch.Tensor:
        return classifier.gradient(x, lambda logits: logits[:, 0])[1]

    for steps in ((BitDepth(bits=3), Blur()), (Blur(), BitDepth(bits=3))):
        behind = defended(bare, *steps)
        torch.testing.assert_close(slope(from_afar(behind)), slope(defended(bare, Blur())), rtol=1e-4, atol=1e-6)
        assert float((slope(behind) - slope(from_afar(behind))).abs().max()) > 1e-2
        assert torch.equal(from_afar(behind).logits(x, plain=True), behind.logits(x, plain=True))


def test_what_rounds_is_known_and_what_does_not_is_not() -> None:
    bare = Network(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).eval())
    for one in (JPEG(), BitDepth(), Binarise()):
        apart = taken_apart(defended(bare, one, Blur()))
        assert apart is not None
        x = 0.1 + 0.8 * images()
        heights, unit = apart.stairs.heights(x)
        assert heights.shape == unit.shape
        assert len(heights) == 3
        assert apart.front.step(x).shape == x.shape
        torch.testing.assert_close(
            apart.behind.logits(one.step(x)), defended(bare, one, Blur()).logits(x), rtol=1e-4, atol=1e-4
        )
    assert taken_apart(defended(bare, Blur(), JPEG())) is None
    assert taken_apart(bare) is None


def test_jumps_leave_few_images_of_a_real_network_behind_jpeg(real_data: Path) -> None:
    """Without them ``standard`` leaves 3 of 24, and in L-infinity 6."""
    bare = load_model("resnet20", weights=real_data / "weights" / "cifar10_resnet20.safetensors")
    examples = load_data(str(real_data / "cifar10-jpeg" / "test.parquet"), limit=24, fit=None)
    assert examples.labels is not None
    x, behind = examples.images(0, 24), defended(bare, JPEG())
    standard = brittle.Standard(norm="l2", eps=0.25, steps=30, targets=1, queries=1)
    found = brittle.attack(behind, x, examples.labels, standard)
    assert int((~found.fooled).sum()) <= 1
    assert bool((found.distance("l2") <= 0.25 * (1 + 1e-5)).all())

    apart = taken_apart(behind)
    assert apart is not None
    ask = asking_first(behind, x, Untargeted(examples.labels))
    climb_jumps(ask, apart, LINF, 2 / 255, steps=30)
    outcome = ask.outcome()
    wrong = behind.logits(outcome.images, plain=True).argmax(1) != examples.labels
    assert torch.equal(wrong, outcome.claimed)
    assert int((~wrong).sum()) <= 4
    assert bool((LINF.measure(outcome.images - x) <= 2 / 255 * (1 + 1e-5)).all())


def test_a_change_within_a_level_is_taken_back_and_the_rest_goes_no_further_than_its_jump() -> None:
    given = torch.tensor([0.0, 0.2, 0.45, 0.6, 0.9, 1.0]).view(1, 1, 2, 3)
    changed = torch.tensor([0.4, 0.7, 0.9, 0.7, 0.1, 0.6]).view(1, 1, 2, 3)
    net = Network(nn.Sequential(nn.Flatten(), nn.Linear(6, 2)))
    back = taken_back(defended(net, Binarise()), given, changed)
    torch.testing.assert_close(back.flatten(), torch.tensor([0.0, 0.5, 0.5, 0.6, 0.5, 1.0]), rtol=0, atol=1e-6)
    for step in (Binarise(), BitDepth(bits=3)):
        clean, moved = images(20), images(20).flip(0)
        near = taken_back(defended(net, step), clean, moved)
        assert torch.equal(step.step(near), step.step(moved)), "nothing that is seen has changed"
        assert bool(((near - clean).abs() <= (moved - clean).abs() + 1e-7).all())
        assert bool(((near == clean) == (step.step(clean) == step.step(moved))).all())
    assert taken_back(defended(net, Blur()), given, changed) is changed, "a blur looks at all of them"
    assert taken_back(net, given, changed) is changed


def test_the_smallest_change_of_a_binarised_image_is_the_price_of_its_jumps() -> None:
    """Of a sum of pixels that must fall below a bound: the dearest to keep are not moved at all."""
    linear = nn.Linear(16, 2).requires_grad_(False)
    linear.weight.copy_(torch.stack([torch.ones(16), -torch.ones(16)]))
    linear.bias.copy_(torch.tensor([0.0, 9.0]))
    net = nn.Sequential(nn.Flatten(), linear).eval()
    given = torch.linspace(0.55, 0.95, 16).view(1, 1, 4, 4)  # 16 beside 9 - 16: right, until 12 of them have jumped
    found = brittle.attack(defended(Network(net), Binarise()), given, torch.tensor([0]), brittle.Minimal())
    dearest = torch.linspace(0.55, 0.95, 16)[:12] - 0.5
    assert bool(found.fooled.all())
    assert float(found.distance("l2")) == pytest.approx(float(dearest.norm()), rel=0.02)


def test_an_ensemble_counts_a_small_change_by_what_is_seen_of_it() -> None:
    """Twenty of 36 pixels must fall below a half: an image is within a budget where the twenty lowest are."""
    linear = nn.Linear(36, 2).requires_grad_(False)
    linear.weight.copy_(torch.stack([torch.ones(36), -torch.ones(36)]))
    linear.bias.copy_(torch.tensor([0.0, 33.0]))
    behind = defended(Network(nn.Sequential(nn.Flatten(), linear).eval()), Binarise())
    given, labels = torch.linspace(0.51, 0.95, 20 * 36).view(20, 1, 6, 6), torch.zeros(20).long()
    price = (given.flatten(1).sort(1).values[:, :20] - 0.5).norm(dim=1)
    eps = float(price.sort().values[9:11].mean())
    alone = brittle.attack(behind, given, labels, brittle.Minimal())
    within = int((alone.distance("l2") <= eps).sum())
    assert within >= 8
    found = brittle.attack(behind, given, labels, brittle.Standard(norm="l2", eps=eps, steps=1, targets=1, queries=1))
    assert int(found.fooled.sum()) >= within


@pytest.mark.parametrize(
    "method",
    [
        brittle.attacks.EightBit(attack=brittle.DeepFool()),
        brittle.attacks.BestOf(attacks=(brittle.attacks.EightBit(attack=brittle.DeepFool()),) * 2),
        brittle.attacks.Restarts(attack=brittle.attacks.EightBit(attack=brittle.DeepFool()), times=2),
    ],
)
def test_what_promises_whole_grey_levels_keeps_to_them_behind_what_rounds(method: brittle.Attack) -> None:
    classifier, x, *_ = _linear_behind_levels()
    x = (255 * x).round() / 255
    found = brittle.attack(classifier, x, classifier.logits(x).argmax(1), method)
    torch.testing.assert_close(255 * found.images, (255 * found.images).round(), rtol=0, atol=1e-4)


def test_attackers_of_what_is_drawn_claim_only_what_most_draws_confirm() -> None:
    torch.manual_seed(0)
    net = Network(nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4)))
    given = images(60)
    labels = net.logits(given).argmax(1)
    for step in (Noise(sd=0.3), Translate(pixels=1)):
        drawn = defended(net, step, seed=1)
        right = drawn.logits(given, plain=True).argmax(1) == labels
        found = brittle.attack(drawn, given[right], labels[right], brittle.DeepFool())
        confirmed = found.fooled[found.claimed].float().mean()
        assert int(found.claimed.sum()) > 10
        assert float(confirmed) > 0.65, "on the boundary of the mean it would be half of them"


def test_jpeg_before_a_real_network_keeps_few_images_right(real_data: Path) -> None:
    """An attack through a cube leaves 13 of 40 right."""
    bare = load_model("resnet20", weights=real_data / "weights" / "cifar10_resnet20.safetensors")
    examples = load_data(str(real_data / "cifar10-jpeg" / "test.parquet"), limit=40, fit=None)
    assert examples.labels is not None
    made = defended(bare, JPEG())
    found = brittle.attack(made, examples.images(0, 40), examples.labels, brittle.APGD(eps=2 / 255, steps=50))
    assert int((~found.fooled).sum()) <= 11


# ---- the figure


def given(position: int, source: str, attack: str, prediction: int, clean: int = 0) -> dict[str, Any]:
    """What was made for a model, given to the defended one."""
    return {
        "source": source,
        "target": "net + d",
        "attack": attack,
        "goal": "untargeted",
        "example": f"image {position}",
        "position": position,
        "label": 0,
        "wanted": None,
        "reject": None,
        "clean_prediction": clean,
        "norm": "linf",
        "size": None,
        "reached": True,
        "distance": 0.1,
        "prediction": prediction,
        "fooled": prediction != 0,
        "noise_distance": 0.1,
        "noise_prediction": 0,
        "noise_fooled": False,
    }


def manifest(*models: str, examples: int) -> Manifest:
    made = manifest_of(models=list(models), attacks=[STANDARD, SQUARE], examples=examples, transfer={})
    guarded = [
        one.model_copy(update={"defends": "net", "defences": ["d"], "passes": 7}) if one.name == "net + d" else one
        for one in made.models
    ]
    return made.model_copy(update={"models": guarded})


def records(fallen: dict[tuple[str, str], set[int]], models: list[str], examples: int, wrong: set[int]) -> pd.DataFrame:
    rows = []
    for model in models:
        for attack in (STANDARD.label, SQUARE.label):
            for k in range(examples):
                if model == "net + d" and k in wrong:
                    one = row(k, attack, clean=1)
                else:
                    one = row(k, attack, linf=0.1) if k in fallen.get((model, attack), set()) else failed(k, attack)
                rows.append(one | {"model": model})
    return table(rows)


class FakeRun:
    """Ten images, of which the defended model has the last wrong."""

    def __init__(self, *models: str, fallen: dict[tuple[str, str], set[int]], transfers: pd.DataFrame) -> None:
        self.manifest, self.transfers = manifest(*models, examples=10), transfers
        self.records = records(fallen, list(models), 10, {9})


def test_the_figure_is_the_worst_of_all_attackers_image_by_image() -> None:
    """Ten images; image 9 is wrong before. Unaware loses 0, aware 1 and 2, blind 3, transferred 4: four are left."""
    models = ["net", "net + d", "other"]
    fallen = {
        ("net", STANDARD.label): set(range(8)),
        ("net + d", STANDARD.label): {1, 2},
        ("net + d", SQUARE.label): {3},
    }
    rows = [given(k, "net", STANDARD.label, int(k == 0), clean=int(k == 9)) for k in range(10)]
    rows += [given(k, "other", STANDARD.label, int(k == 4), clean=int(k == 9)) for k in range(10)]
    rows += [given(k, "net + d", STANDARD.label, int(k in (1, 2)), clean=int(k == 9)) for k in range(10)]
    transfers = pa.Table.from_pylist(rows, schema=TRANSFERRED).to_pandas()
    every = every_sides(manifest(*models, examples=10), records(fallen, models, 10, {9}), transfers)
    judgement = judge_defences(every, NONE)
    (one,) = judgement.defences
    assert one.budget == Budget(norm="linf", eps=0.1)
    counts = {
        name: value.count for name in JudgedDefence.model_fields if isinstance(value := getattr(one, name), Measured)
    }
    assert counts == {
        "clean": 9,
        "clean_bare": 10,
        "robust_bare": 2,
        "unaware": 8,
        "aware": 7,
        "blind": 8,
        "transferred": 8,
        "figure": 4,
        "certified": None,
    }
    assert one.overstated == pytest.approx(0.4)
    assert one.passes == 7
    assert [(each.attack, each.unaware.count, each.aware.count) for each in judgement.alone] == [
        (STANDARD.label, 8, 7),
        (SQUARE.label, None, 8),
    ]
    gate, run = Gate.of(False, {"robust_accuracy": 0.5}), FakeRun(*models, fallen=fallen, transfers=transfers)
    asked = {one.where: one.measured.count for one in judged(gate, run).asked}  # type: ignore[arg-type]
    assert asked == {" of net, untargeted": 2, " of net + d, untargeted": 4, " of other, untargeted": 10}


def test_true_positives_are_counted_among_the_images_that_fall_without_the_detector() -> None:
    """Ten images, of which the bare model loses eight. Image 0 is refused when clean, so seven are attacked: unaware, 1
    gets through; aware by gradients 2 and 3, without 4."""
    models = ["net", "net + d", "other"]
    fallen = {
        ("net", STANDARD.label): set(range(8)),
        ("net + d", STANDARD.label): {2, 3},
        ("net + d", SQUARE.label): {4},
    }
    rows = [given(k, "net", STANDARD.label, 1 if k == 1 else 10, clean=10 if k == 0 else 0) for k in range(10)]
    rows = [one | {"fooled": one["prediction"] == 1} for one in rows]
    transfers = pa.Table.from_pylist(rows, schema=TRANSFERRED).to_pandas()
    seen = records(fallen, models, 10, set())
    seen.loc[(seen["model"] == "net + d") & (seen["position"] == 0), "clean_prediction"] = 10
    made = manifest(*models, examples=10)
    refusing = [one.model_copy(update={"reject": 10 if one.name == "net + d" else None}) for one in made.models]
    may_refuse = made.model_copy(update={"models": refusing})
    (one,) = judge_defences(every_sides(may_refuse, seen, transfers), NONE).detectors
    counts = [(rate.count, rate.of) for rate in (one.refused, one.unaware, one.aware, one.worst)]
    assert counts == [(1, 10), (6, 7), (5, 7), (3, 7)]
    untried = judge_defences(every_sides(may_refuse, seen, transfers[:0]), NONE).detectors
    assert (untried[0].unaware.value, untried[0].aware.count) == (None, 5)
    assert judge_defences(every_sides(made, seen, transfers), NONE).detectors == []  # none may refuse


def test_what_a_detector_refuses_on_its_way_to_a_class_is_caught() -> None:
    """Towards class 1: image 0 arrives there, image 1 elsewhere, image 2 is refused."""
    ends = (1, 2, 10)
    rows = [row(k, target=1, reject=10, adversarial=end, fooled=end == 1) for k, end in enumerate(ends)]
    assert judged_rows(table(rows))["lost"].tolist() == [True, True, False]

    models = ["net", "net + d"]
    seen = table([row(k, STANDARD.label, goal="to 1", target=1, model=model) for k in range(3) for model in models])
    passed = [
        given(k, "net", STANDARD.label, end) | {"goal": "to 1", "wanted": 1, "reject": 10, "fooled": end == 1}
        for k, end in enumerate(ends)
    ]
    made = manifest(*models, examples=3)
    may_refuse = [one.model_copy(update={"reject": 10 if one.name == "net + d" else None}) for one in made.models]
    made = made.model_copy(update={"models": may_refuse, "goals": ["to 1"]})
    transfers = pa.Table.from_pylist(passed, schema=TRANSFERRED).to_pandas()
    (one,) = judge_defences(every_sides(made, seen, transfers), NONE, [Budget(norm="linf", eps=0.1)]).detectors
    assert (one.unaware.count, one.unaware.of) == (1, 3)


def test_a_change_beyond_the_budget_counts_only_where_the_budget_is_larger() -> None:
    models = ["net", "net + d"]
    wide = table([one | {"model": model} for model in models for one in (row(0, STANDARD.label, linf=0.3),)])
    transfers = pa.Table.from_pylist([given(0, "net", STANDARD.label, 1)], schema=TRANSFERRED).to_pandas()
    every = every_sides(manifest(*models, examples=1), wide, transfers)
    small, large = judge_defences(every, NONE, [Budget(norm="linf", eps=eps) for eps in (0.2, 0.3)]).defences
    assert (small.unaware.count, small.aware.count, small.figure.count) == (1, 1, 1)
    assert (large.unaware.count, large.aware.count, large.figure.count) == (0, 0, 0)


def test_what_has_not_been_given_yet_is_not_held_to_withstand() -> None:
    """Of four images one has been given what was made for the bare model, which is right once it changes it."""
    models = ["net", "net + d"]
    transfers = pa.Table.from_pylist([given(0, "net", STANDARD.label, 1)], schema=TRANSFERRED).to_pandas()
    every = every_sides(manifest(*models, examples=4), records({}, models, 4, set()), transfers)
    (one,) = judge_defences(every, NONE).defences
    assert [(rate.count, rate.of) for rate in (one.unaware, one.figure, one.aware)] == [(0, 1), (0, 1), (1, 1)]


def test_all_defences_are_judged_within_the_same_budgets() -> None:
    """Of a norm with minimal attacks alone the budget is what fools half, of all models together."""
    models, walk = ["net", "net + d"], spec("deepfool", "minimal", "l2")
    sizes = {"net": 0.1, "net + d": 0.9}
    seen = table([row(k, walk.label, model=name, l2=sizes[name]) for k in range(4) for name in models])
    seen["l2"] = seen["l2"].where(seen["position"] > 0, 0.5)
    made = manifest(*models, examples=4).model_copy(update={"attacks": [walk]})
    budgets = {one.model.name: one.budgets for one in every_sides(made, seen, NONE_GIVEN, bare=True)}
    assert budgets["net"] == budgets["net + d"] == [Budget(norm="l2", eps=0.5)]


def test_nobody_has_tried_and_nothing_is_defended() -> None:
    models = ["net", "net + d"]
    every = every_sides(manifest(*models, examples=2), records({}, models, 2, set()), NONE_GIVEN)
    (one,) = judge_defences(every, NONE).defences
    assert (one.unaware.value, one.transferred.value, one.overstated) == (None, None, None)
    assert one.figure.count == 2
    bare = manifest_of(models=["net"], attacks=[STANDARD, SQUARE], examples=2)
    assert judge_defences(every_sides(bare, records({}, ["net"], 2, set()), NONE_GIVEN), NONE) == ([], [], [])
