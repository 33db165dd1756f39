"""Minimal in L0: pixel by pixel, each looked for from coarse to fine, and exchanges; else descents of sigma-zero."""

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
from brittle.attacks.parts.rows import kept
from brittle.geometry.box import HIGH, LOW
from brittle.rng import Rng
from brittle.types import Images

_LATTICE = 128  # pixels of it at the most: every third of every third row of small images
_BY_GRADIENT, _BY_MEMORY = 8, 24  # pixels that are tried in each step
_FIRST_BY_GRADIENT = 32  # before the lattice: mostly all that an image needs which a single pixel is enough for
_PEAKS, _CLOSER = 4, 2  # pixels whose neighbours are tried next, and how often
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
    _pixel_by_pixel(asking, asking.everyone[~met])
    rows = (best.claimed & (best.size > 1)).nonzero().squeeze(1)
    exchange(asking, rows, best.images[rows], _WIDTH)
    for descent in _DESCENTS:
        rows = (~best.claimed).nonzero().squeeze(1)
        if not len(rows):
            return
        descent.down(asking, rows, asking.images[rows])
        rows = rows[best.claimed[rows]]
        exchange(asking, rows, best.images[rows], _WIDTH)
    rows = (~best.claimed).nonzero().squeeze(1)
    if len(rows):
        found = asking.outcome_of(PixelGreedy(), rows, asking.images[rows], rng[rows])
        best.offer(rows, found.images, found.claimed)


def _pixel_by_pixel(asking: Asking[Nearest], rows: Tensor) -> None:
    """The pixel that helps most, again and again, until the goal is met or the margin falls too slowly."""
    x, margin = asking.images[rows], asking.first_gap[rows]
    memory = x.new_full((len(rows), x.shape[2] * x.shape[3]), -torch.inf)  # what each did when last tried
    last = torch.zeros_like(memory, dtype=torch.bool)
    for step in range(_MANY):
        if not len(rows):
            return
        search = _Search(asking, rows, x, margin)
        if step == 0:
            search.by_gradient(_FIRST_BY_GRADIENT)
            stride = search.on_a_lattice()
        else:
            search.by_gradient(_BY_GRADIENT, _largest(memory, _BY_MEMORY) | search.about(last, 1))
            stride = 2
        while stride > 1:
            stride //= 2
            search.ask(search.about(_largest(search.gain, _PEAKS), stride))
        search.ask(search.about(_largest(search.gain, _PEAKS), 1))
        gain, pixel = search.gain.max(1)
        at = torch.arange(len(rows), device=rows.device)
        x = painted(x, pixel.unsqueeze(1), search.colour[at, :, pixel].unsqueeze(1))
        margin, met = margin - gain, search.met[at, pixel]
        asking.best.offer(rows, x, met)
        memory = torch.where(search.gain.isfinite(), search.gain, memory)
        last = functional.one_hot(pixel, memory.shape[1]).bool()
        on = ~met & (margin <= (1 - step / _MANY) * asking.first_gap[rows])
        rows, x, margin, memory, last = kept(on, rows, x, margin, memory, last)


@final
class _Search:
    """The search for one more pixel. gain: what each does to the margin, ``[n, H * W]``, -inf where not tried.

    colour: where each would go, ``[n, C, H * W]``: every channel to its farther end, as that does most; met: the goal.
    Where a pixel that is enough has been found, no more are tried.
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
