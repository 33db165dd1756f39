"""A network as a chain of matrices and activations, which certificates are computed on."""

import copy
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, final

import torch
from torch import Tensor, fx, nn

from brittle.errors import BrittleError
from brittle.explain.factors import AFFINE
from brittle.models.network import Network
from brittle.types import Images

MOST = 40_000_000
"""Entries that the matrices may have together: 320 MB."""

_STILL = (nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d, nn.Unflatten)
_ACTIVATIONS = {nn.ReLU: "relu", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}
_CALLED = {"relu": "relu", "relu_": "relu", "sigmoid": "sigmoid", "tanh": "tanh"}
_LINEAR = frozenset(
    (
        *("add", "iadd", "sub", "isub", "mul", "imul", "truediv", "cat", "mean", "avg_pool2d", "pad", "dropout"),
        *("flatten", "view", "reshape", "permute", "transpose", "squeeze", "unsqueeze", "contiguous"),
        *("size", "getitem", "getattr"),
    )
)
_CLOSE = 1e-9


@final
@dataclass(frozen=True, slots=True)
class Chain:
    """``x -> W_n a(... a(W_0 x + b_0) ...) + b_n`` of pixels in [0, 1]; the normalisation is part of W_0.

    weights: float64 ``[n_k, n_(k - 1)]``, biases ``[n_k]``; activations: one fewer: "relu", "sigmoid", "tanh".
    """

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    activations: tuple[str, ...]

    @property
    def hidden(self) -> int:
        """Units between the pixels and the logits."""
        return sum(len(bias) for bias in self.biases[:-1])


def chain_of(network: Network, image: Images) -> Chain:
    """The matrices of a network whose layers follow one another, for images of the shape of ``image`` ``[1, C, H, W]``.

    Whatever is affine between two activations is one matrix: convolutions, batch norms, pooling by means. BrittleError
    for networks that have anything else (max pooling, products), that lead around an activation, or whose matrices
    would be larger than ``MOST``.
    """
    try:
        traced = fx.symbolic_trace(copy.deepcopy(network.net).eval().double().requires_grad_(False))
    except Exception as error:  # tracing runs the user's code
        _refuse(network, f"its path cannot be read ({type(error).__name__})")
    traced.graph.eliminate_dead_code()
    segments, activations = _segments(network, traced)
    weights, biases, entries = list[Tensor](), list[Tensor](), 0
    shape = image.shape[1:]
    for number, nodes in enumerate(segments):
        piece = _Piece(network, traced, nodes, first=number == 0)
        zeros = torch.zeros(1, *shape, dtype=torch.float64, device=image.device)
        with torch.no_grad():
            offset = piece(zeros)
            entries += offset.numel() * zeros.numel()
            if entries > MOST:
                _refuse(network, f"its matrices have more than {MOST:,} entries")
            columns = [
                piece(one.view(-1, *shape)) - offset for one in torch.split(torch.eye(zeros.numel()).to(zeros), 256)
            ]
            matrix = torch.cat(columns).flatten(1).T.contiguous()
            trial = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)).to(zeros)
            exact = trial.flatten(1) @ matrix.T + offset.flatten(1)
            if not torch.allclose(piece(trial).flatten(1), exact, rtol=_CLOSE, atol=_CLOSE * float(exact.abs().max())):
                _refuse(network, "what stands between its activations is not affine")
        weights.append(matrix)
        biases.append(offset.flatten())
        shape = offset.shape[1:]
    return Chain(tuple(weights), tuple(biases), tuple(activations))


def _segments(network: Network, traced: fx.GraphModule) -> tuple[list[list[fx.Node]], list[str]]:
    """The nodes between activations, the first of each being what they start from."""
    segments: list[list[fx.Node]] = [[]]
    activations = list[str]()
    for node in traced.graph.nodes:
        if node.op == "output" and node.args[0] is not segments[-1][-1]:
            _refuse(network, "what it returns is not what its last layer gives")
        if node.op in ("output", "get_attr"):
            continue
        if node.op == "placeholder":
            segments[0].append(node)
            continue
        stray = [one for one in node.all_input_nodes if one not in segments[-1] and one.op != "get_attr"]
        if stray:
            _refuse(network, f"{node.name} leads around an activation")
        kind = _activation(traced, node)
        if kind is None:
            _check_affine(network, traced, node)
            segments[-1].append(node)
        else:
            activations.append(kind)
            if node.args[0] is not segments[-1][-1]:
                _refuse(network, f"{node.name} leads around another layer")
            segments.append([node])
    return segments, activations


def _activation(traced: fx.GraphModule, node: fx.Node) -> str | None:
    if node.op == "call_module":
        return _ACTIVATIONS.get(type(traced.get_submodule(str(node.target))))
    return _CALLED.get(_name(node))


def _check_affine(network: Network, traced: fx.GraphModule, node: fx.Node) -> None:
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        if not isinstance(module, (*AFFINE, *_STILL, nn.modules.batchnorm._BatchNorm)):
            _refuse(network, f"{node.target} is a {type(module).__name__}")
    elif _name(node) not in _LINEAR:
        _refuse(network, f"it calls {_name(node)}")


def _name(node: fx.Node) -> str:
    return node.target if isinstance(node.target, str) else str(getattr(node.target, "__name__", node.target))


@final
class _Piece:
    """What some nodes compute, of what the first of them stands for."""

    def __init__(self, network: Network, traced: fx.GraphModule, nodes: Sequence[fx.Node], *, first: bool) -> None:
        self.network, self.traced, self.nodes, self.first = network, traced, nodes, first

    def __call__(self, values: Tensor) -> Tensor:
        known: dict[fx.Node, Any] = {
            self.nodes[0]: self.network.normalisation.applied(values) if self.first else values
        }
        for node in self.nodes[1:]:
            args, named = fx.node.map_arg((node.args, node.kwargs), lambda one: self._value(known, one))
            if node.op == "call_module":
                known[node] = self.traced.get_submodule(str(node.target))(*args, **named)
            elif node.op == "call_method":
                known[node] = getattr(args[0], str(node.target))(*args[1:], **named)
            else:
                known[node] = node.target(*args, **named)  # type: ignore[operator]
        result: Tensor = known[self.nodes[-1]]
        return result

    def _value(self, known: dict[fx.Node, Any], node: fx.Node) -> Any:
        return known[node] if node in known else operator.attrgetter(str(node.target))(self.traced)


def _refuse(network: Network, why: str) -> NoReturn:
    raise BrittleError(
        f"expected a chain of affine layers with ReLU, sigmoid or tanh between them, got {network.name!r}: {why}; no"
        " certificate is known here for such a network"
    )
