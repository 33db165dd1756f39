"""Minimal in L0: pixel by pixel, looked for from coarse to fine, and exchanges; else descents of sigma-zero."""

import math
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from brittle.attacks.minimal.exchange import exchange
from brittle.attacks.minimal.pixel_greedy import PixelGreedy
from brittle.attacks.minimal.sigma_zero import SigmaZero
from brittle.attacks.parts.asking import Asking
from brittle.attacks.parts.best import Nearest
from brittle.attacks.parts.pixels import painted, tried
from brittle.geometry.box import HIGH, LOW
from brittle.rng import Rng
from brittle.types import Images

_LATTICE = 128  # pixels of it at the most: every third of every third row of small images
_BY_GRADIENT = 8  # pixels that are tried in each step
_FIRST_BY_GRADIENT = 32  # before the lattice: mostly all that an image needs which a single pixel is enough for
_PEAKS = 4  # first pixels whose neighbours, and then other colours, are tried next
_AGAIN = 2  # of these, to be tried in one more
_STARTS = ((24, 2), (8, 1), (8, 1))  # from the best first pixels: tried by memory in each step, and peaks
_FEW = 2  # pixels, that a second start is not for
_BEHIND = 0.25  # of a pixel: as far may another start fall behind the first
_MANY = 24  # steps; images whose margin falls too slowly for that leave earlier
_WIDTH = 8  # pixels and pairs that are tried in each exchange
_DESCENTS = (SigmaZero(steps=32, tau_rate=0.06), SigmaZero(steps=20, step_size=0.5, tau_rate=0.06))
"""Of other first steps, as Adam's first is nearly one of signs: another of the same size leads to the same place."""


def fewest_pixels(asking: Asking[Nearest], rng: Rng) -> None:
    """Single pixels as far as they lead, then exchanges; descents of sigma-zero and greedy steps where they do not.

    Networks that resist are flat about an image: what a pixel does at the end of its range its gradient does not know
    (of the 8 best pixels of adversarially trained MNIST networks, 0 to 2 % are among the best 32 by gradient). But
    what neighbours do is much the same. So pixels are tried on a lattice, and then about those that did most.
    """
    best = asking.best
    met, asking.first_gap = asking.look(asking.everyone, asking.images)
    known = _from_single_pixels(asking, asking.everyone[~met])
    for descent in _DESCENTS:
        rows = (~best.claimed).nonzero().squeeze(1)
        if not len(rows):
            return
        descent.down(asking, rows, asking.images[rows])
        rows = rows[best.claimed[rows]]
        exchange(asking, rows, best.images[rows], known, _WIDTH)
    rows = (~best.claimed).nonzero().squeeze(1)
    if len(rows):
        found = asking.outcome_of(PixelGreedy(), rows, asking.images[rows], rng[rows])
        best.offer(rows, found.images, found.claimed)


def pixel_by_pixel(asking: Asking[Nearest]) -> tuple[Images, Tensor]:
    """On from the single pixel that does most, once and without exchanges: where it ends, whether the goal is met.

    asking: in L0, with its ``first_gap``.
    """
    ends, found = asking.images.clone(), torch.zeros(len(asking.images), dtype=torch.bool, device=asking.images.device)
    search, known, pace = _single_pixels(asking, asking.everyone)
    at = (search.gain.amax(1) > 0).nonzero().squeeze(1)
    ends[at], found[at] = _on_from(asking, search, at, search.gain[at].argmax(1), known, pace, *_STARTS[0])
    return ends, found


def _from_single_pixels(asking: Asking[Nearest], rows: Tensor) -> Tensor:
    """On from the pixel that does most; where that takes many, from the next best too. What each did, ``[B, H * W]``.

    Which first pixel leads to the fewest is not known from what it does alone.
    """
    best = asking.best
    search, known, pace = _single_pixels(asking, rows)
    if not len(rows):
        return known
    at, first = (search.gain.amax(1) > 0).nonzero().squeeze(1), search.gain.clone()  # where some pixel does something
    for by_memory, peaks in _STARTS:
        pixel = first[at].argmax(1)
        first[at, pixel] = -torch.inf
        ends, met = _on_from(asking, search, at, pixel, known, pace, by_memory, peaks)
        met &= best.size[rows[at]] > 1
        exchange(asking, rows[at[met]], ends[met], known, _WIDTH)
        at = (best.claimed[rows] & (best.size[rows] > _FEW)).nonzero().squeeze(1)
    return known


