"""Every kind of classifier there is, for the laws that all of them keep."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

import torch
from sklearn.ensemble import RandomForestClassifier
from torch import Tensor, nn

from brittle.models import Averaged, BlackBox, Classifier, Front, Fronted, Network, load_model
from brittle.models.architectures.synthesis import Synthesis
from brittle.models.classifier import Score
from laws.guests import FOLDER, saved_onnx, saved_vit
from laws.worlds import MEAN, STD, SmallCNN, trained_world

Slope = Literal["own", "approximate", "none"]


def score_of_logits(classifier: Classifier, images: Tensor, score: Score) -> Tensor:
    return score(classifier.logits(images))


@dataclass(frozen=True)
class Kind:
    """name: of the kind. make: a new one. other: one whose function differs in the part that this kind is about.

    slope: whether its gradient is that of its score, or says that it is not. scored: of images, what is differentiated.
    needs: a library that not everybody has.
    """

    name: str
    make: Callable[[], Classifier]
    other: Callable[[], Classifier]
    slope: Slope
    scored: Callable[[Any, Tensor, Score], Tensor] = score_of_logits
    needs: str | None = None


def expected_score(average: Averaged, images: Tensor, score: Score) -> Tensor:
    """The mean of the passes' scores, not the score of their mean (Athalye et al. 2018, equation 2)."""
    return torch.stack([score(average.inner.logits(one)) for one in average._seen(images)]).mean(0)


def small(seed: int = 0) -> nn.Module:
    """A copy of the world's network; other seeds: with other weights in its last layer."""
    net = SmallCNN().eval()
    net.load_state_dict(trained_world().net.state_dict())
    if seed:
        with torch.no_grad():
            list(net.parameters())[-1].add_(0.01 * seed)
    return net


def network(seed: int = 0, **options: Any) -> Network:
    return Network(small(seed), mean=MEAN, std=STD, batch_size=5, **options)


def synthesis(seed: int) -> Network:
    """A network that looks for codes in each question, whose gradient holds them."""
    net = Synthesis(64, 4, [32], starts=50, steps=40)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in net.decoders.parameters():
            one.copy_(torch.randn(one.shape, generator=generator) / one.shape[-2] ** 0.5)
    return Network(net, batch_size=5)


@cache
def _forest(seed: int) -> RandomForestClassifier:
    world = trained_world()
    return RandomForestClassifier(8, random_state=seed).fit(world.images.flatten(1).double().numpy(), world.labels)


class OnlyPredicts:
    """A forest that keeps its scores to itself."""

    def __init__(self, seed: int) -> None:
        self.inside = _forest(seed)
        self.classes_ = self.inside.classes_

    def predict(self, rows: Any) -> Any:
        return self.inside.predict(rows)


def darker(images: Tensor, share: float) -> Tensor:
    return images * share


def rounded(images: Tensor, levels: int) -> Tensor:
    return (images * levels).round() / levels


def softly_rounded(images: Tensor, levels: int) -> Tensor:
    wave = 2 * torch.pi * levels
    return images - (wave * images).sin() / (2 * wave)


class Blur(nn.Module):
    """A defence with weights and a mode: it must be in eval mode while it defends."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.blur, self.dropout = nn.Conv2d(1, 1, 3, padding=1, bias=False), nn.Dropout(0.5)
        with torch.no_grad():
            self.blur.weight.fill_(width / 9)

    def forward(self, images: Tensor) -> Tensor:
        blurred: Tensor = self.dropout(self.blur(images))
        return blurred


def behind(*fronts: Front, seed: int = 0) -> Fronted:
    return Fronted(network(seed), *fronts)


def _kinds() -> Iterator[Kind]:
    yield Kind("network", network, partial(network, 1), "own")
    yield Kind("network, plain", partial(network, fast=False), partial(network, 1, fast=False), "own")
    yield Kind("synthesis", partial(synthesis, 0), partial(synthesis, 1), "own")
    yield Kind("scores", lambda: BlackBox(_forest(0), batch_size=5), lambda: BlackBox(_forest(1)), "none")
    yield Kind("decisions", lambda: BlackBox(OnlyPredicts(0), batch_size=5), lambda: BlackBox(OnlyPredicts(1)), "none")
    noisy = partial(Averaged, samples=3, noise=0.1)
    yield Kind("averaged", lambda: noisy(network()), lambda: noisy(network(), seed=1), "own", expected_score)
    dark = partial(partial, darker)
    yield Kind("front", lambda: behind(Front(dark(share=0.7))), lambda: behind(Front(dark(share=0.8))), "own")
    yield Kind("front, a module", lambda: behind(Front(Blur(0.9))), lambda: behind(Front(Blur(0.8))), "own")
    coarse = partial(partial, rounded)
    yield Kind(
        "front, straight through",
        lambda: behind(Front(coarse(levels=6), "straight-through")),
        lambda: behind(Front(coarse(levels=7), "straight-through")),
        "approximate",
    )
    soft = partial(partial, softly_rounded)
    yield Kind(
        "front, approximated",
        lambda: behind(Front(coarse(levels=6), soft(levels=6))),
        lambda: behind(Front(coarse(levels=6), soft(levels=5))),
        "approximate",
    )
    yield Kind(
        "two fronts",
        lambda: behind(Front(dark(share=0.7)), Front(torch.square)),
        lambda: behind(Front(torch.square), Front(dark(share=0.7))),
        "own",
    )
    yield Kind(
        "front of a forest",
        lambda: Fronted(BlackBox(_forest(0), batch_size=5), Front(coarse(levels=2))),
        lambda: Fronted(BlackBox(_forest(0), batch_size=5), Front(coarse(levels=1))),
        "none",
    )
    yield Kind(
        "ONNX file", lambda: load_model(onnx_file(0)), lambda: load_model(onnx_file(1)), "none", needs="onnxruntime"
    )
    yield Kind(
        "transformers", lambda: load_model(hf_folder(0)), lambda: load_model(hf_folder(1)), "own", needs="transformers"
    )


def onnx_file(seed: int) -> str:
    return f"onnx:{saved_onnx(small(seed), FOLDER / f'{seed}.onnx')}"


@cache
def hf_folder(seed: int) -> str:
    return f"hf:{saved_vit(FOLDER / f'vit {seed}', seed=seed)}"


KINDS = list(_kinds())
