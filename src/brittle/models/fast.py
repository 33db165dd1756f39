"""The fast path of a network: when its folded copy is taken, and when the copy is made anew."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import nn

from brittle.goals import FLOAT32, Rounding, spread_of
from brittle.models.bfloat16 import BFLOAT16, in_bfloat16
from brittle.models.fold import folded
from brittle.types import Images, Logits, Precision

_TOLERANCE = 1e-4  # of the logits' spread: far above what folding rounds differently, far below another function
_COARSE = 0.25  # the same of bfloat16: 32 of its units, beyond which it is no rounding


@final
class FastPath:
    """A folded copy of a network, for as long as it computes what the network does.

    run: puts a batch through a network that is given, in eval mode and with its input normalised. precision: bf16 for
    a copy in bfloat16 beside the one in float32. By the latter is seen, as finely as ever, whether the network still is
    what it was; and it is taken for both where bfloat16 gives something else.
    """

    def __init__(self, run: Callable[[nn.Module, Images], Logits], precision: Precision = "fp32") -> None:
        self.run, self.precision = run, precision
        self._copies: dict[Precision, nn.Module | None] = {"fp32": None, "bf16": None}
        self._version: list[object] | None = None
        self._held = False

    def __getstate__(self) -> dict[str, object]:
        """Without the copy: versions are those of this process, and another makes its own."""
        return {"run": self.run, "precision": self.precision}

    def __setstate__(self, state: dict[str, Any]) -> None:
        FastPath.__init__(self, state["run"], state["precision"])

    def taken(self, precision: Precision) -> nn.Module | None:
        """The copy that there is for passes in that precision; None, where they take the plain network."""
        return self._copies[precision]

    def unit(self, precision: Precision) -> float:
        """The relative rounding of what such passes multiply."""
        return FLOAT32.eps if self.taken(precision) is self.taken("fp32") else BFLOAT16

    def of(self, net: nn.Module, batch: Images, precision: Precision) -> nn.Module | None:
        """The copy for one pass, None for the plain network; made again whenever a weight was seen to change."""
        if not self._held and self._is_outdated(net):
            with torch.no_grad():
                self._make(net, batch.detach())
        return self.taken(precision)

    def settle(self, net: nn.Module, batch: Images, plain: Logits) -> Logits | None:
        """The logits of the copy in float32 on a batch, where they agree with the plain network's; else it is made
        anew, once.

        That finds what ``_version`` cannot see. A copy that has never agreed is not tried again until a weight is seen
        to change: the network is random, or cannot be traced.
        """
        if self._is_outdated(net):
            return self._make(net, batch, plain)
        copy = self.taken("fp32")
        logits = self._agreed(copy, batch, plain)
        return self._make(net, batch, plain) if copy is not None and logits is None else logits

    @contextmanager
    def held(self) -> Iterator[None]:
        """Inside, the network is taken not to change."""
        before, self._held = self._held, True
        try:
            yield
        finally:
            self._held = before

    def _is_outdated(self, net: nn.Module) -> bool:
        return _version(net) != self._version

    def _make(self, net: nn.Module, batch: Images, plain: Logits | None = None) -> Logits | None:
        """New copies, kept if they agree with the plain network on the batch; the logits there of that in float32."""
        self._version, self._copies = _version(net), {"fp32": None, "bf16": None}
        with torch.inference_mode(False):  # tensors made in inference mode could not be differentiated later
            copy = folded(net)
        if copy is None and self.precision == "fp32":
            return None
        plain = self.run(net, batch) if plain is None else plain
        logits = self._agreed(copy, batch, plain)
        exact = None if logits is None else copy
        coarse = self._in_bfloat16(net, exact, batch, plain) if self.precision == "bf16" else exact
        self._copies = {"fp32": exact, "bf16": coarse}
        return logits

    def _in_bfloat16(self, net: nn.Module, exact: nn.Module | None, batch: Images, plain: Logits) -> nn.Module | None:
        """The quickest in bfloat16 that agrees with the plain network on the batch; else the copy in float32."""
        with torch.inference_mode(False):
            for one in in_bfloat16(net, exact):
                if self._agreed(one, batch, plain, _COARSE) is not None:
                    return one
        return exact

    def _agreed(
        self, copy: nn.Module | None, batch: Images, plain: Logits, tolerance: float = _TOLERANCE
    ) -> Logits | None:
        """A copy's logits; None where they differ from the plain network's by more than this share of their spread."""
        if copy is None:
            return None
        try:
            logits = self.run(copy, batch)
        except Exception:  # a trace can have frozen a shape; the plain network has just worked on this batch
            return None
        if logits.shape != plain.shape:
            return None
        most = Rounding(tolerance, least=spread_of(plain).amax()).of(plain)
        return logits if bool(((plain - logits).abs().amax(1) <= most).all()) else None


def _version(net: nn.Module) -> list[object]:
    """Changes whenever a weight is written, a tensor or module exchanged, or a hook added.

    What PyTorch keeps no count of goes unseen: writing through ``.data`` in place, attributes that ``forward`` reads.
    """
    state: list[object] = []
    for module in net.modules():
        state += (id(module), len(module._forward_hooks) + len(module._forward_pre_hooks))
        for tensor in (*module._parameters.values(), *module._buffers.values()):
            if tensor is not None:
                state += (id(tensor), tensor.data_ptr(), tensor._version)
    return state
