"""Activation maximisation beside lucent: how often a network that had no part in it sees the class of a picture."""

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from bench.networks import setting_of
from bench.report import Check, Section, Table
from bench.setting import Normalised, Skipped, data_file, network_of
from brittle.data import load_data
from brittle.data.fit import Fit
from brittle.explain.activation import ASCENTS
from brittle.explain.objective import Asked, Objective
from brittle.explain.prior import prior_of
from brittle.measure.intervals import wilson
from brittle.models import Classifier, load_model
from brittle.models.network import Network
from brittle.rng import Rng
from brittle.studies.crossing import resizing
from brittle.types import Images

IMAGES = 256
PHOTOGRAPHS = "imagenet-photos"


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """A network, and one that had no part in it. classes: of which pictures are made, once with each seed."""

    network: str
    judge: str
    classes: tuple[int, ...]
    seeds: tuple[int, ...]
    steps: int


_TEN = tuple(range(10))
_SOME = (1, 94, 207, 281, 340, 417, 555, 779, 817, 985)  # animals and things that look like nothing else
PAIRS = {
    "resnet20": Pair("resnet20", "densenet-bc", _TEN, (0, 1), 128),
    "densenet-bc": Pair("densenet-bc", "resnet20", _TEN, (0,), 64),
    "squeezenet": Pair("squeezenet1_0", "mobilenet_v2", _SOME, (0,), 64),
    "mobilenet-v2": Pair("mobilenet_v2", "squeezenet1_0", _SOME, (0,), 64),
    "inception-v3": Pair("inception_v3", "mobilenet_v2", _SOME[:6], (0,), 64),
}
_WEIGHTS = {
    "squeezenet1_0": ("imagenet_squeezenet1_0", None),
    "mobilenet_v2": ("imagenet_mobilenet_v2_fp16", (0.5,) * 3),
    "inception_v3": ("imagenet_inception_v3_assembled_fp16", None),
}


def section(name: str) -> Section:
    """One network's pictures by each way, and what its judge says of them."""
    pair = PAIRS[name]
    network, judge = network_named(pair.network), network_named(pair.judge)
    lucent = _lucent()
    images = ordinary(network)
    side = images.shape[2]
    ways: dict[str, Callable[[int], Images]] = {
        "brittle fourier": lambda seed: ours(network, images, pair.classes, f"fourier,steps={pair.steps}", seed),
        "brittle plain": lambda seed: ours(network, images, pair.classes, f"plain,iterations={pair.steps}", seed),
        "lucent": lambda seed: theirs(lucent, network, side, pair, seed, None),
        "lucent, no transforms": lambda seed: theirs(lucent, network, side, pair, seed, []),
    }
    wanted = torch.tensor(pair.classes * len(pair.seeds))
    rows, counts = [], dict[str, int]()
    for way, make in ways.items():
        seen = [
            torch.cat(said) for said in zip(*(_said(make(seed), network, judge) for seed in pair.seeds), strict=True)
        ]
        own, others = ((one.argmax(1) == wanted) for one in seen)
        sure = float(seen[1].gather(1, wanted.unsqueeze(1)).mean())
        counts[way] = int(others.sum())
        low, high = wilson(counts[way], len(wanted)) or (0.0, 1.0)
        print(f"  {way}: {int(own.sum())}, {counts[way]} of {len(wanted)}, {sure:.3f}", flush=True)
        rows.append((way, str(int(own.sum())), f"{counts[way]} ({low:.0%} to {high:.0%})", f"{sure:.1%}"))
    best = max(counts["lucent"], counts["lucent, no transforms"])
    goal = f"> {best} of {len(wanted)}, lucent's better one" if best < len(wanted) else f"{best} of {best}, as lucent"
    met = counts["brittle fourier"] > best or counts["brittle fourier"] == len(wanted)
    return Section(
        title=f"Activation maximisation, {name}",
        checks=(Check(f"{pair.judge} sees the class", goal, f"{counts['brittle fourier']}", met),),
        tables=(
            Table(
                ("pictures by", f"{pair.network} sees the class", f"{pair.judge} sees it", "its mean probability"),
                tuple(rows),
            ),
        ),
        notes=(
            f"{len(wanted)} pictures of {len(pair.classes)} classes, {pair.steps} steps each, {side} x {side} pixels,"
            " rounded to 8 bits. lucent: torch-lucent 0.1.8 with its defaults (Fourier, ImageNet's colours, Adam at"
            " 0.05, its transforms), but that images are brought to the network's size and not to 224 pixels; and the"
            f" same without transforms. Ours takes colours and frequencies of {len(images)} images.",
        ),
        facts=counts,
    )


