"""A network as layers that follow one another, of the few kinds that a page can compute."""

import copy
from typing import Any, NoReturn, final

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from brittle.errors import BrittleError
from brittle.goals import spread_of
from brittle.models.network import Network
from brittle.types import Images

_STILL = (nn.Identity, nn.Dropout, nn.Dropout2d)
_KEPT = (nn.ReLU, nn.Sigmoid, nn.Tanh)
_CALLED: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu_": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "flatten": nn.Flatten,
    "view": nn.Flatten,
    "reshape": nn.Flatten,
    "dropout": nn.Identity,
    "contiguous": nn.Identity,
}
_POOLED = {"max_pool2d": nn.MaxPool2d, "avg_pool2d": nn.AvgPool2d, "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d}
_BY_VALUE = frozenset(
    ("add", "iadd", "add_", "sub", "isub", "sub_", "mul", "imul", "mul_", "truediv", "itruediv", "div")
)
_SAME = 1e-4  # of the logits' spread: what rounding in another order may change


@final
class Scale(nn.Module):
    """``x * weight + bias`` by channel: a normalisation, or a batch norm that no layer before it could take in."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, images: Images) -> Images:
        """As the images."""
        shape = (1, -1, *[1] * (images.ndim - 2))
        scaled: Images = images * self.get_buffer("weight").view(shape) + self.get_buffer("bias").view(shape)
        return scaled


def sequence_of(network: Network, images: Images) -> nn.Sequential:
    """The network, normalisation included, as a copy whose layers follow one another, float32 on the CPU.

    It consists of ``Scale``, Conv2d, Linear, ReLU, Sigmoid, Tanh, MaxPool2d, AvgPool2d and Flatten; batch norms and
    other arithmetic by channel are taken into the layer before. images: ``[B, C, H, W]``, B >= 2, on which it is held
    against the network. BrittleError that names the layer for anything else.
    """
    images = images.detach().float().cpu()
    walk = _Walk(network)
    with torch.no_grad():
        inputs = network.normalisation.applied(images)
        walk.take_affine(lambda x: network.normalisation.applied(x), images, "the normalisation")
        walk.run(inputs.clone())
        sequence = nn.Sequential(*walk.layers).eval().requires_grad_(False)
        expected = network.plain(images.to(network.device)).cpu()
        given = sequence(images)
    if given.shape != expected.shape:
        _refuse(network, f"it gives {tuple(given.shape[1:])} where logits of {expected.shape[1]} classes are wanted")
    if not bool(((given - expected).abs().amax(1) <= _SAME * spread_of(expected).clamp_min(1)).all()):
        _refuse(network, "its layers, one after another, do not give what it gives")
    return sequence


@final
class _Walk(fx.Interpreter):
    """Runs a network's trace on images and notes its layers."""

    def __init__(self, network: Network) -> None:
        self.network = network
        try:
            traced = fx.symbolic_trace(copy.deepcopy(network.net).cpu().eval().float().requires_grad_(False))
        except Exception as error:  # tracing runs the user's code
            _refuse(network, f"its path cannot be read ({type(error).__name__})")
        super().__init__(traced)
        self.extra_traceback = False  # an error of one line stays one
        self.layers: list[nn.Module] = []
        self.last: fx.Node | None = None

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if n.op == "placeholder":
            self.last = n
        elif n.op not in ("output", "get_attr") and isinstance(result, Tensor):
            path = [one for one in n.all_input_nodes if one.op != "get_attr" and isinstance(self.env[one], Tensor)]
            if path != [self.last]:
                self._refuse(n, "does not follow the layer before it")
            self._take(n, self.env[path[0]], result)
            self.last = n
        return result

    def take_affine(self, function: Any, given: Tensor, name: str) -> None:
        """Arithmetic by channel, by what it makes of zeros and of ones."""
        none, one = function(torch.zeros_like(given[:1])), function(torch.ones_like(given[:1]))
        if none.shape != given[:1].shape:
            _refuse(self.network, f"{name} changes the shape")
        weight, bias = (each.reshape(1, given.shape[1], -1) for each in (one - none, none))
        if bool((weight != weight[..., :1]).any() | (bias != bias[..., :1]).any()):
            _refuse(self.network, f"{name} is no factor and offset for each channel")
        self._scale(weight[0, :, 0], bias[0, :, 0])

    def _take(self, node: fx.Node, given: Tensor, made: Tensor) -> None:
        module = self.submodules[str(node.target)] if node.op == "call_module" else self._called(node, given, made)
        if isinstance(module, _BatchNorm):
            if module.running_mean is None or module.running_var is None:
                self._refuse(node, "is a batch norm without statistics of its own")
            weight = (module.running_var + module.eps).rsqrt() * (1 if module.weight is None else module.weight)
            self._scale(weight, (0 if module.bias is None else module.bias) - weight * module.running_mean)
        elif isinstance(module, nn.AdaptiveAvgPool2d):
            (height, width), (rows, columns) = given.shape[2:], made.shape[2:]
            if height % rows or width % columns:
                self._refuse(node, f"makes windows of several sizes of {height} x {width} pixels")
            self.layers.append(nn.AvgPool2d((height // rows, width // columns)))
        elif module is not None and not isinstance(module, _STILL):
            if objection := _objection(module, given):
                self._refuse(node, objection)
            self.layers.append(module)

    def _called(self, node: fx.Node, given: Tensor, made: Tensor) -> nn.Module | None:
        """The layer that a function or a method stands for; None where it has been taken in."""
        name = node.target if isinstance(node.target, str) else str(getattr(node.target, "__name__", node.target))
        if name in _BY_VALUE:
            args, named = self.fetch_args_kwargs_from_env(node)
            call = getattr(self, node.op)
            self.take_affine(lambda x: call(node.target, *_with(x, given, args, named)), given, str(node.name))
            return None
        if name == "mean" and made.numel() == given.shape[0] * given.shape[1] and given.ndim == 4:
            self.layers.append(nn.AvgPool2d((given.shape[2], given.shape[3])))
            return nn.Flatten() if made.ndim == 2 else nn.Identity()
        if name in _POOLED:
            options = node.normalized_arguments(self.module, normalize_to_only_use_kwargs=True)
            if options is not None:
                said = {key: value for key, value in options.kwargs.items() if key != "input"}
                pooling: nn.Module = _POOLED[name](**said)
                return pooling
        kind = _CALLED.get(name)
        if kind is None or (kind is nn.Flatten and made.shape != given.flatten(1).shape):
            self._refuse(node, f"is a call of {name}")
        return kind()

    def _scale(self, weight: Tensor, bias: Tensor) -> None:
        before = self.layers[-1] if self.layers else None
        if isinstance(before, (nn.Conv2d, nn.Linear)):
            self.layers[-1] = folded = copy.deepcopy(before)
            offset = torch.zeros(len(weight)) if before.bias is None else before.bias
            folded.weight.copy_(before.weight.double() * weight.double().view(-1, *[1] * (before.weight.ndim - 1)))
            folded.bias = nn.Parameter((offset.double() * weight.double() + bias.double()).float())
        elif isinstance(before, Scale):
            self.layers[-1] = Scale(before.get_buffer("weight") * weight, before.get_buffer("bias") * weight + bias)
        elif bool((weight != 1).any() | (bias != 0).any()):
            self.layers.append(Scale(weight, bias))

    def _refuse(self, node: fx.Node, why: str) -> NoReturn:
        _refuse(self.network, f"{node.target if node.op == 'call_module' else node.name} {why}")


def _with(x: Tensor, given: Tensor, args: Any, named: Any) -> tuple[Any, Any]:
    """The arguments of a call, with x where it is given the layer before."""
    return fx.node.map_aggregate((args, named), lambda value: x if value is given else value)


def _objection(module: nn.Module, given: Tensor) -> str | None:
    """Why a page does not know a layer."""
    if isinstance(module, nn.Conv2d):
        if module.padding_mode != "zeros" or module.padding == "same":
            return "is a Conv2d whose padding is not given as a number of zeros"
        return None
    if isinstance(module, nn.Linear):
        return None if given.ndim == 2 else f"is a Linear on {given.ndim} dimensions"
    if isinstance(module, nn.MaxPool2d):
        return "is a MaxPool2d with dilation" if module.dilation not in (1, (1, 1)) else None
    if isinstance(module, nn.AvgPool2d):
        padded = module.padding not in (0, (0, 0)) and not module.count_include_pad
        special = module.ceil_mode or module.divisor_override is not None or padded
        return "is an AvgPool2d with a divisor of its own" if special else None
    if isinstance(module, nn.Flatten):
        return (
            None if (module.start_dim, module.end_dim) in ((1, -1), (1, given.ndim - 1)) else "flattens some dimensions"
        )
    return None if isinstance(module, _KEPT) else f"is a {type(module).__name__}"


def _refuse(network: Network, why: str) -> NoReturn:
    raise BrittleError(
        "expected a network of convolutions, linear layers, batch norms, ReLU, sigmoid, tanh and pooling, one after"
        f" another, got {network.name!r}: {why}; no page can attack it yet"
    )
