"""Analysis by synthesis: the search against a closed form, its gradient, and what learns from what."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from brittle.errors import BrittleError
from brittle.models.architectures.mlp import MLP
from brittle.models.architectures.synthesis import OneForEach, Synthesis
from brittle.models.network import Network
from brittle.models.trainable import trainable
from brittle.train.classifier import initialised
from brittle.train.synthesis import AnalysisBySynthesis, Autoencoders, by_class
from known.test_codes import batch

pytestmark = pytest.mark.usefixtures("one_thread")


def small(steps: int = 20) -> Synthesis:
    net = initialised(lambda: Synthesis(64, 4, [32], starts=50, steps=steps), 0)
    assert isinstance(net, Synthesis)
    with torch.no_grad():  # so that what decoders make differs by far between codes, and between classes
        for one in net.decoders.parameters():
            one.mul_(4)
    return net


def images(count: int) -> Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(3))


def test_where_decoders_are_linear_the_search_finds_the_maximum_in_closed_form() -> None:
    """``max_z -|x - Wz - b|^2 - |z|^2 / 2 = -(x - b)' (I + 2 W W')^-1 (x - b)``."""
    net = small(steps=60)
    linear = OneForEach(10, 4, 64)
    net.decoders = nn.Sequential(linear)
    pixels = images(6).flatten(1)
    off = (pixels - linear.bias).double()
    weight = linear.weight.double()
    inverse = (torch.eye(64) + 2 * weight.mT @ weight).inverse()
    exact = -torch.einsum("kbi,kij,kbj->bk", off, inverse, off)
    assert torch.allclose(net(images(6)).double(), exact, rtol=1e-4)


def test_a_logits_gradient_leads_to_what_its_decoder_makes_of_the_image() -> None:
    """By the envelope theorem it is ``-2 temperature (x - G(z))``: the way that the paper's latent descent goes."""
    net, x = small(), images(5)
    with torch.no_grad():
        net.tempered.temperatures[7] = 1.5
    _, gradient = Network(net).gradient(x, lambda logits: logits[:, 7])
    made = net.decoders(net.codes(x.flatten(1)))[7]
    assert torch.allclose(x.flatten(1) + gradient.flatten(1) / 3, made, atol=1e-5)


def test_more_steps_and_more_starts_only_help() -> None:
    x = images(20)
    none, few, many = (small(steps)(x).mean().item() for steps in (0, 5, 20))
    assert none + 0.1 < few < many
    net = small(0)
    assert net(x).mean().item() == pytest.approx(none)
    net.starts = net.starts[:5]
    assert net(x).mean().item() + 0.1 < none


def test_a_changed_weight_is_seen() -> None:
    net, x = small(0), images(3)
    before = net(x)
    with torch.no_grad():
        next(net.decoders.parameters()).zero_()
    codes = net.codes(x.flatten(1))
    assert not torch.equal(net(x), before)
    assert torch.equal(codes, net.starts[net.starts.norm(dim=1).argmin()].expand_as(codes))  # all make the same now


def test_rows_go_to_their_classes() -> None:
    rows, labels = torch.arange(10.0).view(5, 2), torch.tensor([2, 0, 2, 2, 0])
    sorted_, there = by_class(rows, labels, 3)
    assert there.tolist() == [[True, True, False], [False] * 3, [True] * 3]
    assert torch.equal(sorted_[there], rows[[1, 4, 0, 2, 3]])


def test_the_loss_is_minus_the_evidence_bound_by_the_labels_own_autoencoder() -> None:
    net, some = small(), batch(12)
    both = Autoencoders(net)
    with torch.no_grad():
        for one in both.encoders[-1].parameters():
            one[..., 4:] = -40.0 if one.shape[1] == 1 else 0.0  # no spread: draws are means
    by_hand = []
    for image, label in zip(some.images.flatten(1), some.labels, strict=True):
        mean, _ = both.encoders(image.expand(10, 1, -1))[label].squeeze(0).chunk(2)
        made = net.decoders(mean.expand(10, 1, -1))[label].squeeze(0)
        likely = -functional.gaussian_nll_loss(made, image, torch.tensor(0.5), full=True, reduction="sum")
        apart = kl_divergence(Normal(mean, math.exp(-20)), Normal(0.0, 1.0)).sum()
        by_hand.append(apart - likely - 32 * math.log(math.pi))  # without the constants of a variance of 1/2
    lost = both(some.images, some.labels)
    assert lost.item() == pytest.approx(torch.stack(by_hand).mean().item(), rel=1e-5)


def test_a_decoder_learns_from_its_own_class_and_temperatures_from_all() -> None:
    net = small()
    task = AnalysisBySynthesis().task(net)
    some = batch(12)
    some = some._replace(labels=torch.full_like(some.labels, 3))
    first, second = task.moves(task.networks, some)
    torch.autograd.backward(first.loss)
    assert net.tempered.temperatures.grad is None
    for one in net.decoders.parameters():
        assert one.grad is not None
        assert one.grad.flatten(1).abs().amax(1).nonzero().flatten().tolist() == [3]
        one.grad = None
    torch.autograd.backward(second.loss)
    assert net.tempered.temperatures.grad is not None
    assert bool((net.tempered.temperatures.grad != 0).all())
    assert all(one.grad is None for one in net.decoders.parameters())


def test_the_recipe_wants_decoders_and_these_their_recipe() -> None:
    with pytest.raises(BrittleError, match=r"expected decoders .* such as synthesis-mnist, got MLP"):
        AnalysisBySynthesis().task(MLP(64, []))
    assert isinstance(trainable("synthesis-mnist").build(10), Synthesis)
