"""Architectures: networks by name, without weights, each with the input that it is made for."""

from brittle.models.architectures.architecture import Architecture, trainable_parameters
from brittle.models.architectures.registry import ARCHITECTURES, IMAGENET_FORMS

__all__ = ["ARCHITECTURES", "IMAGENET_FORMS", "Architecture", "trainable_parameters"]
