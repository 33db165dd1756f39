"""What plates are drawn with: filled shapes, strokes and letters on a square from -1 to 1, y downwards."""

import math
from collections.abc import Iterable, Sequence
from typing import final

import numpy as np
from PIL import Image, ImageDraw

Point = tuple[float, float]
Colour = tuple[int, int, int]

REACH = 1.06
"""Half of what is drawn on: a plate reaches from -1 to 1, and its edge is to be smooth."""
_SIDE, _FINER = 128, 4


def arc(centre: Point, radius: Point | float, start: float, end: float) -> list[Point]:
    """Points of an ellipse from one angle to another, in degrees: 0 is right, 90 is down."""
    across, down = radius if isinstance(radius, tuple) else (radius, radius)
    return [
        (centre[0] + across * math.cos(math.radians(angle)), centre[1] + down * math.sin(math.radians(angle)))
        for angle in np.linspace(start, end, 25).tolist()
    ]


def polygon(corners: int, radius: float, first: float) -> list[Point]:
    """A regular polygon around the middle, its first corner at an angle in degrees."""
    angles = [math.radians(first + 360 * corner / corners) for corner in range(corners)]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


# Strokes of characters as wide as they say, from 0 (top) to 1 (bottom).
_LETTERS: dict[str, tuple[float, list[list[Point]]]] = {
    "0": (0.56, [[*arc((0.28, 0.3), (0.28, 0.3), 180, 360), *arc((0.28, 0.7), (0.28, 0.3), 0, 180), (0, 0.28)]]),
    "1": (0.3, [[(0.0, 0.22), (0.2, 0.02), (0.2, 1.0)]]),
    "3": (0.54, [[*arc((0.26, 0.26), (0.25, 0.26), 195, 450), *arc((0.26, 0.75), (0.28, 0.25), -90, 160)]]),
    "5": (0.54, [[(0.5, 0), (0.08, 0), (0.04, 0.46), *arc((0.26, 0.69), (0.28, 0.31), 225, 510)]]),
    "8": (0.56, [arc((0.28, 0.25), (0.24, 0.25), 0, 375), arc((0.28, 0.74), (0.28, 0.26), 0, 375)]),
    "O": (0.58, [[*arc((0.29, 0.3), (0.29, 0.3), 180, 360), *arc((0.29, 0.7), (0.29, 0.3), 0, 180), (0, 0.28)]]),
    "P": (0.54, [[(0, 1), (0, 0), (0.27, 0), *arc((0.27, 0.28), (0.27, 0.28), -90, 90), (0, 0.56)]]),
    "S": (0.54, [[*arc((0.27, 0.26), (0.26, 0.26), 330, 90), *arc((0.27, 0.75), (0.27, 0.25), -90, 150)]]),
    "T": (0.6, [[(0, 0), (0.6, 0)], [(0.3, 0), (0.3, 1)]]),
}


@final
class Pen:
    """Draws much larger than what comes out, so that edges are smooth."""

    def __init__(self) -> None:
        self._image = Image.new("RGBA", (_SIDE * _FINER, _SIDE * _FINER))
        self._draw = ImageDraw.Draw(self._image)

    def fill(self, points: Iterable[Point], colour: Colour) -> None:
        """A polygon."""
        self._draw.polygon([self._at(point) for point in points], fill=colour)

    def disc(self, radius: float, colour: Colour, centre: Point = (0.0, 0.0)) -> None:
        """A circle."""
        left, top = self._at((centre[0] - radius, centre[1] - radius))
        right, bottom = self._at((centre[0] + radius, centre[1] + radius))
        self._draw.ellipse((left, top, right, bottom), fill=colour)

    def rounded(self, corners: Sequence[Point], radius: float, colour: Colour) -> None:
        """A polygon with round corners, as large as it would be with sharp ones that were cut."""
        self.stroke([*corners, corners[0]], 2 * radius, colour, round_ends=True)
        self.fill(corners, colour)

    def stroke(self, points: Sequence[Point], width: float, colour: Colour, *, round_ends: bool = False) -> None:
        """A line through points."""
        places = [self._at(point) for point in points]
        self._draw.line(places, fill=colour, width=round(width * self._scale), joint="curve")
        if round_ends:
            for point in points:
                self.disc(width / 2, colour, point)

    def write(self, text: str, height: float, thick: float, colour: Colour, gap: float = 0.3) -> None:
        """Characters in a row around the middle, ``height`` tall with their strokes. gap: between two, in heights."""
        tall = height - thick
        widths = [_LETTERS[letter][0] * tall for letter in text]
        space = gap * tall + thick * 0.5
        left = -(sum(widths) + space * (len(text) - 1)) / 2
        for letter, width in zip(text, widths, strict=True):
            for points in _LETTERS[letter][1]:
                self.stroke([(left + x * tall, (y - 0.5) * tall) for x, y in points], thick, colour)
            left += width + space

    def arrow(self, tail: Point, tip: Point, thick: float, head: float, colour: Colour) -> None:
        """A straight arrow; head: how wide and long its tip is."""
        length = math.dist(tail, tip)
        ahead = ((tip[0] - tail[0]) / length, (tip[1] - tail[1]) / length)
        neck = (tip[0] - ahead[0] * head * 0.8, tip[1] - ahead[1] * head * 0.8)
        side = (-ahead[1] * head * 0.62, ahead[0] * head * 0.62)
        self.stroke([tail, (neck[0] + ahead[0] * 0.02, neck[1] + ahead[1] * 0.02)], thick, colour)
        self.fill([tip, (neck[0] + side[0], neck[1] + side[1]), (neck[0] - side[0], neck[1] - side[1])], colour)

    def done(self) -> Image.Image:
        """The plate, colours multiplied by opacity (``RGBa``), 128 x 128 pixels for a square of ``2 * REACH``."""
        return self._image.convert("RGBa").resize((_SIDE, _SIDE), Image.Resampling.BOX)

    @property
    def _scale(self) -> float:
        return _SIDE * _FINER / (2 * REACH)

    def _at(self, point: Point) -> Point:
        return (point[0] + REACH) * self._scale, (point[1] + REACH) * self._scale
