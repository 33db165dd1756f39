"""The fast path of a network: when its folded copy is taken, and when the copy is made anew."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import nn

from brittle.goals import Rounding, spread_of
from brittle.models.fold import folded
from brittle.types import Images, Logits

_TOLERANCE = 1e-4  # of the logits' spread: far above what folding rounds differently, far below another function


@final
class FastPath:
    """A folded copy of a network, for as long as it computes what the network does.

    run: puts a batch through a network that is given, in eval mode and with its input normalised.
    """

    def __init__(self, run: Callable[[nn.Module, Images], Logits]) -> None:
        self.run = run
        self.copy: nn.Module | None = None
        self._version: list[object] | None = None
        self._held = False

    def __getstate__(self) -> dict[str, object]:
        """Without the copy: versions are those of this process, and another makes its own."""
        return {"run": self.run}

    def __setstate__(self, state: dict[str, Any]) -> None:
        FastPath.__init__(self, state["run"])

    def of(self, net: nn.Module, batch: Images) -> nn.Module | None:
        """The copy for one pass, None for the plain network; made again whenever a weight was seen to change."""
        if not self._held and self._is_outdated(net):
            with torch.no_grad():
                self._make(net, batch.detach())
        return self.copy

    def settle(self, net: nn.Module, batch: Images, plain: Logits) -> Logits | None:
        """The copy's logits on a batch, where they agree with the plain network's; else it is made anew, once.

        That finds what ``_version`` cannot see. A copy that has never agreed is not tried again until a weight is seen
        to change: the network is random, or cannot be traced.
        """
        if self._is_outdated(net):
            return self._make(net, batch, plain)
        logits = self._agreed(batch, plain)
        return self._make(net, batch, plain) if self.copy is not None and logits is None else logits

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
        """A new copy, kept if it agrees with the plain network on the batch; its logits there."""
        self._version = _version(net)
        with torch.inference_mode(False):  # tensors made in inference mode could not be differentiated later
            self.copy = folded(net)
        if self.copy is None:
            return None
        logits = self._agreed(batch, self.run(net, batch) if plain is None else plain)
        if logits is None:
            self.copy = None
        return logits

    def _agreed(self, batch: Images, plain: Logits) -> Logits | None:
        """The copy's logits; None where they are not the plain network's, to float32 accuracy."""
        if self.copy is None:
            return None
        try:
            logits = self.run(self.copy, batch)
        except Exception:  # a trace can have frozen a shape; the plain network has just worked on this batch
            return None
        if logits.shape != plain.shape:
            return None
        most = Rounding(_TOLERANCE, least=spread_of(plain).amax()).of(plain)
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
