"""The product bound: by how much a network can make a change of its image larger, layer by layer, in L2."""

import copy
import math
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, fx

from brittle.errors import BrittleError
from brittle.explain.factors import FUNCTIONS, LINEAR, factor_of, max_pool_factor
from brittle.explain.lanczos import linear_norm
from brittle.models.network import Network
from brittle.types import Images


@final
@dataclass(frozen=True, slots=True)
class Bound:
    """A layer, or a function between layers that does not leave the size of a change alone.

    name, kind: as in ``Layer``; of a function its name, and "function". own: its L2 Lipschitz constant. through: that
    of all from the pixels to its output. said: why there is none, where either is None.
    """

    name: str
    kind: str
    own: float | None
    through: float | None
    said: str


def bounds_of(network: Network, images: Images) -> tuple[Bound, ...]:
    """One for each layer, in the order of their calls; the first is the network's normalisation, where it has one.

    Constants multiply along a path, add where paths are added, and add by squares where they are concatenated
    (Szegedy et al. 2014, arXiv:1312.6199, section 4.3, whose networks are chains). images: ``[B, C, H, W]``, of whose
    first only the shape counts. Raises BrittleError for a network whose path depends on its images.
    """
    try:
        traced = fx.symbolic_trace(copy.deepcopy(network.net).eval().requires_grad_(False))
    except Exception as error:  # tracing runs the user's code
        reason = " ".join(str(error).split())[:160]
        raise BrittleError(
            f"expected a network of which the layers' order can be read (torch.fx), got {network.name!r}:"
            f" {type(error).__name__}: {reason}"
        ) from None
    scale = 1.0 if network.std is None else 1 / min(network.std)
    walk = _Walk(traced, scale)
    inputs = network.normalisation.applied(images[:1])
    weight = next((one.dtype for one in traced.parameters() if one.is_floating_point()), inputs.dtype)
    with torch.no_grad():
        walk.run(inputs.to(weight))
    first = [] if network.std is None else [Bound("normalisation", "function", scale, scale, "")]
    return (*first, *walk.found)


@final
class _Walk(fx.Interpreter):
    """Runs a network on one image, and keeps beside each value the constant of its way there.

    Of a value that does not depend on the image it is 0; of one without a bound, why there is none.
    """

    def __init__(self, traced: fx.GraphModule, scale: float) -> None:
        super().__init__(traced)  # type: ignore[no-untyped-call]
        self.scale, self.found = scale, list[Bound]()
        self.through: dict[fx.Node, float | str] = {}
        self._calls: dict[str, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        values = self.map_nodes_to_values(n.args, n)  # type: ignore[no-untyped-call]
        value = super().run_node(n)  # type: ignore[no-untyped-call]
        if n.op == "placeholder":
            self.through[n] = self.scale
        elif n.op == "output" or not _has_tensor(value) or all(self.through[one] == 0 for one in n.all_input_nodes):
            self.through[n] = 0.0  # a constant has no inputs
        else:
            self._pass(n, values)
        return value

    def _pass(self, n: fx.Node, values: tuple[Any, ...]) -> None:
        lost = next((one for one in map(self.through.get, n.all_input_nodes) if isinstance(one, str)), None)
        if n.op == "call_module":
            path = str(n.target)
            module = self.module.get_submodule(path)
            self._calls[path] = self._calls.get(path, 0) + 1
            name = path if self._calls[path] == 1 else f"{path}:{self._calls[path]}"
            own, said = factor_of(module, values[0])
            self._keep(n, name, type(module).__name__, own, lost or said or None)
            return
        name = n.target if isinstance(n.target, str) else str(getattr(n.target, "__name__", n.target))
        if name in ("add", "iadd", "sub", "isub", "radd", "add_", "cat", "concat"):
            self.through[n] = lost or self._joined(n, by_squares=name in ("cat", "concat"))
            return
        own, said = self._function(n, name, values)
        self._keep(n, n.name, "function", own, lost or said or None)

    def _joined(self, n: fx.Node, *, by_squares: bool) -> float | str:
        through = [one for node in n.all_input_nodes if isinstance(one := self.through[node], float)]
        return math.hypot(*through) if by_squares else math.fsum(self._times(n, through))

    def _times(self, n: fx.Node, through: list[float]) -> list[float]:
        """``x + x`` names its node once."""
        twice = len(n.args) == 2 and n.args[0] is n.args[1]
        return through * 2 if twice else through

    def _function(self, n: fx.Node, name: str, values: tuple[Any, ...]) -> tuple[float | None, str]:
        if name in ("mul", "imul", "truediv", "div"):
            other = values[1]
            if self.through.get(n.args[1], 0.0) == 0 and isinstance(other, Tensor | int | float):  # type: ignore[arg-type]
                size = float(
                    torch.as_tensor(other).abs().max() if "mul" in name else torch.as_tensor(other).abs().min()
                )
                return (size if "mul" in name else 1 / size), ""
            return None, "a product of two values that depend on the image has no bound"
        if name in ("max_pool2d", "_max_pool2d", "boolean_dispatch", "fn"):
            asked = dict(zip(("kernel_size", "stride", "padding", "dilation"), values[1:], strict=False)) | dict(
                n.kwargs
            )
            return max_pool_factor(asked["kernel_size"], asked.get("stride"), asked.get("dilation") or 1, 2), ""
        if name in FUNCTIONS:
            return FUNCTIONS[name], ""
        if name in LINEAR and all(self.through[one] == 0 for one in n.all_input_nodes[1:]):
            rest, named = values[1:], self.map_nodes_to_values(n.kwargs, n)  # type: ignore[no-untyped-call]
            if n.op == "call_method":
                return linear_norm(lambda one: getattr(one, name)(*rest, **named), values[0]), ""
            return linear_norm(lambda one: n.target(one, *rest, **named), values[0]), ""  # type: ignore[operator]
        return None, f"{name} has neither a matrix nor a slope that is known"

    def _keep(self, n: fx.Node, name: str, kind: str, own: float | None, said: str | None) -> None:
        before = self.through[n.all_input_nodes[0]]
        through = own * before if own is not None and isinstance(before, float) and said is None else None
        self.through[n] = said or "" if through is None else through
        if kind != "function" or own != 1.0:
            self.found.append(Bound(name, kind, own, through, "" if through is not None else said or ""))


def _has_tensor(value: object) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, tuple | list) and any(map(_has_tensor, value)))
