"""Operator norms, slopes and bounds against dense matrices, closed forms and finite differences."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from brittle.errors import BrittleError
from brittle.explain.amplification import amplified
from brittle.explain.bounds import bounds_of
from brittle.explain.factors import SLOPES, factor_of
from brittle.explain.lanczos import jacobian_norm
from brittle.models import Network


def dense_norm(module: nn.Module, inputs: Tensor) -> float:
    """The largest singular value of the matrix that a layer is, built column by column in float64."""
    twin = module.double()
    basis = torch.eye(inputs.numel(), dtype=torch.float64).view(-1, *inputs.shape[1:])
    with torch.no_grad():
        columns = twin(basis) - twin(torch.zeros_like(basis))
    value = float(torch.linalg.matrix_norm(columns.flatten(1), 2))
    module.float()
    return value


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Linear(30, 17), (30,)),
        (nn.Linear(1100, 1030), (1100,)),
        (nn.Conv2d(3, 8, 3), (3, 9, 9)),
        (nn.Conv2d(3, 8, 3, padding=1), (3, 9, 8)),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1), (4, 9, 9)),
        (nn.Conv2d(4, 8, 5, stride=3, padding=2, bias=False), (4, 11, 7)),
        (nn.Conv2d(4, 8, 3, groups=4, padding=1), (4, 8, 8)),
        (nn.Conv2d(4, 6, 3, groups=2, dilation=2, padding=2), (4, 9, 9)),
        (nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"), (2, 8, 8)),
        (nn.Conv2d(2, 4, 3, padding="same", padding_mode="reflect", dilation=2), (2, 8, 8)),
        (nn.Conv2d(2, 4, 11, stride=4, padding=2), (2, 27, 27)),
        (nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1), (4, 5, 5)),
        (nn.Conv1d(3, 5, 4, stride=2), (3, 20)),
        (nn.AvgPool2d(3, stride=2, padding=1), (2, 8, 8)),
        (nn.AdaptiveAvgPool2d(1), (3, 6, 6)),
    ],
    ids=str,
)
def test_a_layers_norm_is_the_largest_singular_value_of_its_matrix(module: nn.Module, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    inputs = torch.randn(1, *shape)
    found, said = factor_of(module, inputs)
    assert said == ""
    assert found == pytest.approx(dense_norm(module, inputs), rel=1e-4 / 4)
    assert all(one.requires_grad and one.grad is None for one in module.parameters())


_OTHERS = (nn.Unflatten, nn.Softmax, nn.Dropout2d)  # no curve of one number, and what refuses one


@pytest.mark.parametrize("kind", [kind for kind in SLOPES if kind not in _OTHERS])
def test_a_slope_is_the_steepest_of_its_curve(kind: type[nn.Module]) -> None:
    at = torch.linspace(-8, 8, 160_001, dtype=torch.float64, requires_grad=True)
    (slopes,) = torch.autograd.grad(kind().eval()(at.unsqueeze(0)).sum(), at)
    steepest = float(slopes.abs().max())
    assert SLOPES[kind] * (1 - 1e-3) <= steepest <= SLOPES[kind] * (1 + 1e-7)


def test_other_factors_in_closed_form() -> None:
    image = torch.zeros(1, 2, 8, 8)
    norm = nn.BatchNorm2d(2, eps=0.0)
    norm.running_var = torch.tensor([4.0, 0.25])
    norm.weight.data = torch.tensor([-10.0, 2.0])
    assert factor_of(norm, image) == (5.0, "")
    assert factor_of(nn.MaxPool2d(2), image) == (1.0, "")
    assert factor_of(nn.MaxPool2d(3, 2), image) == (2.0, "")  # a pixel in four windows, of which it is the largest
    assert factor_of(nn.MaxPool2d((3, 2), (1, 2)), image) == (math.sqrt(3), "")
    assert factor_of(nn.Softmax(1), image) == (0.5, "")
    assert factor_of(nn.LeakyReLU(0.1), image) == (1.0, "")
    assert factor_of(nn.LayerNorm(8), image) == (None, "a LayerNorm has neither a matrix nor a slope that is known")
    still = nn.BatchNorm2d(2, track_running_stats=False)
    assert factor_of(still, image) == (None, "a batch norm without running statistics has no fixed scale")


def test_overlapping_windows_really_double_a_change() -> None:
    pool, image = nn.MaxPool2d(3, 2), torch.zeros(1, 1, 5, 5)
    changed = image.clone()
    changed[0, 0, 2, 2] = 1.0  # the one pixel that all four windows hold
    assert float((pool(changed) - pool(image)).norm()) == 2.0


class Branched(nn.Module):
    """y = relu(A x) + B x, beside C x; functions between the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.last = (nn.Linear(4, 4, bias=False) for _ in range(4))
        for layer, scale in zip((self.a, self.b, self.c, self.last), (2.0, 3.0, 12.0, 1.0), strict=True):
            layer.weight.data = scale * torch.eye(4)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.flatten(images, 1) * 2
        together = torch.cat([F.relu(self.a(x)) + self.b(x), self.c(x)], 1)
        logits: Tensor = self.last(together[:, :4] / 4)
        return logits


