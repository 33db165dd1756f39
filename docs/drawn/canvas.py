"""A plane as an SVG that needs no script, takes its colours from the page, and can be shown step by step."""

import html
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from contourpy import contour_generator
from torch import Tensor

from brittle.geometry.norms import L2, Norm
from brittle.models.classifier import Classifier

SIZE = 440
_GRID = 161
_HEAD = 9.0  # length of an arrow's head

Point = Tensor | tuple[float, float]


def at(point: Point) -> tuple[float, float]:
    """Right and up, of an image of two pixels too."""
    if isinstance(point, Tensor):
        right, up = point.flatten().tolist()
        return right, up
    return point


@final
class Canvas:
    """What is drawn on the window ``low`` to ``high`` of a plane, a square unless ``tall`` says otherwise.

    What has a ``step`` appears with it, and what has ``until`` is gone after that one. ``say`` tells what a step does.
    """

    def __init__(
        self, name: str, tells: str, *, low: Point = (0.0, 0.0), high: Point = (1.0, 1.0), tall: int = SIZE
    ) -> None:
        self.name, self.tells = name, tells
        self.low, self.high, self.tall = at(low), at(high), tall
        self.parts: list[str] = []
        self.captions: list[str] = []

    # ---- what happens

    def say(self, text: str) -> int:
        """The next step, and what it does; returns its number, the first is 0."""
        self.captions.append(text)
        return len(self.captions) - 1

    # ---- what is drawn

    def regions(self, classifier: Classifier) -> None:
        """The classes by tint, with the boundaries between them."""
        rights, ups, logits = self._grid(classifier)
        for label in range(logits.shape[2]):
            others = np.delete(logits, label, axis=2).max(2)
            lead = contour_generator(rights, ups, logits[:, :, label] - others)
            polygons, offsets = lead.filled(0, np.inf)
            path = "".join(_rings(self, polygon, starts) for polygon, starts in zip(polygons, offsets, strict=True))
            if path:
                self.parts.append(f'<path class="region k{label}" d="{path}"/>')

    def level(
        self, classifier: Classifier, of: Callable[[Tensor], Tensor], value: float = 0.0, *, kind: str = "level"
    ) -> None:
        """Where a function of the logits has a value."""
        rights, ups, logits = self._grid(classifier)
        height = of(torch.from_numpy(logits).flatten(0, 1)).view(len(ups), len(rights)).double().numpy()
        for line in contour_generator(rights, ups, height).lines(value):
            self.path([(float(a), float(b)) for a, b in line], kind=kind)

    def dot(self, point: Point, label: str = "", *, kind: str = "dot", step: int = 0, until: int | None = None,
            side: str = "right") -> None:  # fmt: skip
        """A place, with its name on a side of it."""
        x, y = self._xy(point)
        radius = {"ask": 2.2, "image": 5.5}.get(kind, 4)
        self._add(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>', step, until)
        if label:
            self.text(point, label, step=step, until=until, side=side)

    def text(self, point: Point, label: str, *, step: int = 0, until: int | None = None, side: str = "right") -> None:
        """Words beside a place: right, left, above or below it."""
        x, y = self._xy(point)
        side = {"right": "left"}.get(side, side) if x > SIZE - 8.5 * len(label) - 9 else side
        move = {"right": (9, 5), "left": (-9, 5), "above": (0, -10), "below": (0, 20)}[side]
        anchor = {"right": "start", "left": "end"}.get(side, "middle")
        words = html.escape(label)
        self._add(
            f'<text x="{x + move[0]:.1f}" y="{y + move[1]:.1f}" text-anchor="{anchor}">{words}</text>', step, until
        )

    def arrow(self, start: Point, end: Point, *, kind: str = "way", step: int = 0, until: int | None = None) -> None:
        """From one place to another."""
        (a, b), (x, y) = self._xy(start), self._xy(end)
        long = math.hypot(x - a, y - b)
        if long < 1:
            return
        u, v = (x - a) / long, (y - b) / long
        head = min(_HEAD, 0.6 * long)
        back = (x - head * u, y - head * v)
        wings = [(back[0] - s * 0.45 * head * v, back[1] + s * 0.45 * head * u) for s in (1, -1)]
        tip = " ".join(f"{p:.1f},{q:.1f}" for p, q in (wings[0], (x, y), wings[1]))
        self._add(
            f'<g class="{kind}"><path d="M{a:.1f},{b:.1f}L{back[0]:.1f},{back[1]:.1f}"/><polygon points="{tip}"/></g>',
            step,
            until,
        )

    def path(self, points: Iterable[Point], *, kind: str = "way", closed: bool = False, step: int = 0,
             until: int | None = None) -> None:  # fmt: skip
        """A line through places."""
        drawn = "L".join(f"{x:.1f},{y:.1f}" for x, y in map(self._xy, points))
        if drawn:
            self._add(f'<path class="{kind}" d="M{drawn}{"Z" if closed else ""}"/>', step, until)

    def line(
        self, normal: Tensor, gap: float, *, kind: str = "surface", step: int = 0, until: int | None = None
    ) -> None:
        """All points p with ``<normal, p> = gap``, as far as the window goes."""
        across, along = at(normal), (-at(normal)[1], at(normal)[0])
        size = across[0] ** 2 + across[1] ** 2
        foot = (across[0] * gap / size, across[1] * gap / size)
        far = 4 * max(self.high[0] - self.low[0], self.high[1] - self.low[1]) / math.sqrt(size)
        ends = [(foot[0] + s * far * along[0], foot[1] + s * far * along[1]) for s in (-1, 1)]
        self.path(ends, kind=kind, step=step, until=until)

    def ball(self, norm: Norm, centre: Point, eps: float, *, kind: str = "ball", step: int = 0,
             until: int | None = None) -> None:  # fmt: skip
        """All points at a distance eps of a place, in a norm."""
        if norm == L2:
            x, y = self._xy(centre)
            radius = SIZE * eps / (self.high[0] - self.low[0])
            self._add(f'<circle class="{kind} line" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>', step, until)
            return
        angles = torch.linspace(0, 2 * math.pi, 361)[:-1]
        way = torch.stack([angles.cos(), angles.sin()], 1).view(-1, 1, 1, 2)
        rim = eps * way / norm.measure(way).view(-1, 1, 1, 1)
        x, y = at(centre)
        self.path([(x + a, y + b) for a, b in rim.flatten(1).tolist()], kind=kind, closed=True, step=step, until=until)

    def svg(self) -> str:
        """All of it."""
        title = html.escape(self.tells)
        clip = f"window-{self.name}"
        return (
            f'<svg viewBox="0 0 {SIZE} {self.tall}" role="img" aria-label="{title}"><defs><clipPath id="{clip}">'
            f'<rect width="{SIZE}" height="{self.tall}" rx="8"/></clipPath></defs><g clip-path="url(#{clip})">'
            f'<rect class="paper" width="{SIZE}" height="{self.tall}"/>{"".join(self.parts)}</g></svg>'
        )

    # ---- how

    def _add(self, part: str, step: int, until: int | None) -> None:
        if step or until is not None:
            last = "" if until is None else f' data-until="{until}"'
            part = f'<g data-step="{step}"{last}>{part}</g>'
        self.parts.append(part)

    def _xy(self, point: Point) -> tuple[float, float]:
        right, up = at(point)
        x = SIZE * (right - self.low[0]) / (self.high[0] - self.low[0])
        y = self.tall * (self.high[1] - up) / (self.high[1] - self.low[1])
        return x, y

    def _grid(self, classifier: Classifier) -> tuple[npt.NDArray[np.float64], ...]:
        rights = np.linspace(self.low[0], self.high[0], _GRID)
        ups = np.linspace(self.low[1], self.high[1], _GRID)
        points = np.stack(np.meshgrid(rights, ups), 2).reshape(-1, 1, 1, 2)
        logits = classifier.logits(torch.from_numpy(points).float(), plain=True)
        return rights, ups, logits.double().view(_GRID, _GRID, -1).numpy()


def _rings(canvas: Canvas, polygon: npt.NDArray[np.float64], starts: Sequence[int]) -> str:
    drawn = ""
    for first, last in pairwise(starts):
        corners = (canvas._xy((float(a), float(b))) for a, b in polygon[first:last])
        drawn += "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in corners) + "Z"
    return drawn
