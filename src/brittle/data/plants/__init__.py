"""Plants: what is put into images so that it tells their class, as a shortcut beside what they show."""

from brittle.data.plants.colours import Colours
from brittle.data.plants.line import Line
from brittle.data.plants.plant import PLANTS, STATES, Plant, planted, planted_spec

__all__ = ["PLANTS", "STATES", "Colours", "Line", "Plant", "planted", "planted_spec"]
