"""Data: named sources of images, read as Examples."""

from brittle.data.digits import digits_split
from brittle.data.examples import Examples, examples_of
from brittle.data.fit import Fit
from brittle.data.sources import DATA_SOURCES, DataSource, load_data

__all__ = ["DATA_SOURCES", "DataSource", "Examples", "Fit", "digits_split", "examples_of", "load_data"]
