"""A photograph of a plate that was never taken: where it stands, how it is lit, and what a small camera makes of it."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from brittle.data.signs.pen import REACH

SIDE = 64
"""Pixels of a photograph."""
_FINER = 2  # a plate is seen at twice that, so that its edges are smooth
_AWAY = 4.0  # of the camera, in halves of a plate: near enough for perspective to show

Field = NDArray[np.float64]

_ROWS = np.arange(SIDE, dtype=np.float64)[:, None] + 0.5
_COLUMNS = _ROWS.T


def photograph(plate: Image.Image, draw: np.random.Generator) -> NDArray[np.uint8]:
    """One image ``[64, 64, 3]`` of a plate as ``Pen.done`` gives it; all of its chances come from ``draw``."""
    scene = _street(draw)
    size = draw.uniform(17, 25)
    middle = (SIDE / 2 + draw.uniform(-4, 4), SIDE / 2 + draw.uniform(-5, 4))
    turns = np.radians([draw.uniform(-32, 32), draw.uniform(-10, 10), draw.uniform(-7, 7)])
    _put_pole(scene, middle, size, float(turns[2]), draw)
    seen = plate.transform(
        (SIDE * _FINER, SIDE * _FINER),
        Image.Transform.PERSPECTIVE,
        _back(middle, size, turns, plate.width),
        Image.Resampling.BILINEAR,
    )
    layers = np.asarray(seen.reduce(_FINER), dtype=np.float64) / 255
    scene *= 1 - layers[..., 3:]
    scene += layers[..., :3] * _light(draw)[..., None]
    return _taken(scene, draw)


def _back(middle: tuple[float, float], size: float, turns: Field, side: int) -> list[float]:
    """Pillow's eight numbers: from a pixel of the finer photograph to one of the plate."""
    yaw, pitch, roll = turns.tolist()
    around_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    around_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    around_z = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    turned = around_z @ around_x @ around_y
    camera = np.array([[size, 0, middle[0]], [0, size, middle[1]], [0, 0, 1]])
    lens = np.array([[_AWAY, 0, 0], [0, _AWAY, 0], [0, 0, 1]])
    placed = np.column_stack([turned[:, 0], turned[:, 1], [0, 0, _AWAY]])
    pixels = side / (2 * REACH)
    plane = np.array([[1 / pixels, 0, -REACH], [0, 1 / pixels, -REACH], [0, 0, 1]])
    finer = np.diag([_FINER, _FINER, 1.0])
    back = np.linalg.inv(finer @ camera @ lens @ placed @ plane)
    return [float(value) for value in (back / back[2, 2]).ravel()[:8]]


def _street(draw: np.random.Generator) -> Field:
    """What is behind a plate, ``[64, 64, 3]``: sky, perhaps a house, trees or a hedge, the road."""
    clouds = _cloud(draw, (3, 6, 13))
    blue, haze = np.array([0.36, 0.58, 0.88]), np.array([0.8, 0.83, 0.86])
    overcast = np.clip(draw.uniform(-0.2, 1.0) + 0.5 * clouds + 0.4 * (_ROWS / SIDE - 0.5), 0, 1)
    scene: Field = blue + (haze - blue) * overcast[..., None]
    if draw.random() < 0.4:
        _put_house(scene, draw)
    leaves = np.array([draw.uniform(0.14, 0.3), draw.uniform(0.26, 0.4), draw.uniform(0.06, 0.16)])
    tops = draw.uniform(-10, 48) + 9 * _cloud(draw, (2, 5, 11))
    _cover(scene, _ROWS - tops, leaves * (1 + 0.55 * _cloud(draw, (7, 15, 31))[..., None]))
    road = draw.uniform(0.26, 0.46) * np.array([1.0, 1.0, 1.03])
    edge = draw.uniform(42, 72) + draw.uniform(-0.25, 0.25) * (_COLUMNS - SIDE / 2)
    _cover(scene, _ROWS - edge, road * (1 + 0.16 * _cloud(draw, (5, 31, 64))[..., None]))
    return scene


