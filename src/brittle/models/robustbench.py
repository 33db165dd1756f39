"""Networks of RobustBench (Croce et al. 2021, arXiv:2010.09670), by their names there."""

from importlib import import_module
from pathlib import Path
from typing import Any

from brittle.data.fit import Fit
from brittle.errors import BrittleError, did_you_mean
from brittle.extras import EXTRAS, needed
from brittle.models.network import Network

_SIDES = {"cifar10": 32, "cifar100": 32, "imagenet": 224}
_CLASSES = {"cifar10": "airplane automobile bird cat deer dog frog horse ship truck"}
_CIFAR, _LINF = "cifar10", "Linf"


def load_robustbench(text: str, path: Path | None) -> Network:
    """``NAME``, or ``DATASET/THREAT/NAME``; by default of CIFAR-10 in L-infinity.

    Images of 224 pixels are resized and cropped as most of its ImageNet models have it (256, then the centre); models
    of other sizes are to be asked through ``python:``. BrittleError where the library is missing, has no such model, or
    cannot download it.
    """
    if path is not None:
        raise BrittleError(f"RobustBench has the weights of its models: expected no --weights, got {path}")
    needed("robustbench", "models called robustbench:NAME are those of RobustBench")
    dataset, threat, name = _parts(text)
    try:
        zoo: Any = import_module("robustbench.model_zoo").model_dicts
    except ImportError as error:
        raise BrittleError(f"RobustBench is not all there ({error}): {EXTRAS['robustbench'].command}") from None
    known = {str(kind.value): {str(one.value): models for one, models in each.items()} for kind, each in zoo.items()}
    if dataset not in known or dataset not in _SIDES:
        raise BrittleError(f"RobustBench has no models of {dataset!r} here{did_you_mean(dataset, _SIDES)}")
    if threat not in known[dataset]:
        raise BrittleError(f"RobustBench has no models against {threat!r}{did_you_mean(threat, known[dataset])}")
    if name not in known[dataset][threat]:
        raise BrittleError(
            f"RobustBench has no model {name!r} of {dataset}{did_you_mean(name, known[dataset][threat])}"
        )
    try:
        net = import_module("robustbench.utils").load_model(model_name=name, dataset=dataset, threat_model=threat)
    except Exception as error:  # no network, no disk, a moved file: its download stack raises anything
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise BrittleError(
            f"could not get robustbench:{text} ({reason}); it is downloaded once, into ./models"
        ) from None
    side = _SIDES[dataset]
    fit = Fit(channels=3, height=side, width=side, resize=256 if side == 224 else None)
    classes = tuple(_CLASSES[dataset].split()) if dataset in _CLASSES else None
    return Network(net, class_names=classes, name=f"robustbench:{text}", fit=fit)


def _parts(text: str) -> tuple[str, str, str]:
    parts = text.split("/")
    if len(parts) == 1 and text:
        return _CIFAR, _LINF, text
    if len(parts) != 3 or not all(parts):
        raise BrittleError(f"expected robustbench:NAME or robustbench:DATASET/THREAT/NAME, got {text!r}")
    return parts[0], parts[1], parts[2]
