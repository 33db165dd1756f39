"""A map of decisions as a picture: classes by colour, how sure by shade, and what stands where."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from brittle.pages.pen import Pen, length

COLOURS = ("#0f62ac", "#c8371b", "#0a7d58", "#8340a8", "#a66a00", "#1587a6", "#b9346f", "#59606c", "#6f7d0c", "#3d3a86")
"""Of classes, in the order in which they are named; from the eleventh on they begin again."""
PAPER, INK, QUIET = "#ffffff", "#1c1b19", "#67635b"
_SIDE, _EDGE, _LINE, _TEXT = 400, 12, 28, 19
_PALE = 0.72  # of white, where the network is torn between two classes


class Mark(NamedTuple):
    """A place on a map: right and up in [-1, 1], from the middle to the edges."""

    right: float
    up: float
    label: str


def decisions_picture(
    classes: npt.NDArray[np.int64],
    shade: npt.NDArray[np.float64],
    names: Mapping[int, str],
    marks: Sequence[Mark],
    axes: tuple[str, str],
) -> Image.Image:
    """The map with a legend below it.

    classes: ``[N, N]``. shade: ``[N, N]``, 0 on a boundary, 1 where the network is sure. names: of the classes that are
    to be named, the first gets the first colour. axes: what lies to the right, and above.
    """
    colours = {one: _rgb(COLOURS[k % len(COLOURS)]) for k, one in enumerate(names)}
    full = np.array([[colours[one] for one in row] for row in classes], dtype=np.float64)
    pale = _PALE * (1 - shade.clip(0, 1))[:, :, None]
    levels = full * (1 - pale) + 255 * pale
    edge = np.zeros(classes.shape, dtype=bool)
    edge[:, 1:] |= classes[:, 1:] != classes[:, :-1]
    edge[1:] |= classes[1:] != classes[:-1]
    levels[edge] = _rgb(INK)
    plane = Image.fromarray(np.rint(levels).astype(np.uint8)).resize((_SIDE, _SIDE), Image.Resampling.NEAREST)
    there = [one for one in names if (classes == one).any()]
    rows = _rows([names[one] for one in there])
    picture = Image.new("RGB", (_SIDE + 2 * _EDGE, _SIDE + 2 * _EDGE + _LINE * (2 + len(rows))), PAPER)
    picture.paste(plane, (_EDGE, _EDGE))
    draw = ImageDraw.Draw(picture)
    for mark in marks:
        _stand(draw, mark)
    pen, top = Pen(draw), _SIDE + 2 * _EDGE - 4
    for text in (f"right: {axes[0]}", f"up: {axes[1]}"):
        pen.text(_EDGE, top, text, _TEXT, QUIET, _SIDE)
        top += _LINE
    for row in rows:
        left = float(_EDGE)
        for at in row:
            colour = COLOURS[list(names).index(there[at]) % len(COLOURS)]
            draw.rectangle((left, top + 5, left + 14, top + 19), fill=colour)
            left += 21 + pen.text(round(left) + 21, top, names[there[at]], _TEXT, INK, _SIDE / 2) + 16
        top += _LINE
    return picture


def _rows(names: Sequence[str]) -> list[list[int]]:
    """Which names stand in one line."""
    rows, left = [list[int]()], 0.0
    for at, name in enumerate(names):
        wide = 37 + min(length(name, _TEXT), _SIDE / 2)
        if rows[-1] and left + wide > _SIDE + 16:
            rows.append([])
            left = 0.0
        rows[-1].append(at)
        left += wide
    return rows


def _stand(draw: ImageDraw.ImageDraw, mark: Mark) -> None:
    """A white dot with a black rim and its name beside it, away from the middle."""
    x, y = (_EDGE + _SIDE * (1 + one) / 2 for one in (mark.right, -mark.up))
    draw.ellipse((x - 5, y - 5, x + 5, y + 5), fill=PAPER, outline=INK, width=2)
    wide = length(mark.label, _TEXT)
    left = x + 9 if mark.right > 0 and x + 9 + wide < _EDGE + _SIDE else x - 9 - wide
    draw.rectangle((left - 2, y - 12, left + wide + 2, y + 12), fill=PAPER)
    Pen(draw).text(round(left), round(y) - 12, mark.label, _TEXT, INK, wide + 1)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