def _single_pixels(asking: Asking[Nearest], rows: Tensor) -> tuple["_Search", Tensor, Tensor]:
    """Each row's pixels, tried alone; what each did, ``[B, H * W]``; the margin by their number, ``[B, _MANY + 1]``.

    The last is to be the first start's, and is infinite for any pixel as yet.
    """
    plane = asking.images.shape[2] * asking.images.shape[3]
    known = asking.images.new_full((len(asking.images), plane), -torch.inf)
    pace = known.new_full((len(known), _MANY + 1), torch.inf)
    search = _Search(asking, rows, asking.images[rows], asking.first_gap[rows])
    if len(rows):
        search.by_gradient(_FIRST_BY_GRADIENT)
        search.finer(search.on_a_lattice(), _PEAKS)
        search.recoloured(_PEAKS)
        search.recoloured(_AGAIN)
    known[rows], pace[rows, 0] = search.gain, search.margin
    return search, known, pace


def _on_from(
    asking: Asking[Nearest],
    start: "_Search",
    at: Tensor,
    pixel: Tensor,
    known: Tensor,
    pace: Tensor,
    by_memory: int,
    peaks: int,
) -> tuple[Images, Tensor]:
    """The pixel that helps most after a first one, again and again; the last images, and whether the goal is met there.

    It ends where the goal is met, the margin falls too slowly, as many pixels are changed as in the best known image,
    or another start than the first falls behind it. ``known`` and, at the first start, ``pace`` are kept up to date.
    """
    best, rows, ends, ends_met = asking.best, start.rows[at], start.x[at], torch.zeros_like(at, dtype=torch.bool)
    to, again = torch.arange(len(at), device=at.device), best.claimed[rows]
    x, margin, gain, colour, met = start.x[at], start.margin[at], start.gain[at], start.colour[at], start.met[at]
    for step in range(_MANY):
        i = torch.arange(len(rows), device=rows.device)
        x = painted(x, pixel.unsqueeze(1), colour[i, :, pixel].unsqueeze(1))
        margin, now = margin - gain[i, pixel], met[i, pixel]
        best.offer(rows, x, now)
        ends[to], ends_met[to] = x, now
        slowest = torch.lerp(pace[rows, step + 1], pace[rows, step], _BEHIND)
        pace[rows, step + 1] = torch.where(again, pace[rows, step + 1], margin)
        on = ~now & (margin <= (1 - step / _MANY) * asking.first_gap[rows])
        on &= ~again | ((step + 1 < best.size[rows]) & (margin < slowest))
        rows, x, margin, to, again, pixel = rows[on], x[on], margin[on], to[on], again[on], pixel[on]
        if not len(rows):
            break
        search = _Search(asking, rows, x, margin)
        last = functional.one_hot(pixel, known.shape[1]).bool()
        search.by_gradient(_BY_GRADIENT, _largest(known[rows], by_memory) | search.about(last, 1))
        search.finer(2, peaks)
        search.recoloured(_PEAKS)
        gain, colour, met = search.gain, search.colour, search.met
        known[rows] = torch.where(gain.isfinite(), gain, known[rows])
        pixel = gain.argmax(1)
    return ends, ends_met