def network_named(name: str) -> Network:
    """A network of the data folder."""
    if name not in _WEIGHTS:
        return setting_of(name, 1).classifier
    file, mean = _WEIGHTS[name]
    weights = data_file(f"weights/{file}.safetensors")
    return network_of(load_model(f"torchvision:{name}", weights=weights, mean=mean, std=mean))


def ordinary(network: Network) -> Images:
    """Images of the kind that the network knows."""
    place: Path = data_file(
        "cifar10-jpeg/train.parquet" if network.fit is None or network.fit.height == 32 else PHOTOGRAPHS
    )
    examples = load_data(str(place), limit=IMAGES, fit=network.fit)
    return examples.images(0, len(examples))


def ours(network: Network, images: Images, classes: tuple[int, ...], how: str, seed: int) -> Images:
    """Pictures by one of our ways."""
    ascent = ASCENTS.one(how)
    asked = Asked(network, tuple(Objective("class", one) for one in classes), ascent.odds)
    rng = Rng(seed, tuple(map(str, classes)))
    made: Images = ascent(asked, prior_of(images), asked.values(images).std(0), rng).images
    return made


def theirs(lucent: Any, network: Network, side: int, pair: Pair, seed: int, transforms: list[Any] | None) -> Images:
    """Pictures by lucent; all classes in one batch. transforms: None for its own."""
    torch.manual_seed(seed)
    lucent.numpy.random.seed(seed)
    plain = Normalised(network.net, network).eval().requires_grad_(False)
    objective = sum(
        (lucent.objectives.channel("labels", one, batch=row) for row, one in enumerate(pair.classes)),
        start=0,
    )
    found = lucent.render.render_vis(
        plain,
        objective,
        lambda: lucent.param.image(side, batch=len(pair.classes)),
        transforms=transforms,
        thresholds=(pair.steps,),
        preprocess=False,
        progress=False,
        show_image=False,
        fixed_image_size=side,
    )
    return torch.from_numpy(found[-1]).permute(0, 3, 1, 2).contiguous()


def _said(images: Images, network: Network, judge: Network) -> tuple[Tensor, Tensor]:
    """Probabilities that both give to the classes of images of 8 bits."""
    shown = (255 * images).round() / 255
    size = (shown.shape[1], *shown.shape[2:])
    fit = judge.fit or Fit(channels=3, height=size[1], width=size[2])
    other: Classifier = resizing(judge, size, (fit.channels, fit.height, fit.width))
    return network.logits(shown, plain=True).softmax(1), other.logits(shown, plain=True).softmax(1)


def _lucent() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name in ("objectives", "param", "render"):
                importlib.import_module(f"lucent.optvis.{name}")
        except ImportError as error:
            raise Skipped(f"{error.name} is not installed: pip install --no-deps torch-lucent kornia==0.4.1") from None
    found = importlib.import_module("lucent.optvis.render")
    return _Lucent(
        found, importlib.import_module("lucent.optvis.param"), importlib.import_module("lucent.optvis.objectives")
    )


@final
@dataclass(frozen=True, slots=True)
class _Lucent:
    """The parts of lucent that are asked."""

    render: Any
    param: Any
    objectives: Any

    @property
    def numpy(self) -> Any:
        return self.render.np
