"""Named networks: a model spec as typed on the command line -> a Classifier and the image size it wants."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, final

import torch

from brittle.data.fit import Fit
from brittle.errors import BrittleError, did_you_mean
from brittle.models.classes import reject_of
from brittle.models.classifier import Classifier
from brittle.models.digits_cnn import DigitsCNN, train_digits_cnn
from brittle.models.factory import made_by
from brittle.models.network import Network
from brittle.models.published import load_timm, load_torchvision
from brittle.models.resnet import CIFAR10_CLASSES, IMAGENET_MEAN, IMAGENET_STD, ResNet20
from brittle.models.weights import load_weights


class Loaded(NamedTuple):
    """A ready classifier, and the image size it wants (None: any, or not known)."""

    classifier: Classifier
    fit: Fit | None


@final
@dataclass(frozen=True, slots=True)
class ModelSource:
    """One form of model spec: how it is written, what it is, and how its network is got.

    load: (what follows the colon, the weights file or None) -> Network, or the Classifier that a factory made.
    """

    form: str
    summary: str
    load: Callable[[str, Path | None], Network | Classifier]


def load_model(
    spec: str,
    *,
    weights: Path | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    class_names: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
    batch_size: int | None = None,
    reject: str | int | None = None,
) -> Loaded:
    """The classifier that ``spec`` names (one of ``MODELS``), with the weights in ``weights``.

    mean, std, class_names: instead of those published with the network; device, batch_size, reject: as for Classifier.
    Raises BrittleError for an unknown name, unusable weights, missing weights, or a factory that fails.
    """
    kind, colon, rest = spec.partition(":")
    source = MODELS.get(kind)
    if source is None or bool(colon) != (":" in source.form):
        forms = [known.form for known in MODELS.values()]
        raise BrittleError(f"unknown model {spec!r}{did_you_mean(spec, forms)}")
    place = _usable(device)
    made = source.load(rest, weights)
    if isinstance(made, Classifier):
        return Loaded(_adjusted(made, spec, mean, std, class_names, place, batch_size, reject), None)
    given = mean is not None or std is not None
    classifier = Classifier(
        made.net,
        mean=mean if given else made.mean,
        std=std if given else made.std,
        class_names=class_names if class_names is not None else made.class_names,
        device=place,
        batch_size=batch_size,
        name=spec,
        reject=reject,
    )
    return Loaded(classifier, made.fit)


def _digits(_: str, path: Path | None) -> Network:
    if path is None:
        # Imported here: scikit-learn, which holds the digits, takes a second to import.
        from brittle.data.digits import digits_split

        train, _test = digits_split()
        if train.labels is None:
            raise RuntimeError("the bundled digits have labels")
        net = train_digits_cnn(train.images(0, len(train)), train.labels)
    else:
        net = DigitsCNN()
        load_weights(net, path)
    return Network(net, class_names=tuple("0123456789"), fit=Fit(channels=1, height=8, width=8))


def _resnet20(_: str, path: Path | None) -> Network:
    if path is None:
        raise BrittleError("resnet20 comes without weights, and random ones would say nothing: pass --weights FILE")
    net = ResNet20()
    load_weights(net, path)
    return Network(net, IMAGENET_MEAN, IMAGENET_STD, CIFAR10_CLASSES, Fit(channels=3, height=32, width=32))


def _python(target: str, path: Path | None) -> Network | Classifier:
    made = made_by(target)
    if path is not None:
        load_weights(made.net if isinstance(made, Classifier) else made, path)
    return made if isinstance(made, Classifier) else Network(made)


def _adjusted(
    classifier: Classifier,
    spec: str,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    class_names: Sequence[str] | None,
    device: torch.device,
    batch_size: int | None,
    reject: str | int | None,
) -> Classifier:
    """A factory's own Classifier: it has decided on its normalisation; where and how it runs is the caller's."""
    if mean is not None or std is not None:
        raise BrittleError(f"{spec} returns a Classifier, which has its own mean and std; drop --mean and --std")
    if class_names is not None:
        classifier.class_names = tuple(class_names)
    if batch_size is not None:
        classifier.batch_size = batch_size
    if reject is not None:
        classifier.reject = reject_of(reject, classifier.class_names)
    classifier.net = classifier.net.to(device)
    classifier.device = device
    return classifier


def _usable(device: str | torch.device) -> torch.device:
    try:
        place = torch.device(device)
    except RuntimeError:
        raise BrittleError(f"expected a device such as cpu or cuda, got {device!r}") from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise BrittleError(f"the device {str(device)!r} is not available here; use cpu")
    return place


_SOURCES = (
    ModelSource("digits-cnn", "small CNN for the bundled 8 x 8 digits; trained on the spot without --weights", _digits),
    ModelSource("resnet20", "ResNet-20 for CIFAR-10 (0.27 M parameters); needs --weights", _resnet20),
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
        "python:package.module:factory",
        "your own: a function without arguments that returns a torch.nn.Module, a fitted estimator or a Classifier",
        _python,
    ),
)

MODELS: Mapping[str, ModelSource] = MappingProxyType({source.form.partition(":")[0]: source for source in _SOURCES})
"""What ``brittle models`` lists, by the word before the colon."""
