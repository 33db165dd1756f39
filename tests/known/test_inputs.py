"""Contours, energies and textures: what is known of them by hand, and that they are part of a trained network."""

from pathlib import Path

import pytest
import torch

from brittle.api import run_spec
from brittle.data import load_data
from brittle.errors import BrittleError
from brittle.models import load_model
from brittle.models.fold import folded
from brittle.models.inputs.behind import INPUTS, Behind
from brittle.models.inputs.canny import Canny
from brittle.models.inputs.gabor import Gabor
from brittle.models.inputs.patterns import Patterns
from brittle.models.trainable import trainable
from brittle.models.trained import read_card
from brittle.studies.train import TrainSpec


def step(height: float, side: int = 16, at: int = 8) -> torch.Tensor:
    """Black on the left, brighter from a column on: float64 ``[1, 1, side, side]``."""
    image = torch.zeros(1, 1, side, side, dtype=torch.float64)
    image[..., at:] = height
    return image


def test_a_step_is_one_thin_line_where_it_is_high_enough_and_none_where_it_is_not() -> None:
    edges = Canny(0.2, 0.3)
    for image, turned in ((step(1.0), False), (step(1.0).mT, True)):
        found = edges(image).mT if turned else edges(image)
        assert found.sum() == 16
        assert (found[0, 0].sum(1) == 1).all()
        assert found[0, 0, 8].nonzero().item() in (7, 8)
    assert edges(step(0.45)).sum() == 0  # blurred by 1 pixel, a step keeps 0.647 of its gradient
    assert edges(step(0.48)).sum() == 16
    assert Canny(0.05, 0.1)(step(0.3)).sum() == 16


def test_a_weak_edge_stays_only_where_it_hangs_on_a_strong_one() -> None:
    fading = step(1.0) * torch.linspace(0.6, 0.32, 16, dtype=torch.float64).view(16, 1)  # gradients of 0.39 to 0.21
    found = Canny(0.2, 0.3)(fading)[0, 0]
    assert (found[:14].sum(1) == 1).all()
    assert Canny(0.2, 0.3)(fading[:, :, 10:]).sum() == 0  # the weak part alone


def test_the_slope_of_an_edge_leads_where_a_neighbour_outgrows_it() -> None:
    """Of a soft step the middle is the edge; it goes by a change of 0.18, where a slope that holds the thinning as it
    is needs 0.35, as much as takes the whole step down."""
    edges = Canny(0.2, 0.3)
    image = step(1.0)
    image[..., 7] = 0.5
    (place,) = edges(image)[0, 0, 8].nonzero().flatten().tolist()
    changed = image
    for _ in range(20):
        leaf = changed.clone().requires_grad_()
        (slope,) = torch.autograd.grad(edges(leaf)[0, 0, 8, place], leaf)
        changed = changed - 0.01 * slope.sign()
        if not edges(changed)[0, 0, 8, place]:
            return
    pytest.fail("after a change of 0.2 the edge is there still")


def test_a_small_change_draws_no_robust_edge_where_it_draws_others() -> None:
    generator = torch.Generator().manual_seed(0)
    change = 0.12 * torch.randn(1, 1, 16, 16, generator=generator, dtype=torch.float64).sign()
    flat = torch.full_like(change, 0.5)
    assert Canny(0.2, 0.3)(flat + change).sum() == 0
    assert Canny(0.05, 0.1)(flat + change).sum() > 0


def test_energies_are_of_their_direction_whatever_the_phase_and_of_nothing_flat() -> None:
    places = torch.arange(32, dtype=torch.float64)
    for phase in (0.0, 0.7, 1.6):
        stripes = (0.5 + 0.5 * (torch.pi / 2 * places + phase).cos()).expand(1, 1, 32, 32)
        upright, _, lying, _ = Gabor()(stripes)[0, :, 16, 16].tolist()
        assert upright > 0.9 and lying < 0.1
        assert Gabor()(stripes.mT)[0, 2, 16, 16] > 0.9
    assert Gabor()(torch.full((1, 1, 9, 9), 0.7, dtype=torch.float64)).max() < 0.011


def test_patterns_of_nine_pixels_by_hand() -> None:
    image = torch.tensor([[0.5, 0.4, 0.9], [0.1, 0.5, 0.55], [0.7, 0.5, 0.3]], dtype=torch.float64)[None, None]
    # From the right neighbour on, clockwise: 0.55, 0.3, 0.5, 0.7, 0.1, 0.5, 0.4, 0.9
    assert Patterns(0.0)(image)[0, :, 1, 1].tolist() == [1, 0, 1, 1, 0, 1, 0, 1]
    assert Patterns(0.1)(image)[0, :8, 1, 1].tolist() == [0, 0, 0, 1, 0, 0, 0, 1]
    assert Patterns(0.1)(image)[0, 8:, 1, 1].tolist() == [0, 1, 0, 0, 1, 0, 0, 0]


def test_a_grey_offset_changes_no_input_but_the_image() -> None:
    image = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(2), dtype=torch.float64) / 2
    for name, (_, made) in INPUTS.items():
        same = torch.allclose(made()(image), made()(image + 0.25), atol=1e-6)
        assert same == (name != "image"), name


@pytest.mark.parametrize("inputs", [*(name for name in INPUTS if name != "image"), "image+edges+energies"])
def test_inputs_are_exact_forwards_and_have_a_slope_and_are_folded(inputs: str) -> None:
    net = trainable(f"resnet20@{inputs}").build(10).eval()
    assert isinstance(net, Behind)
    blocks = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(3)).round()
    images = blocks.repeat_interleave(4, 2).repeat_interleave(4, 3).requires_grad_()
    logits = net(images)
    (slope,) = torch.autograd.grad(logits.sum(), images)
    assert (slope.flatten(1).abs().amax(1) > 0).all()
    with torch.no_grad():
        assert torch.equal(net(images), logits)
        assert torch.allclose(net(images[2:3]), logits[2:3], atol=1e-5)
    fast = folded(net)
    assert fast is not None and torch.allclose(fast(images), logits, atol=1e-4)


def test_inputs_are_the_same_in_half_precision() -> None:
    net, seen = trainable("mnist-cnn@binary-patterns+edges").build(10).eval(), []
    assert isinstance(net, Behind)
    net.net.register_forward_pre_hook(lambda _module, given: seen.append(given[0].float()))
    images = load_data("planted:line:digits", limit=4).images(0, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
    with torch.no_grad():
        net(images)
        with torch.autocast("cpu", torch.bfloat16):
            net(images)
    assert torch.equal(*seen)


def test_a_trained_run_brings_its_inputs_with_it(tmp_path: Path) -> None:
    asked = {"recipe": "standard,epochs=2,batch=32,peak_rate=0.05,flip=no,shift=0", "precision": "fp32", "limit": 200}
    spec = TrainSpec(architectures=["digits-cnn@image+edges"], data="digits", **asked)  # type: ignore[arg-type]
    run_spec(spec, out=tmp_path)
    card = read_card(tmp_path / "models/digits-cnn@image+edges-seed-0.json")
    assert (card.makings.mean, card.makings.std) == ([0.0], [1.0])  # pixels, whatever the recipe normalises by
    loaded = load_model(f"run:{tmp_path}")
    assert isinstance(loaded.net, Behind)  # type: ignore[attr-defined]
    assert [type(one).__name__ for one in loaded.net.inputs] == ["Identity", "Canny"]  # type: ignore[attr-defined]


def test_each_input_stands_once() -> None:
    with pytest.raises(BrittleError, match="expected different inputs, got edges 2 times"):
        trainable("mnist-cnn@edges+edges")
