"""The one-cycle learning rate."""

import math


def one_cycle(progress: float, peak: float, warm_up: float) -> float:
    """The rate after a share ``progress`` of all steps: up in a straight line, then down to 0 as a cosine does.

    peak: reached after the share ``warm_up``. Starts at 1/25 of it. Source: Smith and Topin, arXiv:1708.07120, with the
    cosine that has become usual.
    """
    if progress < warm_up:
        return peak * (0.04 + 0.96 * progress / warm_up)
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))
