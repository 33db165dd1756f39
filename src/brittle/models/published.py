"""Architectures of torchvision and timm, with the input that their published weights were trained on."""

import difflib
import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from brittle.data.fit import Fit
from brittle.errors import BrittleError
from brittle.models.network import Network
from brittle.models.weights import class_counts, load_state, read_state

# Both were trained elsewhere with inputs in [-1, 1], to which they convert ImageNet-normalised input themselves; their
# initialisation takes seconds of truncated normals that the weights overwrite.
_CONVERTED = {"inception_v3": "AuxLogits.", "googlenet": "aux1."}
_OLD_DENSENET_KEY = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


def load_torchvision(name: str, path: Path | None) -> Network:
    """A torchvision image classifier, with the weights in ``path`` or, without it, torchvision's default download.

    Size, resizing, mean and std are those of the published weights: of the file's namesake where ``path`` is called as
    one of them, else of the default. A checkpoint with another number of classes sets the size of the last layer.
    """
    from torchvision import models

    names = models.list_models(module=models)
    if name not in names:
        raise BrittleError(f"torchvision has no image classifier {name!r}{_nearest(name, names)}")
    published = _published_as(models.get_model_weights(name), path)
    preprocessing = published.transforms()
    fit = Fit(
        channels=3,
        height=preprocessing.crop_size[0],
        width=preprocessing.crop_size[-1],
        resize=preprocessing.resize_size[0],
        interpolation="bicubic" if preprocessing.interpolation.value == "bicubic" else "bilinear",
    )
    net = _downloaded(models, name, published) if path is None else _torchvision_from(models, name, path, fit)
    categories = tuple(published.meta["categories"] or ())
    return Network(
        net,
        mean=tuple(preprocessing.mean),
        std=tuple(preprocessing.std),
        class_names=categories if len(categories) == _outputs(net) else None,
        name=f"torchvision:{name}",
        fit=fit,
    )


def load_timm(name: str, path: Path | None) -> Network:
    """A timm image classifier, with the weights in ``path`` or, without it, timm's pretrained download.

    Size, resizing, mean and std are timm's data configuration of that model.
    """
    try:
        timm: Any = importlib.import_module("timm")
    except ImportError:
        raise BrittleError("models called timm:NAME need the timm library: pip install brittle[timm]") from None
    if not timm.is_model(name):
        raise BrittleError(f"timm has no model {name!r}{_nearest(name, timm.list_models())}")
    if path is None:
        try:
            net = timm.create_model(name, pretrained=True)
        except Exception as error:  # no network, no such tag, no pretrained weights: its download stack raises anything
            raise _no_download("timm", name, error) from None
    else:
        state = read_state(path)
        net = timm.create_model(name, pretrained=False)
        counts = class_counts(net, state)
        if counts is not None:
            net = timm.create_model(name, pretrained=False, num_classes=counts[0])
        load_state(net, state, path)
    config = timm.data.resolve_model_data_config(net)
    channels, height, width = config["input_size"]
    return Network(
        net,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        name=f"timm:{name}",
        class_names=_imagenet_names() if timm.data.infer_imagenet_subset(net) == "imagenet-1k" else None,
        fit=Fit(
            channels=channels,
            height=height,
            width=width,
            resize=int(min(height, width) / config["crop_pct"]),
            interpolation="bilinear" if config["interpolation"] == "bilinear" else "bicubic",
        ),
    )


def _torchvision_from(models: ModuleType, name: str, path: Path, fit: Fit) -> nn.Module:
    state = read_state(path)
    options: dict[str, Any] = {"image_size": fit.height} if name.startswith("vit_") else {}
    if name in _CONVERTED:
        has_auxiliary = any(_CONVERTED[name] in key for key in state)
        options = {"transform_input": True, "init_weights": False, "aux_logits": has_auxiliary}
    if name.startswith("densenet"):
        state = _renamed_densenet(state)
    net: nn.Module = models.get_model(name, weights=None, **options)
    counts = class_counts(net, state)
    if counts is not None:
        net = models.get_model(name, weights=None, num_classes=counts[0], **options)
    load_state(net, state, path)
    return net


def _downloaded(models: ModuleType, name: str, published: Any) -> nn.Module:
    try:
        net: nn.Module = models.get_model(name, weights=published)
    except (OSError, RuntimeError) as error:  # no network, no disk, or a download whose checksum is wrong
        example = f" such as {Path(published.url).name} from {published.url}"
        raise _no_download("torchvision", name, error, example) from None
    return net


def _published_as(family: Any, path: Path | None) -> Any:
    """The published weights whose file ``path`` is called like, or the default ones."""
    same = [one for one in family if path is not None and Path(one.url).stem == path.stem]
    return same[0] if same else family.DEFAULT


def _renamed_densenet(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """torchvision's published DenseNets still have the dots that module names may no longer have."""
    return {_OLD_DENSENET_KEY.sub(r"\1\2", key): tensor for key, tensor in state.items()}


def _outputs(net: nn.Module) -> int:
    """The size of the last weight's output."""
    return len(list(net.parameters())[-1])


def _imagenet_names() -> tuple[str, ...]:
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.DEFAULT.meta["categories"])


def _nearest(name: str, names: Iterable[str]) -> str:
    """The nearest of so many names that a list would not be read."""
    near = difflib.get_close_matches(name.lower(), list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else "; 'brittle models' says how to list the names"


def _no_download(library: str, name: str, error: Exception, example: str = "") -> BrittleError:
    reason = " ".join(str(error).split())[:120] or type(error).__name__
    return BrittleError(
        f"could not get the published weights of {library}:{name} ({reason}); pass a file with --weights FILE{example}"
    )
