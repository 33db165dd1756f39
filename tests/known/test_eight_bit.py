"""Levels: the best of all images of 8 bits near an image, by trying every one; and what a run says of them."""

import itertools
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import brittle
from brittle.attacks import FGSM, PGD, DeepFool, EightBit, Minimal
from brittle.data.given import as_examples
from brittle.errors import BrittleError
from brittle.geometry.levels import STEP, best_levels, is_8bit, to_8bit
from brittle.geometry.norms import L1, L2, LINF, Lp, Norm, inner
from brittle.goals import Untargeted
from brittle.measure.summary import summarize
from brittle.models import Network
from brittle.records import Manifest, image_file, read_manifest, read_records, shard_key
from brittle.rng import Rng
from brittle.run import engine
from brittle.run.sources import Sources
from brittle.studies.audit import Audit

PIXELS = 4
NORMS = [L1, L2, Lp(3.0), LINF]


def _two_classes(w: Tensor, gap: Tensor) -> Network:
    """The first class by ``gap - <w, x - x0>`` with x0 = 0: its logit over the other's."""
    layer = nn.Linear(len(w), 2)
    with torch.no_grad():
        layer.weight.copy_(torch.stack([-w, torch.zeros_like(w)]))
        layer.bias.copy_(torch.stack([gap, torch.zeros_like(gap)]))
    return Network(nn.Sequential(nn.Flatten(), layer))


def _smallest(norm: Norm, x: Tensor, w: Tensor, gap: float, reach: int) -> float:
    """The least distance of an image of 8 bits beyond the plane, of all within some levels of ``x``."""
    levels = torch.tensor(list(itertools.product(range(-reach, reach + 1), repeat=PIXELS))) * STEP
    images = to_8bit(x.view(1, -1) + levels)
    beyond = (images.double() @ w.double()) > gap
    return float(norm.measure((images - x.view(1, -1))[beyond].view(-1, 1, 2, 2)).min())


@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_the_best_image_of_8_bits_by_trying_all(norm: Norm) -> None:
    generator = torch.Generator().manual_seed(4)
    ratios = []
    for _ in range(8):
        x = to_8bit(0.4 + 0.2 * torch.rand(1, 1, 2, 2, generator=generator))
        w = torch.randn(PIXELS, generator=generator)
        gap = float(x.flatten() @ w) + 2.3 * STEP * float(w.abs().max())
        classifier, goal = _two_classes(w, torch.tensor(gap)), Untargeted(torch.tensor([0]))
        found = EightBit(attack=Minimal(norm=norm))(classifier, x, goal, rng=Rng(0, ("0",)))
        assert found.claimed.all()
        assert is_8bit(found.images).all()
        ratios.append(float(norm.measure(found.images - x)) / _smallest(norm, x, w, gap, 3))
    # The last item of a knapsack may be more than is missing; of four pixels that is much.
    assert min(ratios) > 1 - 1e-4
    assert sorted(ratios)[4] < 1.01
    assert max(ratios) < 1.35


def test_levels_are_the_best_by_gain_per_cost() -> None:
    x = to_8bit(torch.full((1, 1, 1, 4), 0.5))
    w = torch.tensor([[[[4.0, 2.0, 1.0, -3.0]]]])
    none, no_limit = torch.zeros(1), torch.tensor([torch.inf])
    at = x + STEP * torch.tensor([1.0, 0.0, 1.0, 0.0])
    # a level of the fourth value is worth 3, that of the third 1, and a second one of the first 4 for thrice the growth
    better = best_levels(L2, x, to_8bit(at), w, torch.tensor([1.9 * STEP]), no_limit)
    assert ((better - x) / STEP).round().flatten().tolist() == [1, 0, 0, -1]
    fewer = best_levels(L2, x, to_8bit(at), w, torch.tensor([-1.0 * STEP]), no_limit)
    assert ((fewer - x) / STEP).round().flatten().tolist() == [1, 0, 0, 0]
    kept = best_levels(L2, x, x, w, torch.tensor([9.0 * STEP]), torch.tensor([1.5 * STEP]))
    assert ((kept - x) / STEP).round().flatten().tolist() == [1, 0, 0, -1]
    assert torch.equal(best_levels(L2, x, x, w, none, no_limit), x)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_budgets_that_are_no_levels_are_kept(norm: str) -> None:
    generator = torch.Generator().manual_seed(5)
    x = to_8bit(torch.rand(6, 1, 4, 4, generator=generator))
    w = torch.randn(16, generator=generator)
    eps = {"linf": 2.7, "l2": 6.3, "l1": 20.4}[norm] * STEP
    dual = {"linf": w.abs().sum(), "l2": w.norm(), "l1": w.abs().max()}[norm]
    gap = (x.flatten(1) @ w).max() + 0.3 * eps * dual
    goal = Untargeted(torch.zeros(6, dtype=torch.int64))
    found = brittle.attack(_two_classes(w, gap), x, goal, PGD(norm=norm, eps=eps), levels=256)
    assert found.fooled.sum() >= 1
    assert torch.equal(found.fooled, found.fooled_8bit)
    assert found.distance(norm).max() <= eps
    assert is_8bit(found.images).all()
    assert not found.miscounted


