"""What an image is to excite: a class, a channel, a unit or a direction of a layer."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, final, get_args

import torch
from torch import Tensor

from brittle.errors import BrittleError, did_you_mean
from brittle.explain.inside import Layer, check_layers, network_of, seen
from brittle.models.classes import class_of
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

Kind = Literal["class", "channel", "unit", "direction"]
CLASSES = 10
"""Of a network with more, so many are taken where nobody has said which."""

_FORM = "class, class:NAME, class:0-9, or channel, unit or direction with layer and number, such as channel:conv1:0-7"


@final
@dataclass(frozen=True, slots=True)
class Objective:
    """One number for each image.

    class: the class's score. channel: the mean of a channel of a layer over its positions. unit: the channel at the
    middle position; of a layer without positions both are one number. direction: the mean over positions along a random
    unit vector of the channels, numbered by ``index``.
    """

    kind: Kind
    index: int
    layer: str = ""

    @property
    def name(self) -> str:
        """As it is asked for: ``"channel:conv1:3"``."""
        return ":".join(part for part in (self.kind, self.layer, str(self.index)) if part)

    def vector(self, channels: int) -> Tensor:
        """float ``[channels]``: what the channels are weighed with."""
        if self.kind != "direction":
            return torch.nn.functional.one_hot(torch.tensor(self.index), channels).float()
        drawn = Rng(0, (str(self.index),)).normal("direction", torch.empty(1, channels))[0]
        unit: Tensor = drawn / drawn.norm()
        return unit


def objectives_of(
    texts: Sequence[str], class_names: Sequence[str] | None, classes: int, layers: Callable[[], Sequence[Layer]]
) -> tuple[Objective, ...]:
    """What some texts ask of a network; BrittleError, with the nearest name, for what it has not.

    ``"class"`` stands for all classes, of more than 10 the first 10. layers: those of the network, asked for where a
    text names one.
    """
    found = [one for text in texts for one in _read(text.strip(), class_names, classes, layers)]
    if not found:
        raise BrittleError(f"expected at least one objective, got none; {_FORM}")
    return tuple(dict.fromkeys(found))


def _read(
    text: str, class_names: Sequence[str] | None, classes: int, layers: Callable[[], Sequence[Layer]]
) -> list[Objective]:
    kind, _, rest = text.partition(":")
    if kind not in get_args(Kind):
        raise BrittleError(f"expected an objective as {_FORM}; got {text!r}{did_you_mean(kind, get_args(Kind))}")
    if kind == "class":
        span = range(min(classes, CLASSES)) if not rest else _span(rest)
        indices = [class_of(rest, class_names, classes)] if span is None else list(span)
        if indices[-1] >= classes:
            raise BrittleError(f"expected classes below {classes}, got {text!r}")
        return [Objective("class", index) for index in indices]
    layer, _, number = rest.rpartition(":")
    span = _span(number)
    if not layer or span is None:
        raise BrittleError(f"expected an objective as {_FORM}; got {text!r}")
    known = layers()
    check_layers([layer], known)
    output = next(one.output for one in known if one.name == layer) or ()
    channels = output[0] if output else 1
    if kind != "direction" and span[-1] >= channels:
        raise BrittleError(f"expected a number below {channels}, as {layer} has so many channels, got {text!r}")
    return [Objective(kind, index, layer) for index in span]  # type: ignore[arg-type]


def _span(text: str) -> range | None:
    """``"3"`` or ``"0-9"``; None for any other text."""
    found = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    if last < first:
        raise BrittleError(f"expected the smaller number first, got {text!r}")
    return range(first, last + 1)


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """Objectives of one layer, or classes, which are read off a classifier.

    odds: of a class, its log-odds against all others in place of its logit, which others may share.
    """

    classifier: Classifier
    objectives: tuple[Objective, ...]
    odds: bool = False

    def of(self, rows: Tensor) -> "Asked":
        """Some of the objectives, by their indices."""
        return replace(self, objectives=tuple(self.objectives[row] for row in rows.tolist()))

    def gradient(self, images: Images) -> tuple[Tensor, Images]:
        """Of images ``[B, C, H, W]``, one for each objective: values ``[B]``, and the gradient of each in its image.

        Raises Unsupported for a classifier without gradients, BrittleError for a layer whose output has none.
        """
        if not self._layer:
            logits, gradient = self.classifier.gradient(images, self._own)
            return self._own(logits), gradient
        network = network_of(self.classifier)
        values, gradients = [], []
        for rows in network.chunks(len(images)):
            with torch.enable_grad():
                leaf = images[rows].detach().clone().requires_grad_()
                _, outputs = seen(network, leaf, [self._layer])
                own = replace(self, objectives=self.objectives[rows])._own(outputs[self._layer])
            if not own.requires_grad:
                raise BrittleError(f"expected a layer with gradients, got {self._layer!r}, which gives none")
            gradients.append(torch.autograd.grad(own.sum(), leaf)[0])
            values.append(own.detach())
        return torch.cat(values), torch.cat(gradients)

    def values(self, images: Images) -> Tensor:
        """float ``[N, B]``: each objective on each of some images, by the plain network; of a class its logit."""
        plain = replace(self, odds=False)
        with torch.no_grad():
            if not self._layer:
                return plain._all(self.classifier.logits(images, plain=True))
            network = network_of(self.classifier)
            parts = [
                plain._all(seen(network, images[rows], [self._layer])[1][self._layer])
                for rows in network.chunks(len(images))
            ]
        return torch.cat(parts)

    @property
    def _layer(self) -> str:
        """Of all of them; classes have none."""
        return self.objectives[0].layer

    def _own(self, output: Tensor) -> Tensor:
        """``[B]``: of each row its own objective."""
        return self._all(output).diagonal()

    def _all(self, output: Tensor) -> Tensor:
        """``[N, B]`` of logits, or of the layer's output ``[N, C, ...]``."""
        if not self._layer:
            at = torch.tensor([one.index for one in self.objectives], device=output.device)
            if not self.odds:
                return output[:, at]
            rest = [torch.cat([output[:, :k], output[:, k + 1 :]], 1).logsumexp(1) for k in at.tolist()]
            return output[:, at] - torch.stack(rest, 1)
        positions = output.flatten(2) if output.ndim > 2 else output.reshape(len(output), -1, 1)
        middle = positions[:, :, _middle(output.shape[2:])]
        vectors = torch.stack([one.vector(positions.shape[1]) for one in self.objectives]).to(output)
        is_unit = torch.tensor([one.kind == "unit" for one in self.objectives], device=output.device)
        return torch.where(is_unit, middle @ vectors.T, positions.mean(2) @ vectors.T)


def _middle(shape: Sequence[int]) -> int:
    """Where the middle position of some is, among all of them in one row."""
    at = 0
    for size in shape:
        at = at * size + size // 2
    return at
