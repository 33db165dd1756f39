"""Models: the only door to classifiers, the names that load them, and the checks before they are attacked."""

from brittle.models.averaged import Averaged
from brittle.models.black_box import BlackBox
from brittle.models.classifier import Classifier
from brittle.models.front import Front, Fronted
from brittle.models.network import Network
from brittle.models.weights import load_weights
from brittle.models.zoo import MODELS, ModelSource, load_model

__all__ = [
    "MODELS",
    "Averaged",
    "BlackBox",
    "Classifier",
    "Front",
    "Fronted",
    "ModelSource",
    "Network",
    "load_model",
    "load_weights",
]
