"""Looking inside a network by the names of its layers, which leaves it as it was."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from brittle.errors import BrittleError, did_you_mean
from brittle.models.classifier import Classifier
from brittle.models.network import Network
from brittle.models.preflight import check_compatible
from brittle.types import Images, Logits


@final
@dataclass(frozen=True, slots=True)
class Layer:
    """A module of a network, at one of the times that a pass calls it.

    name: its path, ``"layer1.0.relu"``; from the second call on with the number, ``"layer1.0.relu:2"``. kind: its
    class. output: the shape of what it gives for one image, None where that is no tensor with a row for each image.
    parameters: trainable and not, those of the modules within it included. within: how many modules it holds.
    """

    name: str
    kind: str
    output: tuple[int, ...] | None
    parameters: int
    within: int


def network_of(classifier: Classifier) -> Network:
    """The classifier itself where it has layers to look at; BrittleError for what gives scores alone, or stands around
    another."""
    if isinstance(classifier, Network):
        return classifier
    raise BrittleError(
        f"expected a network with layers to look inside, got {classifier.name!r}, a {type(classifier).__name__}; give"
        " the torch.nn.Module that is behind it"
    )


def layers_of(network: Network, images: Images) -> tuple[Layer, ...]:
    """Every layer that a pass of ``images`` ``[B, C, H, W]`` calls, in the order in which they begin.

    A module that holds others stands before them. Raises BrittleError where the network does not take such images.
    """
    check_compatible(network, images, None)
    found: dict[str, Layer] = {}

    def begin(name: str, module: nn.Module) -> None:
        size = sum(one.numel() for one in module.parameters())
        found[name] = Layer(name, type(module).__name__, None, size, sum(1 for _ in module.modules()) - 1)

    def end(name: str, module: nn.Module, output: object) -> None:
        shape = tuple(output.shape[1:]) if _is_rows(output, len(images)) else None  # type: ignore[attr-defined]
        found[name] = Layer(name, found[name].kind, shape, found[name].parameters, found[name].within)

    with torch.no_grad(), _hooked(_modules(network), begin, end):
        network.plain(images)
    return tuple(found.values())


def check_layers(names: Iterable[str], known: Sequence[Layer]) -> None:
    """BrittleError, with the nearest name, for a layer that the network has not, or that gives no tensor."""
    of = {layer.name: layer for layer in known}
    for name in names:
        if name not in of:
            raise BrittleError(f"the network has no layer {name!r}{_near(name, of)}")
        if of[name].output is None:
            raise BrittleError(
                f"expected a layer that gives a tensor with a row for each image, got {name!r}, a {of[name].kind}"
            )


def seen(network: Network, images: Images, names: Sequence[str]) -> tuple[Logits, dict[str, Tensor]]:
    """Logits ``[B, K]`` and the outputs ``[B, ...]`` of some layers, by their names, of one pass of the network itself.

    images: ``[B, C, H, W]`` in [0, 1] on its device; where gradients are enabled and they require one, all that comes
    back has a graph. Outputs are copies, as the next layer may write into them. Weights, modes and hooks of the network
    are as before, whatever happens in the pass. Raises BrittleError for a name that the network has not.
    """
    wanted, outputs = set(names), dict[str, Tensor]()

    def end(name: str, module: nn.Module, output: object) -> None:
        if name in wanted and _is_rows(output, len(images)):
            assert isinstance(output, Tensor)
            outputs[name] = output.clone()

    modules = _modules(network)
    some = {name: modules[base] for name in names if (base := name.partition(":")[0]) in modules}
    with _hooked({name.partition(":")[0]: one for name, one in some.items()}, None, end):
        logits = network.plain(images)
    if wanted - set(outputs):
        check_layers(names, layers_of(network, images[:1].detach()))
    return logits, {name: outputs[name] for name in names}


def activations(network: Network, images: Images, names: Sequence[str]) -> dict[str, Tensor]:
    """The outputs ``[N, ...]`` of some layers without a graph, ``batch_size`` rows at a time; as ``seen``."""
    with torch.no_grad():
        parts = [seen(network, images[rows], names)[1] for rows in network.chunks(len(images))]
    return {name: torch.cat([part[name] for part in parts]) for name in names}


def _modules(network: Network) -> dict[str, nn.Module]:
    """By path, without the network itself and what only makes weights."""
    return {
        name: module
        for name, module in network.net.named_modules()
        if name and "parametrizations" not in name.split(".")
    }


@contextmanager
def _hooked(
    modules: Mapping[str, nn.Module],
    begin: Callable[[str, nn.Module], None] | None,
    end: Callable[[str, nn.Module, object], None],
) -> Iterator[None]:
    """Inside, begin and end are told of every call of the modules; afterwards no hook of ours is left."""
    calls, open_calls, handles = Counter[str](), dict[str, list[str]](), list[Any]()

    def before(path: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, _: Any) -> None:
            calls[path] += 1
            name = path if calls[path] == 1 else f"{path}:{calls[path]}"
            open_calls.setdefault(path, []).append(name)
            if begin is not None:
                begin(name, module)

        return hook

    def after(path: str) -> Callable[[nn.Module, Any, object], None]:
        def hook(module: nn.Module, _: Any, output: object) -> None:
            end(open_calls[path].pop(), module, output)

        return hook

    try:
        for path, module in modules.items():
            handles.append(module.register_forward_pre_hook(before(path)))
            handles.append(module.register_forward_hook(after(path)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_rows(output: object, count: int) -> bool:
    return isinstance(output, Tensor) and output.ndim > 0 and len(output) == count


def _near(name: str, known: Iterable[str]) -> str:
    """``did_you_mean``; a list of hundreds of layers is left to the command that lists them."""
    said = did_you_mean(name, known)
    return said if said.startswith("; did you mean") else "; see: brittle explain layers"
