"""How well two sets of numbers can be told apart by a threshold."""

import math

import numpy as np
import numpy.typing as npt

from brittle.measure.intervals import Z95, wilson
from brittle.measure.models import Measured

Values = npt.NDArray[np.float64]


def auroc(low: Values, high: Values) -> Measured:
    """P(a value of ``low`` is below one of ``high``), ties by half: the area under the ROC curve.

    Its 95 % interval is DeLong et al. 1988's, on the log-odds, so that it stays in [0, 1]; none where either set has
    fewer than two values. Where the sets do not overlap it is Wilson's of as many pairs as the smaller set has values:
    such pairs are independent.
    """
    if not len(low) or not len(high):
        return Measured(value=None)
    below, above = _shares(high, low), 1 - _shares(low, high)  # of each of low, and of each of high
    area = float(below.mean())
    least, every = min(len(low), len(high)), len(low) + len(high)
    if least < 2:
        return Measured(value=area, of=every)
    if not 0 < area < 1:
        ends = wilson(round(area) * least, least) or (0.0, 1.0)
        return Measured(value=area, low=ends[0], high=ends[1], of=every)
    variance = float(below.var(ddof=1)) / len(low) + float(above.var(ddof=1)) / len(high)
    half = Z95 * math.sqrt(variance) / (area * (1 - area))
    odds = math.log(area / (1 - area))
    low_end, high_end = (1 / (1 + math.exp(-one)) for one in (odds - half, odds + half))
    return Measured(value=area, low=low_end, high=high_end, of=every)


def _shares(others: Values, values: Values) -> Values:
    """For each value the share of the others above it, ties by half."""
    ordered = np.sort(others)
    reached = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    shares: Values = 1 - reached / (2 * len(ordered))
    return shares