@final
class _Search:
    """The search for one more pixel. gain: what each does to the margin, ``[n, H * W]``, -inf where not tried.

    colour: where each would go, ``[n, C, H * W]``: every channel to its farther end, as that mostly does most; met: the
    goal. Where a pixel that is enough has been found, no more are tried.
    """

    def __init__(self, asking: Asking[Nearest], rows: Tensor, x: Images, margin: Tensor) -> None:
        self.asking, self.rows, self.x, self.margin = asking, rows, x, margin
        origin = asking.images[rows]
        self.colour = (origin < (LOW + HIGH) / 2).to(x.dtype).flatten(2)
        self.untried = (x == origin).all(1).flatten(1)
        self.gain = x.new_full(self.untried.shape, -torch.inf)
        self.met = torch.zeros_like(self.untried)

    def ask(self, which: Tensor) -> None:
        """Tries those of bool ``which`` that have not been tried."""
        which = which & self.untried & ~self.met.any(1, keepdim=True)
        which &= (self.colour != self.x.flatten(2)).any(1)
        row, pixel = which.nonzero(as_tuple=True)
        colours = self.colour[row, :, pixel].unsqueeze(1)
        margin, met = tried(self.asking, self.rows, self.x, row, pixel.unsqueeze(1), colours)
        self.gain[row, pixel], self.met[row, pixel] = self.margin[row] - margin, met
        self.untried &= ~which

    def by_gradient(self, count: int, others: Tensor | None = None) -> None:
        """Tries ``others``, and the ``count`` pixels that the gradient praises, of the colour that it asks for."""
        w, _ = self.asking.descent(self.rows, self.x)
        corners = (w > 0).to(self.x.dtype).flatten(2)
        praise = (w.flatten(2) * (corners - self.x.flatten(2))).sum(1)
        others = torch.zeros_like(self.untried) if others is None else others
        first = _largest(torch.where(self.untried & ~others & (praise > 0), praise, -torch.inf), count)
        self.colour = torch.where(first.unsqueeze(1), corners, self.colour)
        self.ask(first | others)

    def finer(self, stride: int, peaks: int) -> None:
        """Tries the neighbours of the best ``peaks``, closer and closer, and once more the closest."""
        while stride > 1:
            stride //= 2
            self.ask(self.about(_largest(self.gain, peaks), stride))
        self.ask(self.about(_largest(self.gain, peaks), 1))

    def recoloured(self, count: int) -> None:
        """Tries each of the best ``count`` pixels with one channel at its other end, and keeps what does more."""
        channels = self.x.shape[1]
        if channels == 1:  # what is grey has nothing but its other end
            return
        best = _largest(self.gain, count) & ~self.met.any(1, keepdim=True)
        row, pixel = best.nonzero(as_tuple=True)
        colours = self.colour[row, :, pixel].unsqueeze(1)
        one = torch.eye(channels, dtype=torch.bool, device=colours.device)
        colours = torch.where(one, LOW + HIGH - colours, colours).flatten(0, 1)  # each pixel's, one after the other
        of, at = (part.repeat_interleave(channels) for part in (row, pixel))
        margin, met = tried(self.asking, self.rows, self.x, of, at.unsqueeze(1), colours.unsqueeze(1))
        least, channel = margin.view(-1, channels).min(1)
        gain, which = self.margin[row] - least, torch.arange(len(row), device=row.device) * channels + channel
        more = gain > self.gain[row, pixel]
        row, pixel, which = row[more], pixel[more], which[more]
        self.gain[row, pixel], self.met[row, pixel] = gain[more], met[which]
        self.colour[row, :, pixel] = colours[which]

    def on_a_lattice(self) -> int:
        """Tries every so many-th pixel of every so many-th row; how many."""
        height, width = self.x.shape[2:]
        stride = math.ceil(math.sqrt(height * width / _LATTICE))
        lattice = torch.zeros(height, width, dtype=torch.bool, device=self.x.device)
        lattice[stride // 2 :: stride, stride // 2 :: stride] = True
        self.ask(lattice.flatten())
        return stride

    def about(self, which: Tensor, reach: int) -> Tensor:
        """The eight pixels at a distance about each of bool ``which``, and itself."""
        image = which.to(self.x.dtype).view(-1, 1, *self.x.shape[2:])
        ones = image.new_ones(1, 1, 3, 3)
        return functional.conv2d(image, ones, padding=reach, dilation=reach).flatten(1) > 0.5


def _largest(values: Tensor, count: int) -> Tensor:
    """bool: the ``count`` largest of each row that are not -inf."""
    order = values.argsort(dim=1, descending=True, stable=True)[:, :count]
    return torch.zeros_like(values, dtype=torch.bool).scatter_(1, order, values.gather(1, order).isfinite())