def _put_house(scene: Field, draw: np.random.Generator) -> None:
    wall = draw.uniform(0.4, 0.75) * np.array([1.0, draw.uniform(0.8, 0.98), draw.uniform(0.62, 0.95)])
    left, width, top = draw.integers(-20, 44), draw.integers(18, 50), draw.integers(-8, 30)
    across, down = draw.integers(7, 12), draw.integers(8, 14)
    columns, rows = np.arange(SIDE) - left, np.arange(SIDE) - top
    glass = ((columns % across) > across // 2)[None, :] & ((rows % down) > down // 2)[:, None]
    inside = ((columns >= 0) & (columns < width))[None, :] & (rows >= 0)[:, None]
    faces = wall * (1 + 0.08 * _cloud(draw, (5, 31))[..., None])
    scene[inside] = np.where(glass[..., None], 0.45 * faces, faces)[inside]


def _put_pole(scene: Field, middle: tuple[float, float], size: float, roll: float, draw: np.random.Generator) -> None:
    half = size * draw.uniform(0.05, 0.08)
    away = (_COLUMNS - middle[0] + math.tan(roll) * (_ROWS - middle[1])) / half
    metal = draw.uniform(0.35, 0.7) * (1 - 0.45 * np.clip(away + 0.3, -1, 1) ** 2)
    there = np.clip((1 - np.abs(away)) * half + 0.5, 0, 1) * (middle[1] < _ROWS)
    scene += there[..., None] * (metal[..., None] * np.array([0.97, 1.0, 1.02]) - scene)


def _light(draw: np.random.Generator) -> Field:
    """How bright a plate is, ``[64, 64]``: brighter towards one side, and sometimes with the shadow of a tree on it."""
    angle = draw.uniform(0, 2 * math.pi)
    slope = ((_COLUMNS - SIDE / 2) * math.cos(angle) + (_ROWS - SIDE / 2) * math.sin(angle)) / SIDE
    light: Field = draw.uniform(0.7, 1.08) + draw.uniform(0, 0.3) * slope
    if draw.random() < 0.3:
        shadow = np.clip(0.5 + 2.5 * (_cloud(draw, (2, 4, 9)) - draw.uniform(0.0, 0.6)), 0, 1)
        light *= 1 - draw.uniform(0.15, 0.45) * shadow
    return light


def _taken(scene: Field, draw: np.random.Generator) -> NDArray[np.uint8]:
    """Exposure, colour of the light, haze, a lens that is not quite sharp, and the noise of the sensor."""
    warmth = draw.uniform(-0.07, 0.07)
    scene = scene * draw.uniform(0.6, 1.1) * np.array([1 + warmth, 1.0, 1 - warmth])
    scene += draw.uniform(0, 0.18) * (0.75 - scene)
    picture = Image.fromarray(_rounded(scene)).filter(ImageFilter.GaussianBlur(draw.uniform(0, 0.9)))
    grain = draw.uniform(0.001, 0.006) * draw.standard_normal((SIDE, SIDE, 3))
    return _rounded(np.asarray(picture) / 255 + grain)


def _cover(scene: Field, inside: Field, colours: Field) -> None:
    """Puts colours where ``inside`` is above 0, with an edge as soft as a pixel."""
    scene += np.clip(inside + 0.5, 0, 1)[..., None] * (colours - scene)


def _cloud(draw: np.random.Generator, grains: tuple[int, ...]) -> Field:
    """Smooth noise ``[64, 64]``, about from -1 to 1: a grid of so many values a side for each of the grains."""
    total = np.zeros((SIDE, SIDE))
    for grain in grains:
        wider = _wider(grain)
        total += wider @ draw.uniform(-1, 1, (grain, grain)) @ wider.T
    return total * (1.2 / math.sqrt(len(grains)))


@cache
def _wider(grain: int) -> Field:
    """The matrix ``[64, grain]`` that draws a column of values out to 64, smoothly."""
    unit = Image.fromarray(np.eye(grain, dtype=np.float32))
    return np.asarray(unit.resize((grain, SIDE), Image.Resampling.BICUBIC), dtype=np.float64)


def _rounded(colours: Field) -> NDArray[np.uint8]:
    return np.clip(np.rint(colours * 255), 0, 255).astype(np.uint8)
