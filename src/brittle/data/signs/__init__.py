"""Traffic signs, drawn: plates, and photographs of them that were never taken."""

from brittle.data.signs.parts import load_signs_test, signs_test, signs_train
from brittle.data.signs.plates import SIGNS

__all__ = ["SIGNS", "load_signs_test", "signs_test", "signs_train"]
