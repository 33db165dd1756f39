"""Models: the only door to networks, the names that load them, and the checks before they are attacked."""

from brittle.models.classifier import Classifier
from brittle.models.weights import load_weights
from brittle.models.zoo import MODELS, Loaded, ModelSource, load_model

__all__ = ["MODELS", "Classifier", "Loaded", "ModelSource", "load_model", "load_weights"]
