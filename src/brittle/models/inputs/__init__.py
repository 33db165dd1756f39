"""What a network may be given in place of an image, or beside it: contours, oriented energies, textures."""

from brittle.models.inputs.behind import INPUTS, Behind, on_inputs

__all__ = ["INPUTS", "Behind", "on_inputs"]
