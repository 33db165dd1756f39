"""Certificates against closed forms, exact answers of tiny networks, and attacks."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from brittle.data import load_data
from brittle.errors import BrittleError
from brittle.explain.chain import Chain, chain_of
from brittle.explain.crown import Around, Ball, certified_radius, crown, ibp
from brittle.explain.lipsdp import lipsdp, product_constant, solved
from brittle.models import Network, load_weights
from brittle.studies.certify import Proofs, check_order


def dense(*sizes: int, seed: int = 0, act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Flatten()]
    for number, (before, after) in enumerate(itertools.pairwise(sizes)):
        layers += [*([act()] if number else []), nn.Linear(before, after)]
    return nn.Sequential(*layers).eval()


def chain(net: nn.Module, shape: tuple[int, ...] = (1, 1, 2)) -> Chain:
    return chain_of(Network(net), torch.zeros(1, *shape))


def true_radius(net: nn.Module, pixels: Tensor, label: int, norm: Ball, side: int = 401) -> float:
    """The distance of the nearest point of another class on a fine grid of the square of all two-pixel images."""
    axis = torch.linspace(0, 1, side, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        others = net.double()(grid.view(-1, 1, 1, 2)).argmax(1) != label
    away = grid[others] - pixels
    net.float()
    distance = away.abs().amax(1) if norm == "linf" else away.norm(dim=1)
    return float(distance.min()) if len(distance) else math.inf


class TwoHeads(nn.Module):
    """The logits, or them behind another layer, are computed before a head that is not returned."""

    def __init__(self, *, uses: bool) -> None:
        super().__init__()
        self.uses, self.body, self.head, self.other = uses, nn.Linear(2, 5), nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.body(images.flatten(1)))
        logits: Tensor = self.head(x)
        aside = self.other(x)
        return logits + 0 * aside if self.uses else logits


@pytest.mark.parametrize("uses", [False, True])
def test_what_is_certified_is_what_is_returned(uses: bool) -> None:
    torch.manual_seed(0)
    net = TwoHeads(uses=uses)
    found, pixels = chain(net), torch.rand(2, dtype=torch.float64)
    hidden = torch.relu(found.weights[0] @ pixels + found.biases[0])
    logits = (found.weights[1] @ hidden + found.biases[1]).float()
    assert torch.allclose(logits, net(pixels.float().view(1, 1, 1, 2))[0], atol=1e-5)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("seed", range(4))
def test_certified_is_below_true_for_every_tiny_network(norm: Ball, seed: int) -> None:
    net = dense(2, 7, 6, 3, seed=seed)
    proofs = Proofs(chain(net), norm)
    found = {name: list[float]() for name in ("ibp", "crown", *proofs.constants)}
    for pixels in torch.rand(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)):
        label = int(net(pixels.view(1, 1, 1, 2).float()).argmax())
        true = true_radius(net, pixels, label, norm)
        radii = proofs.radii(pixels, label, 1.0)
        for name, radius in radii.items():
            assert radius <= true + 1e-9 or true == math.inf
            found[name].append(min(1.0, radius) / min(1.0, true))
        assert radii["crown"] >= radii["ibp"] - 1e-3
        if norm == "l2":
            assert radii["lipsdp"] >= radii["product"] * (1 - 1e-9)
    assert sum(found["crown"]) / 12 > 0.5  # and no empty promise: more than half of what is true


def test_a_linear_network_is_certified_to_its_exact_distance() -> None:
    net = dense(2, 2)
    w = (net[1].weight[0] - net[1].weight[1]).detach().double()  # type: ignore[index]
    b = (net[1].bias[0] - net[1].bias[1]).detach().double()  # type: ignore[index]
    pixels = torch.tensor([0.5, 0.5], dtype=torch.float64)
    gap = float(w @ pixels + b)
    label = 0 if gap > 0 else 1
    for norm, size in (("l2", w.norm()), ("linf", w.abs().sum())):
        for bound in (ibp, crown):
            radius = certified_radius(bound, chain(net), pixels, label, norm, 0.45)  # type: ignore[arg-type]
            assert radius == pytest.approx(min(0.45, abs(gap) / float(size)), abs=1e-4)
    assert float(lipsdp(chain(net))[0, 1]) == pytest.approx(float(w.norm()))


def test_crown_is_exact_where_no_unit_is_in_doubt_and_sound_on_random_points() -> None:
    net, generator = dense(2, 16, 16, 3, seed=5), torch.Generator().manual_seed(0)
    found = chain(net)
    for eps, norm in itertools.product((0.02, 0.1, 0.4), ("l2", "linf")):
        pixels = torch.rand(2, dtype=torch.float64, generator=generator)
        below = crown(found, Around(pixels, eps, norm), 0)  # type: ignore[arg-type]
        steps = torch.rand(4000, 2, dtype=torch.float64, generator=generator) * 2 - 1
        if norm == "l2":
            steps = steps[steps.norm(dim=1) <= 1]
        points = (pixels + eps * steps).clamp(0, 1)
        logits = net.double()(points.view(-1, 1, 1, 2))
        net.float()
        least = (logits[:, :1] - logits[:, 1:]).amin(0)
        assert (below <= least + 1e-12).all()
        if eps == 0.02 and norm == "linf":
            assert (least - below).max() < 0.05 * (logits.max() - logits.min())


def test_the_matrices_of_a_convolution_are_those_of_the_network() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, 2), nn.AvgPool2d(2),
        nn.Sigmoid(), nn.Flatten(), nn.Linear(4, 3),
    ).eval()  # fmt: skip
    net[1].running_var = torch.tensor([0.5, 2.0, 3.0])
    network, images = Network(net, mean=[0.3], std=[0.2]), torch.rand(5, 1, 7, 7)
    found = chain_of(network, images[:1])
    assert (found.activations, found.hidden) == (("relu", "sigmoid"), 48 + 4)
    values = images.double().flatten(1)
    for weight, bias, act in zip(found.weights, found.biases, (torch.relu, torch.sigmoid, None), strict=True):
        values = values @ weight.T + bias
        values = values if act is None else act(values)
    torch.testing.assert_close(values.float(), network.plain(images).detach(), rtol=1e-5, atol=1e-6)


class Skipping(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.last = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        logits: Tensor = self.last(x + self.inner(x).relu())
        return logits


@pytest.mark.parametrize(
    ("net", "why"),
    [
        (nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1, 2)), "0 is a MaxPool2d"),
        (Skipping(), "add leads around an activation"),
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2)), "2 is a GELU"),
    ],
)
def test_a_network_without_a_chain_is_refused_in_one_line(net: nn.Module, why: str) -> None:
    with pytest.raises(BrittleError, match=f"expected a chain of affine layers .*: {why}; no certificate"):
        chain(net, (1, 2, 2))


def test_lipsdp_knows_that_the_two_sides_of_an_absolute_value_do_not_add_up() -> None:
    """|x| = relu(x) + relu(-x) has the constant 1; the product of the norms says 2."""
    net = dense(1, 2, 2)
    net[1].weight.data, net[1].bias.data = torch.tensor([[1.0], [-1.0]]), torch.zeros(2)
    net[3].weight.data = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    found = chain(net, (1, 1, 1))
    assert product_constant(found) == pytest.approx(2.0)
    assert 1.0 <= float(lipsdp(found)[0, 1]) < 1.01


@pytest.mark.parametrize("act", [nn.ReLU, nn.Sigmoid])
def test_lipsdp_proves_what_it_says(act: type[nn.Module]) -> None:
    """Its multipliers make the whole matrix of the theorem positive semidefinite, and no slope is steeper."""
    net = dense(5, 8, 6, 3, seed=1, act=act)
    found = chain(net, (1, 1, 5))
    ends = (found.weights[-1][:1] - found.weights[-1][1:2]).unsqueeze(0)
    proof = solved(found, ends)
    slope = 0.25 if act is nn.Sigmoid else 1.0
    rho, (first, second) = float(proof.squared[0]), (one[0] for one in proof.layers)
    inner, last = found.weights[1] * slope, ends[0] * slope
    matrix = torch.zeros(19, 19, dtype=torch.float64)
    matrix[:5, :5] = rho * (1 + 1e-9) * torch.eye(5)
    matrix[5:13, 5:13], matrix[13:, 13:] = 2 * first.diag(), 2 * second.diag() - last.T @ last
    matrix[5:13, :5], matrix[13:, 5:13] = -first.diag() @ found.weights[0], -second.diag() @ inner
    matrix = matrix.tril() + matrix.tril(-1).T
    assert float(torch.linalg.eigvalsh(matrix)[0]) > -1e-8
    points = torch.randn(200, 1, 1, 5).requires_grad_()
    logits = net(points)
    (slopes,) = torch.autograd.grad((logits[:, 0] - logits[:, 1]).sum(), points)
    assert float(slopes.flatten(1).norm(dim=1).max()) <= math.sqrt(rho) < 0.9 * math.sqrt(2) * product_constant(found)


def test_a_certificate_that_an_attack_contradicts_is_an_error() -> None:
    check_order("7", "crown", 0.1, 0.1)
    with pytest.raises(BrittleError, match=r"example '7' is certified to 0.100 by crown, and an attack .* at 0.0990"):
        check_order("7", "crown", 0.1, 0.099)


def test_a_network_trained_to_be_provable_is_proven(real_data: Path) -> None:
    """Wong and Kolter's MNIST network, trained for 0.1 in L-infinity."""
    net = nn.Sequential(
        nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 4, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(32 * 7 * 7, 100), nn.ReLU(), nn.Linear(100, 10),
    )  # fmt: skip
    load_weights(net, real_data / "weights" / "mnist_wong_0_1.safetensors")
    data = load_data(str(real_data / "mnist" / "test.parquet"), limit=12)
    found = chain_of(Network(net), data.images(0, 1))
    assert data.labels is not None
    images, labels = data.images(0, 12).double().flatten(1), data.labels.tolist()
    around = [Around(one, 0.1, "linf") for one in images]
    proven = [bool((crown(found, one, label) > 0).all()) for one, label in zip(around, labels, strict=True)]
    by_intervals = [bool((ibp(found, one, label) > 0).all()) for one, label in zip(around, labels, strict=True)]
    assert sum(proven) >= 10
    assert sum(by_intervals) < sum(proven)