def test_bounds_follow_the_paths() -> None:
    found = {one.name: one for one in bounds_of(Network(Branched(), mean=[0.0], std=[0.5]), torch.rand(1, 1, 2, 2))}
    assert found["normalisation"].through == 2.0
    through = {name: found[name].through for name in ("a", "b", "c", "last")}
    # 2 / std; then 2 and 3 added, 12 beside them by squares, and a quarter of it.
    assert through == pytest.approx({"a": 8.0, "b": 12.0, "c": 48.0, "last": math.hypot(20.0, 48.0) / 4})


class Written(nn.Module):
    """The same operations as functions, each with another trap for a bound."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.last = what, nn.Linear(16, 2, bias=False)
        self.last.weight.data = torch.eye(2, 16)

    def forward(self, images: Tensor) -> Tensor:
        made: dict[str, Callable[[Tensor], Tensor]] = {
            "twice": lambda x: x + x,
            "beside": lambda x: torch.cat([x, x], 1)[:, :1],
            "pool": lambda x: F.pad(F.max_pool2d(x, 3, 2, 1), (0, 2, 0, 2)),
            "scaled": lambda x: 3 * x,
            "pad": lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate")[:, :, 1:5, 1:5],
            "gated": lambda x: x * x.mean(),
            "spread": lambda x: x.mean((2, 3), keepdim=True) + x,
            "alpha": lambda x: torch.add(x, x, alpha=9),
        }
        x = made[self.what](images)
        logits: Tensor = self.last(x.flatten(1))
        return logits


@pytest.mark.parametrize(
    ("what", "bound"),
    [("twice", 2), ("beside", math.sqrt(2)), ("pool", 2), ("scaled", 3), ("pad", 2), ("gated", None), ("spread", None),
     ("alpha", None)],
)  # fmt: skip
def test_functions_between_layers_are_never_taken_for_less_than_they_do(what: str, bound: float | None) -> None:
    found = bounds_of(Network(Written(what)), torch.rand(1, 1, 4, 4))[-1]
    assert found.through == (None if bound is None else pytest.approx(bound, rel=1e-5))
    assert (found.said != "") == (bound is None)


class Ending(nn.Module):
    """What no layer has the last word on."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how, self.scale = how, nn.Parameter(torch.tensor(5.0))
        self.a, self.b = (nn.Linear(4, 4, bias=False) for _ in range(2))
        self.a.weight.data, self.b.weight.data = 2 * torch.eye(4), 3 * torch.eye(4)

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        made: dict[str, Callable[[], Tensor]] = {
            "scaled": lambda: self.scale * self.a(x),
            "added": lambda: self.a(x) + self.b(x),
            "beside": lambda: torch.cat([self.a(x), self.b(x)], 1),
            "spread": lambda: self.a(x) + x.sum(1, keepdim=True),
        }
        return made[self.how]()


@pytest.mark.parametrize(
    ("how", "bound"), [("scaled", 10.0), ("added", 5.0), ("beside", math.sqrt(13)), ("spread", None)]
)
def test_the_logits_have_a_bound_of_their_own(how: str, bound: float | None) -> None:
    network, image = Network(Ending(how)), torch.rand(1, 1, 2, 2)
    found = bounds_of(network, image)[-1]
    assert found.name == "logits"
    assert found.through == (None if bound is None else pytest.approx(bound, rel=1e-5))
    assert (found.said != "") == (bound is None)
    assert bound is None or jacobian_norm(network.plain, image) <= bound * (1 + 1e-5)


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.norm, self.last = nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        logits: Tensor = self.last(self.norm(x) + x)
        return logits


class Deciding(Attentive):
    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        logits: Tensor = self.last(self.gate(x) if images.sum() > 0 else x)
        return logits


def test_where_there_is_no_bound_a_line_says_why() -> None:
    found = bounds_of(Network(Attentive()), torch.rand(1, 1, 2, 2))
    assert [(one.name, one.through) for one in found] == [("norm", None), ("last", None), ("logits", None)]
    assert found[1].own is not None
    assert {one.said for one in found} == {"a LayerNorm has neither a matrix nor a slope that is known"}
    with pytest.raises(BrittleError, match=r"expected a network of which the layers' order can be read"):
        bounds_of(Network(Deciding()), torch.rand(1, 1, 2, 2))


def test_szegedys_sigmoid_counts_a_quarter() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2))
    norms = [float(torch.linalg.matrix_norm(one.detach(), 2)) for one in net.parameters() if one.ndim == 2]
    assert bounds_of(Network(net), torch.rand(1, 1, 2, 2))[-1].through == pytest.approx(math.prod(norms) / 16, rel=1e-5)


def test_the_jacobian_is_below_the_bound_and_equals_its_matrix() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(64, 10),
    ).eval()  # fmt: skip
    network = Network(net, mean=[0.5], std=[0.25])
    image = torch.rand(1, 1, 8, 8)
    matrix = torch.func.jacrev(network.plain)(image).view(10, 64).detach()
    norm = jacobian_norm(network.plain, image)
    assert norm == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)), rel=1e-4)
    bound = bounds_of(network, image)[-1].through
    assert bound is not None
    changed = image + 1e-3 * torch.randn(5, 1, 8, 8)
    measured = amplified(network, image, changed, ["0"])
    assert measured[:, 1].max() <= norm * 1.01 <= bound
    direct = (network.plain(changed) - network.plain(image)).norm(dim=1) / (changed - image).flatten(1).norm(dim=1)
    torch.testing.assert_close(measured[:, 1].float(), direct, rtol=1e-3, atol=1e-4)
