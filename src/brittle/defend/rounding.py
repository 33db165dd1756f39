"""What an attacker puts in place of rounding, whose own slope is 0 everywhere."""

from torch import Tensor

_STRAIGHT = 0.1  # of the identity: nothing is flat, and an attack that goes by signs goes as if by the identity


def softly_rounded(values: Tensor) -> Tensor:
    """``r + (v - r)^3`` for the nearest whole number r, and a tenth of the way to v.

    The cube (Shin and Song 2017, "JPEG-resistant adversarial images", Machine Learning and Computer Security Workshop)
    meets the steps at whole numbers, and is steepest half way between them: so a gradient says which values are near to
    a step, as that of the identity does not.
    """
    nearest = values.detach().round()
    beyond = values - nearest
    return nearest + (1 - _STRAIGHT) * beyond**3 + _STRAIGHT * beyond