def test_originals_between_the_levels_end_on_them() -> None:
    x = to_8bit(torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(6)).clamp(0.1, 0.9)) + 0.4 * STEP
    w = torch.arange(16.0) - 5
    goal = Untargeted(torch.tensor([0, 0, 1]))  # the last is met to begin with
    gap = (x.flatten(1) @ w).max() + 0.5
    found = brittle.attack(_two_classes(w, gap), x, goal, DeepFool(), levels=256)
    assert is_8bit(found.images).all()
    assert (found.fooled & found.claimed).all()
    assert torch.equal(found.images[2], to_8bit(x)[2])
    assert torch.allclose(found.distance("linf")[2], torch.tensor(0.4 * STEP), atol=1e-6)


def test_a_minimal_attack_is_charged_half_of_its_own_passes_at_the_most() -> None:
    generator = torch.Generator().manual_seed(7)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 8)
    classifier, x = Network(net), to_8bit(torch.rand(16, 1, 8, 8, generator=generator))
    goal = Untargeted(classifier.logits(x).argmax(1))
    rng = Rng(0, tuple(map(str, range(16))))
    own = Minimal()(classifier, x, goal, rng=rng)
    found = EightBit(attack=Minimal())(classifier, x, goal, rng=rng)
    assert found.claimed.all()
    assert ((found.forwards + found.backwards) <= 1.5 * (own.forwards + own.backwards)).all()
    gained = inner(own.images - x, own.images - x)
    assert (inner(found.images - x, found.images - x) <= 1.1 * gained + 64 * STEP**2).all()


def _run(out: Path, levels: int | None = None) -> tuple[Manifest, pd.DataFrame]:
    generator = torch.Generator().manual_seed(8)
    images, labels = to_8bit(torch.rand(6, 1, 4, 4, generator=generator)), torch.tensor([0] * 6)
    w = torch.randn(16, generator=generator)
    classifier = _two_classes(w, (images.flatten(1) @ w).max() + 0.02)
    sources = Sources.made_of({"plane": classifier}, {"plane": as_examples((images, labels))})
    engine.run(Audit(sources, [DeepFool(), FGSM(eps=0.03)], levels=levels), out=out)
    manifest = read_manifest(out)
    return manifest, read_records(out, manifest)


def test_a_run_of_8_bits_stores_what_it_graded_and_says_so(tmp_path: Path) -> None:
    manifest, records = _run(tmp_path / "run", levels=256)
    assert manifest.levels == 256
    assert [spec.label for spec in manifest.attacks] == ["deepfool", "fgsm(eps=0.03)"]
    assert records["fooled"].sum() > 6
    assert (records["fooled"] == records["fooled_8bit"]).all()
    view = next(manifest.views())
    for spec in manifest.attacks:
        (stored,) = load_file(tmp_path / "run" / image_file(shard_key(view.slug(spec), 0))).values()
        assert stored.dtype == torch.uint8
    assert "by 8-bit images" in " ".join(summarize(view, records).headline)
    with pytest.raises(BrittleError, match="levels: there 256; now None"):
        _run(tmp_path / "run")


def test_other_numbers_of_levels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BrittleError, match="expected levels as 256"):
        _run(tmp_path / "run", levels=16)
