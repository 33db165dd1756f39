"""Sixteen traffic signs, drawn by their usual proportions."""

import math
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType

from PIL import Image

from brittle.data.signs.pen import Pen, arc, polygon

RED, WHITE, BLUE = (190, 24, 38), (240, 240, 236), (16, 82, 165)
YELLOW, BLACK, GREY = (248, 190, 20), (22, 22, 24), (90, 92, 94)
_RIM = 0.04


def _stop(pen: Pen) -> None:
    pen.fill(polygon(8, 1.08, 22.5), WHITE)
    pen.fill(polygon(8, 1.0, 22.5), RED)
    pen.write("STOP", 0.72, 0.12, WHITE, gap=0.11)


def _yield(pen: Pen) -> None:
    pen.rounded([(-0.88, -0.72), (0.88, -0.72), (0, 0.8)], 0.12, WHITE)
    pen.rounded([(-0.85, -0.7), (0.85, -0.7), (0, 0.76)], 0.11, RED)
    pen.rounded([(-0.47, -0.47), (0.47, -0.47), (0, 0.34)], 0.04, WHITE)


def _no_entry(pen: Pen) -> None:
    pen.disc(1.0, WHITE)
    pen.disc(1 - _RIM, RED)
    pen.fill([(-0.74, -0.18), (0.74, -0.18), (0.74, 0.18), (-0.74, 0.18)], WHITE)


def _priority(pen: Pen) -> None:
    pen.rounded(polygon(4, 0.9, 0), 0.08, BLACK)
    pen.rounded(polygon(4, 0.87, 0), 0.075, WHITE)
    pen.rounded(polygon(4, 0.6, 0), 0.04, BLACK)
    pen.rounded(polygon(4, 0.57, 0), 0.04, YELLOW)


def _limit(number: str) -> Callable[[Pen], None]:
    def draw(pen: Pen) -> None:
        pen.disc(1.0, WHITE)
        pen.disc(1 - _RIM, RED)
        pen.disc(0.72, WHITE)
        long = len(number) > 2
        pen.write(number, 0.78 if long else 0.86, 0.13 if long else 0.155, BLACK, gap=0.1 if long else 0.14)

    return draw


def _end_of_limits(pen: Pen) -> None:
    pen.disc(1.0, GREY)
    pen.disc(1 - _RIM, WHITE)
    for offset in (-0.3, -0.15, 0.0, 0.15, 0.3):
        middle = offset * math.sqrt(0.5)
        half = math.sqrt(0.88**2 - offset**2) * math.sqrt(0.5)
        pen.stroke([(middle - half, middle + half), (middle + half, middle - half)], 0.07, BLACK)


def _no_parking(pen: Pen) -> None:
    pen.disc(1.0, WHITE)
    pen.disc(1 - _RIM, RED)
    pen.disc(0.78, BLUE)
    pen.stroke([(-0.6, -0.6), (0.6, 0.6)], 0.2, RED)


def _keep_right(pen: Pen) -> None:
    _blue_disc(pen)
    pen.arrow((-0.52, -0.52), (0.55, 0.55), 0.22, 0.52, WHITE)


def _roundabout(pen: Pen) -> None:
    _blue_disc(pen)
    for turn in (0, 120, 240):
        pen.fill([*arc((0, 0), 0.61, turn + 8, turn + 82), *arc((0, 0), 0.42, turn + 82, turn + 8)], WHITE)
        tip, root = math.radians(turn - 26), math.radians(turn + 12)
        pen.fill(
            [
                (0.54 * math.cos(tip), 0.54 * math.sin(tip)),
                (0.74 * math.cos(root), 0.74 * math.sin(root)),
                (0.3 * math.cos(root), 0.3 * math.sin(root)),
            ],
            WHITE,
        )


def _one_way(pen: Pen) -> None:
    _blue_plate(pen, 0.9, 0.36)
    pen.arrow((-0.74, 0), (0.78, 0), 0.2, 0.46, WHITE)


def _crossing(pen: Pen) -> None:
    _blue_plate(pen, 0.82, 0.82)
    pen.fill([(0, -0.72), (0.74, 0.62), (-0.74, 0.62)], WHITE)
    pen.disc(0.095, BLACK, (0.03, -0.3))
    for limb, width in (
        ([(0.02, -0.14), (-0.02, 0.16)], 0.17),  # body
        ([(0.0, -0.12), (0.17, 0.02), (0.24, 0.12)], 0.07),
        ([(0.0, -0.12), (-0.15, 0.0), (-0.2, 0.12)], 0.07),
        ([(0.0, 0.16), (0.14, 0.34), (0.18, 0.54)], 0.1),
        ([(-0.02, 0.16), (-0.1, 0.36), (-0.26, 0.52)], 0.1),
    ):
        pen.stroke(limb, width, BLACK, round_ends=True)
    for stripe in (-0.52, -0.17, 0.2, 0.53):
        pen.stroke([(stripe - 0.06, 0.59), (stripe + 0.06, 0.59)], 0.06, BLACK)


def _dead_end(pen: Pen) -> None:
    _blue_plate(pen, 0.82, 0.82)
    pen.fill([(-0.14, 0.74), (0.14, 0.74), (0.14, -0.2), (-0.14, -0.2)], WHITE)
    pen.fill([(-0.56, -0.58), (0.56, -0.58), (0.56, -0.16), (-0.56, -0.16)], WHITE)
    pen.fill([(-0.5, -0.53), (0.5, -0.53), (0.5, -0.22), (-0.5, -0.22)], RED)


def _danger(pen: Pen) -> None:
    pen.rounded([(-0.88, 0.72), (0.88, 0.72), (0, -0.8)], 0.12, WHITE)
    pen.rounded([(-0.85, 0.7), (0.85, 0.7), (0, -0.76)], 0.11, RED)
    pen.rounded([(-0.6, 0.55), (0.6, 0.55), (0, -0.48)], 0.04, WHITE)
    pen.fill([(-0.1, -0.3), (0.1, -0.3), (0.05, 0.22), (-0.05, 0.22)], BLACK)
    pen.disc(0.085, BLACK, (0, 0.38))


def _blue_disc(pen: Pen) -> None:
    pen.disc(1.0, WHITE)
    pen.disc(1 - _RIM, BLUE)


def _blue_plate(pen: Pen, across: float, down: float) -> None:
    for inset, colour in ((0.0, WHITE), (0.035, BLUE)):
        x, y = across - inset, down - inset
        pen.rounded([(-x, -y), (x, -y), (x, y), (-x, y)], 0.1, colour)


PLATES: Mapping[str, Callable[[Pen], None]] = MappingProxyType(
    {
        "stop": _stop,
        "yield": _yield,
        "no entry": _no_entry,
        "priority road": _priority,
        "speed limit 30": _limit("30"),
        "speed limit 50": _limit("50"),
        "speed limit 80": _limit("80"),
        "speed limit 100": _limit("100"),
        "end of limits": _end_of_limits,
        "no parking": _no_parking,
        "keep right": _keep_right,
        "roundabout": _roundabout,
        "one way": _one_way,
        "pedestrian crossing": _crossing,
        "dead end": _dead_end,
        "danger": _danger,
    }
)
"""How each sign is drawn, by its name."""

SIGNS = tuple(PLATES)


@cache
def plate(name: str) -> Image.Image:
    """The sign as ``Pen.done`` gives it."""
    pen = Pen()
    PLATES[name](pen)
    return pen.done()
