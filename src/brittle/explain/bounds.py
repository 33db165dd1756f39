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

LOGITS = "logits"


@final
@dataclass(frozen=True, slots=True)
class Bound:
    """A layer, or a function between layers that does not leave the size of a change alone.

    name, kind: as in ``Layer``; of a function its name, and "function". own: its L2 Lipschitz constant; the logits have
    none. through: that of all from the pixels to its output. said: why there is none, where either is None.
    """

    name: str
    kind: str
    own: float | None
    through: float | None
    said: str


def bounds_of(network: Network, images: Images) -> tuple[Bound, ...]:
    """One for each layer, in the order of their calls, and one for ``LOGITS``, whatever leads to them.

    The first is the network's normalisation, where it has one.

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
    return (*first, *walk.found, walk.logits())


@final
class _Walk(fx.Interpreter):
    """Runs a network on one image, and keeps beside each value the constant of its way there.

    Of a value that does not depend on the image it is 0; of one without a bound, why there is none.
    """

    def __init__(self, traced: fx.GraphModule, scale: float) -> None:
        super().__init__(traced)
        self.scale, self.found = scale, list[Bound]()
        self.through: dict[fx.Node, float | str] = {}
        self.returned: Any = None
        self._calls: dict[str, int] = {}

    def run_node(self, n: fx.Node) -> Any:
        values: Any = self.map_nodes_to_values(n.args, n)
        value = super().run_node(n)
        if n.op == "output":
            (self.returned,) = n.args
        elif n.op == "placeholder":
            self.through[n] = self.scale
        elif not _has_tensor(value) or all(self.through[one] == 0 for one in n.all_input_nodes):
            self.through[n] = 0.0  # a constant has no inputs
        else:
            self._pass(n, values, value)
        return value

    def logits(self) -> Bound:
        """What is returned."""
        through: float | str = "more than logits is returned"
        if isinstance(self.returned, fx.Node):
            through = self.through[self.returned]
        if isinstance(through, str):
            return Bound(LOGITS, "function", None, None, through)
        return Bound(LOGITS, "function", None, through, "")

    def _pass(self, n: fx.Node, values: tuple[Any, ...], value: Any) -> None:
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
        if name in ("add", "iadd", "sub", "isub", "add_", "cat", "concat") and "alpha" not in n.kwargs:
            self.through[n] = lost or self._joined(n, value, by_squares=name in ("cat", "concat"))
            return
        own, said = self._function(n, name, values, value)
        self._keep(n, n.name, "function", own, lost or said or None)

    def _joined(self, n: fx.Node, value: Tensor, *, by_squares: bool) -> float | str:
        parts = list[fx.Node]()  # ``x + x`` has its node twice
        fx.node.map_arg((n.args, n.kwargs), parts.append)
        moving = [node for node in parts if self.through[node] != 0]
        if not by_squares and any(self.env[node].shape != value.shape for node in moving):
            return f"{n.name} spreads a value over places, for which no bound is known"
        through = [float(self.through[node]) for node in moving]
        return math.hypot(*through) if by_squares else math.fsum(through)

    def _function(self, n: fx.Node, name: str, values: tuple[Any, ...], value: Any) -> tuple[float | None, str]:
        if name in ("mul", "imul", "truediv", "div"):
            return self._scaled(n, values, value, divides="div" in name)
        if name in ("max_pool2d", "_max_pool2d"):
            asked: dict[str, Any] = dict(
                zip(("kernel_size", "stride", "padding", "dilation"), values[1:], strict=False)
            )
            asked |= n.kwargs
            return max_pool_factor(asked["kernel_size"], asked.get("stride"), asked.get("dilation") or 1, 2), ""
        if name in FUNCTIONS:
            return FUNCTIONS[name], ""
        if name in LINEAR and all(self.through[one] == 0 for one in n.all_input_nodes[1:]):
            rest = values[1:]
            named: Any = self.map_nodes_to_values(n.kwargs, n)
            call: Any = n.target
            if n.op == "call_method":
                return linear_norm(lambda one: getattr(one, name)(*rest, **named), values[0]), ""
            return linear_norm(lambda one: call(one, *rest, **named), values[0]), ""
        return None, f"{name} has neither a matrix nor a slope that is known"

    def _scaled(self, n: fx.Node, values: tuple[Any, ...], value: Tensor, *, divides: bool) -> tuple[float | None, str]:
        """A product with a constant, or a quotient by one, neither of which spreads the value over places."""
        fixed = [at for at, one in enumerate(n.args[:2]) if not isinstance(one, fx.Node) or self.through[one] == 0]
        if len(fixed) != 1 or (divides and fixed == [0]):
            return None, f"{n.name} joins two values that depend on the image by a product or a quotient"
        if values[1 - fixed[0]].shape != value.shape:
            return None, f"{n.name} spreads a value over places, for which no bound is known"
        constant = torch.as_tensor(values[fixed[0]]).abs()
        return (1 / float(constant.min()) if divides else float(constant.max())), ""

    def _keep(self, n: fx.Node, name: str, kind: str, own: float | None, said: str | None) -> None:
        before = next(self.through[one] for one in n.all_input_nodes if self.through[one] != 0)
        through = own * before if own is not None and isinstance(before, float) and said is None else None
        self.through[n] = said or "" if through is None else through
        if kind != "function" or own != 1.0:
            self.found.append(Bound(name, kind, own, through, "" if through is not None else said or ""))


def _has_tensor(value: object) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, tuple | list) and any(map(_has_tensor, value)))
