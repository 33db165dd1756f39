"""Named models: a model spec as typed on the command line -> a Classifier."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import final

import torch
from torch import nn

from brittle.checks import place, text
from brittle.data.fit import Fit
from brittle.data.signs import SIGNS, signs_train
from brittle.errors import BrittleError, did_you_mean
from brittle.models.architectures import ARCHITECTURES, Architecture
from brittle.models.black_box import BlackBox
from brittle.models.classifier import Classifier, Settings, is_classifier
from brittle.models.device import usable
from brittle.models.digits_cnn import DigitsCNN
from brittle.models.factory import made_by
from brittle.models.fitted import load_fitted
from brittle.models.network import Network
from brittle.models.onnx_file import onnx_file
from brittle.models.pretrained import load_pretrained
from brittle.models.published import load_timm, load_torchvision
from brittle.models.robustbench import load_robustbench
from brittle.models.signs_cnn import SignsCNN
from brittle.models.trained import load_run
from brittle.models.training import trained
from brittle.models.weights import class_counts, load_state, load_weights, read_state
from brittle.types import Precision


@final
@dataclass(frozen=True, slots=True)
class ModelSource:
    """One form of model spec: how it is written, what it is, and how it is got.

    load: (what follows the colon, the weights file or None) -> the Classifier, as it is published.
    """

    form: str
    summary: str
    load: Callable[[str, Path | None], Classifier]


def load_model(
    spec: str,
    *,
    weights: str | Path | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    class_names: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
    batch_size: int | None = None,
    precision: Precision | None = None,
    reject: str | int | None = None,
) -> Classifier:
    """The classifier that ``spec`` names (one of ``MODELS``), with the weights in ``weights``.

    mean, std, class_names, reject: instead of what was published with it; device, batch_size, precision: as for
    ``Network``.
    ``Classifier.fit`` is the image size that it wants. Raises BrittleError for an unknown name, unusable weights,
    missing weights, or a factory that fails.
    """
    path = None if weights is None else place("weights", weights)
    check_model(spec)
    kind, _, rest = spec.partition(":")
    return (
        MODELS[kind]
        .load(rest, path)
        .adjusted(
            Settings(
                mean=mean,
                std=std,
                class_names=class_names,
                device=usable(device),
                batch_size=batch_size,
                precision=precision,
                reject=reject,
            )
        )
    )


def check_model(spec: str) -> None:
    """Refuses what names no model, as far as can be told without loading it."""
    kind, colon, _ = text("a model", spec, "torchvision:resnet18").partition(":")
    source = MODELS.get(kind)
    if source is None or bool(colon) != (":" in source.form):
        forms = [known.form for known in MODELS.values()]
        raise BrittleError(f"unknown model {spec!r}{did_you_mean(spec, forms)}")


def _digits(_: str, path: Path | None) -> Classifier:
    net = DigitsCNN()
    if path is None:
        net.load_state_dict(_digits_weights())
        net.eval()
    else:
        load_weights(net, path)
    fit = Fit(channels=1, height=8, width=8)
    return Network(net, class_names=tuple("0123456789"), name="digits-cnn", fit=fit)


@cache
def _digits_weights() -> dict[str, torch.Tensor]:
    """Trained once in a process: several runs of a study ask for the same network."""
    # Imported here: scikit-learn, which holds the digits, takes a second to import.
    from brittle.data.digits import digits_split

    return trained(DigitsCNN, digits_split()[0], peak_rate=0.01, epochs=8).state_dict()


def _signs(_: str, path: Path | None) -> Classifier:
    # A higher rate would learn faster, and smoother features: the changes that fool such a network are larger.
    net = SignsCNN() if path else trained(SignsCNN, signs_train(), peak_rate=0.008, epochs=5)
    if path is not None:
        load_weights(net, path)
    return Network(net, class_names=SIGNS, name="signs-cnn", fit=Fit(channels=3, height=64, width=64))


def _of_architecture(architecture: Architecture, _: str, path: Path | None) -> Classifier:
    """With as many classes as the weights have."""
    name, names = architecture.name, architecture.class_names
    if path is None:
        raise BrittleError(f"{name} comes without weights, and random ones would say nothing: pass --weights FILE")
    state = read_state(path)
    net = architecture.build(len(names))
    counts = class_counts(net, state)
    if counts is not None:
        net = architecture.build(counts[0])
    load_state(net, state, path)
    return Network(
        net,
        mean=architecture.mean,
        std=architecture.std,
        class_names=names if counts is None else None,
        name=name,
        fit=architecture.fit,
    )


def _onnx(text: str, path: Path | None) -> Classifier:
    if path is not None:
        raise BrittleError(f"an ONNX file holds its weights: expected no --weights, got {path}")
    inside = onnx_file(text)
    return BlackBox(inside, name=f"onnx:{text}", fit=inside.fit)


def _python(target: str, path: Path | None) -> Classifier:
    made, name = made_by(target), f"python:{target}"
    if path is not None:
        net = made.net if isinstance(made, Network) else made
        if not isinstance(net, nn.Module):
            raise BrittleError(f"{name} returns no network: expected no --weights, got {path}")
        load_weights(net, path)
    if is_classifier(made):
        return made
    return Network(made, name=name) if isinstance(made, nn.Module) else BlackBox(made, name=name)


_SOURCES = (
    ModelSource("digits-cnn", "small CNN for the bundled 8 x 8 digits; trained on the spot without --weights", _digits),
    ModelSource("signs-cnn", "small CNN for the drawn traffic signs; trained on the spot without --weights", _signs),
    *(ModelSource(one.name, one.summary, partial(_of_architecture, one)) for one in ARCHITECTURES.values()),
    ModelSource(
        "run:DIR",
        "what brittle train has left in a run directory; run:DIR#NAME where it has several networks",
        load_run,
    ),
    ModelSource(
        "torchvision:NAME",
        "torchvision classifier, published weights or --weights; names: torchvision.models.list_models()",
        load_torchvision,
    ),
    ModelSource(
        "timm:NAME",
        "timm classifier (pip install brittle[timm]), published weights or --weights; names: timm.list_models()",
        load_timm,
    ),
    ModelSource(
        "onnx:FILE",
        "scores of an ONNX file (pip install brittle[onnx]); add ,layout=nhwc or ,range=255 where it does not say so",
        _onnx,
    ),
    ModelSource(
        "hf:REPO",
        "classifier of the Hugging Face hub, or a folder of save_pretrained (pip install brittle[transformers])",
        load_pretrained,
    ),
    ModelSource(
        "robustbench:NAME",
        "network of RobustBench (pip install brittle[robustbench]), or DATASET/THREAT/NAME; weights are downloaded",
        load_robustbench,
    ),
    ModelSource(
        "sklearn:KIND:DATA",
        "linear, svm, tree, forest or knn of scikit-learn, fitted on the spot to 10,000 images, or KIND,limit=N",
        load_fitted,
    ),
    ModelSource(
        "python:package.module:factory",
        "your own: a function without arguments that returns a torch.nn.Module, a fitted estimator or a Classifier",
        _python,
    ),
)

MODELS: Mapping[str, ModelSource] = MappingProxyType({source.form.partition(":")[0]: source for source in _SOURCES})
"""What ``brittle models`` lists, by the word before the colon."""
