"""Pixel search: which pixels to change, from the answers to questions about single ones (after arXiv:1909.05040)."""

from dataclasses import dataclass, fields
from typing import final

import torch
from torch import Tensor

from brittle.attacks.black_box.corners import Corners, colours_at
from brittle.attacks.parts.asking import Asking, asking_first
from brittle.attacks.parts.best import First
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.pixels import painted
from brittle.catalog import option, register
from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_BLOCK = 20  # positions of the survey, and pixels of a shortlist, that are asked about together
_OPENED = 2  # candidates whose neighbours are asked about together
_DOUBLINGS = 30  # of the rounds of a visit, at the most: enough for any image
_TIE = 1e-6  # of the logits' size: a smaller gain is rounding


@register(
    "pixel-search",
    paper="arXiv:1909.05040",
    kind="budget",
    norms=("l0",),
    access="score",
    cost="queries * F at the most",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PixelSearch:
    """Looks for pixels to set to corners of the colour cube, next to those that have helped most so far.

    That single pixels at the corners (black, white, six full colours) tell which combinations fool is CornerSearch's
    idea (Croce and Hein 2019, arXiv:1909.05040, section 3.1), which asks about every pixel and corner. But neighbours
    answer alike. So here an even grid of positions is asked about first, each with the corner farthest from its colour;
    then, over and over, the neighbours of the best candidate not yet opened: the four positions around it, and its
    own with one channel changed. Given enough it asks about everything.

    More than one pixel: ``visits`` of ``rounds`` questions each add pixels one by one, and then replace one after the
    other, where that leaves a smaller margin. A visit starts from the candidates that were best when last asked about,
    whatever pixels were set then, and goes on as above; after as many visits as pixels without success it goes on twice
    as long. It ends early where for each pixel everything has been asked about in vain.
    """

    eps: int = option(1, "budget: pixels that may change, all channels of each", at_least=1)
    queries: int = option(350, "forward passes at the most, the look at the image itself included", at_least=1)
    survey: int = option(100, "positions asked about first, on an even grid", at_least=1)
    rounds: int = option(
        4, "with more than one pixel: how often a visit opens candidates before a pixel is settled", at_least=1
    )

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        ask = asking_first(classifier, images, goal)
        search = _Search.of(self, ask)
        visit = 0
        while len(search.rows):
            slot = visit % self.eps
            search.enter(slot)
            if visit == 0:
                search.look_around(self.survey)
            else:
                search.ask_about(search.shortlist())
            search.spread()
            search.settle(slot)
            visit += 1
        return ask.outcome()


@dataclass
class _Search:
    """What is known of the rows that are still searched: each tensor has an entry for each of them.

    A candidate is a number, ``position * corners + corner``; -1 is none.
    """

    attack: PixelSearch
    ask: Asking[First]
    corners: Corners
    rows: Tensor
    images: Images
    effect: Tensor  # [n, K], how much a candidate changed the margin when last asked about, whatever else was set; inf
    pixels: Tensor  # [n, d], the candidates settled on
    margin: Tensor  # of the images with them
    misses: Tensor  # visits in a row that have changed nothing
    barren: Tensor  # visits that asked about everything since the last that changed something, itself included
    # Of this visit:
    base: Images  # the images that it changes, which lack the pixel that it replaces
    base_margin: Tensor
    asked: Tensor  # bool [n, K], about this candidate, or its pixel has that colour already or is settled
    front: Tensor  # [n, K], margins of those that have not been opened, inf for all others
    reach: Tensor  # [n, K], how far from a candidate its neighbours are; on large images openings look far first
    openings: Tensor  # how many are to come
    best: Tensor  # the best candidate, and the margin with it
    least: Tensor

    @staticmethod
    def of(attack: PixelSearch, ask: Asking[First]) -> "_Search":
        images = ask.images
        logits = ask.logits(ask.everyone, images)
        met, margin = ask.note(ask.everyone, images, logits), ask.goal.margin(logits)
        corners, none = Corners.of(images), torch.zeros_like(ask.everyone)
        unknown = images.new_full((len(images), corners.height * corners.width * corners.count), torch.inf)
        search = _Search(
            attack=attack,
            ask=ask,
            corners=corners,
            rows=ask.everyone,
            images=images,
            effect=unknown,
            pixels=torch.full((len(images), attack.eps), -1, device=images.device),
            margin=margin,
            misses=none,
            barren=none,
            base=images,
            base_margin=margin,
            asked=unknown,
            front=unknown,
            reach=unknown,
            openings=none,
            best=none - 1,
            least=margin,
        )
        search.leave(met | search.spent)
        return search

    @property
    def spent(self) -> Tensor:
        """bool ``[n]``: no question is left to ask."""
        return self.ask.forwards[self.rows] >= self.attack.queries

    def leave(self, done: Tensor) -> None:
        """Forgets rows; what comes back is the best of them."""
        if done.any():
            self._paint(done)
            for one in fields(self):
                part = getattr(self, one.name)
                if isinstance(part, Tensor):
                    setattr(self, one.name, part[~done])

    # ---- visits

    def enter(self, slot: int) -> None:
        """Begins to look for a pixel, in place of the one in this slot."""
        old = self.pixels[:, slot : slot + 1]
        filled = (old >= 0).squeeze(1)
        at = old.clamp_min(0)
        pixels = self.pixels.clone()
        pixels[:, slot] = -1
        current = self.ask.best.images[self.rows]
        place = at // self.corners.count
        without = painted(current, place, colours_at(self.images, place))
        self.base = torch.where(filled.view(-1, 1, 1, 1), without, current)
        effect = torch.where(filled, self.effect.gather(1, at).squeeze(1), 0)
        self.base_margin, self.least, self.best = self.margin - effect, self.margin, old.squeeze(1)

        self.reach = torch.ones_like(self.effect, dtype=torch.int16)
        idle = self.corners.idle(self.images)
        for other in pixels.unbind(1):  # what is settled stays
            row = (other >= 0).nonzero().squeeze(1)
            idle[row, other[row] // self.corners.count] = True
        self.asked = idle.flatten(1)
        self.front = torch.full_like(self.effect, torch.inf)
        often = self.attack.rounds * 2 ** (self.misses // self.attack.eps).clamp_max(_DOUBLINGS)
        self.openings = torch.full_like(often, 2**62) if self.attack.eps == 1 else often
        row = filled.nonzero().squeeze(1)
        self.asked[row, self.best[row]], self.front[row, self.best[row]] = True, self.margin[row]

    def look_around(self, count: int) -> None:
        """Asks about at most ``count`` positions on an even grid, from the centre outwards."""
        places, spacing = self.corners.grid(count)
        for block in torch.split(places, _BLOCK):
            candidates = self.corners.farthest(self.images, block)
            self.reach.scatter_(1, candidates, max(spacing // 2, 1))
            self.ask_about(candidates)

    def spread(self) -> None:
        """Opens candidates, over and over."""
        while (self.openings > 0).any():
            candidates = torch.where(self.openings.unsqueeze(1) > 0, self.neighbours(), -1)
            self.openings = self.openings - 1
            self.ask_about(candidates)
            self.openings = torch.where(self.asked.all(1), 0, self.openings)

    def settle(self, slot: int) -> None:
        """Keeps what this visit has found, if it is better than what was there; leaves rows that nothing helps."""
        better = self.best != self.pixels[:, slot]
        self._paint(better)
        self.pixels = self.pixels.clone()
        self.pixels[:, slot], self.margin = self.best, self.least
        self.misses = torch.where(better, 0, self.misses + 1)
        self.barren = torch.where(better, 0, self.barren) + self.asked.all(1)
        self.leave(self.barren >= self.attack.eps)

    def _paint(self, which: Tensor) -> None:
        """Puts the best candidate of this visit into what comes back for some rows."""
        row = (which & (self.best >= 0)).nonzero().squeeze(1)
        at = self.rows[row]
        self.ask.best.leave(at, self.corners.painted(self.base[row], self.best[row]), self.ask.best.claimed[at])

    # ---- what to ask about: candidates [n, m], -1 for none

    def shortlist(self) -> Tensor:
        """Positions with the best effects so far, and the corner that had it; after misses, those behind them."""
        known = self.effect.masked_fill(self.asked, torch.inf).view(len(self.effect), -1, self.corners.count)
        effect, corner = known.min(2)
        effect, place = effect.sort(dim=1, stable=True)
        start = self.misses // self.attack.eps * _BLOCK
        rank = (start.unsqueeze(1) + torch.arange(_BLOCK, device=start.device)).clamp_max(place.shape[1] - 1)
        place = place.gather(1, rank)
        candidates = place * self.corners.count + corner.gather(1, place)
        return torch.where(effect.gather(1, rank).isfinite(), candidates, -1)

    def neighbours(self) -> Tensor:
        """Next to the best candidates not opened yet; where all are opened, some that have not been asked about."""
        opened = [self._open() for _ in range(_OPENED)]
        candidates = torch.cat([one for _, one in opened], dim=1)
        dry = (~opened[0][0]).nonzero().squeeze(1)
        if len(dry):
            asked, order = self.asked[dry].sort(dim=1, stable=True)  # False comes first
            width = min(candidates.shape[1], asked.shape[1])
            candidates[dry, :width] = torch.where(asked[:, :width], -1, order[:, :width])
        return candidates

    def _open(self) -> tuple[Tensor, Tensor]:
        """Whether there is a candidate to open, and its neighbours: same colour beside it, other colours in place."""
        best = self.front.argmin(1, keepdim=True)
        margin, reach = self.front.gather(1, best), self.reach.gather(1, best)
        candidates = self.corners.around(best, reach)
        nearer = (reach // 2).clamp_min(1)  # it may be opened again, to look nearer
        self.front.scatter_(1, best, torch.where(reach > 1, margin, torch.inf))
        self.reach.scatter_(1, best, nearer)
        self.reach.scatter_(1, candidates.clamp_min(0), nearer.expand_as(candidates))
        is_one = margin.isfinite()
        return is_one.squeeze(1), torch.where(is_one, candidates, -1)

    # ---- asking

    def ask_about(self, candidates: Tensor) -> None:
        """Asks about those not asked about in this visit yet, as far as the queries go; the solved and spent leave."""
        if not len(self.rows):
            return
        new = self._askable(candidates)
        margin, met = self._answers(candidates, new)
        row, column = new.nonzero(as_tuple=True)
        asked = candidates[row, column]
        self.asked[row, asked] = True
        self.front[row, asked] = margin[row, column]
        self.effect[row, asked] = margin[row, column] - self.base_margin[row]
        self.ask.stepped(self.rows[new.any(1)])

        solved = met.any(1)
        least, at = torch.where(met | ~solved.unsqueeze(1), margin, torch.inf).min(1)
        better = solved | (least < self.least - _TIE * self.least.abs().clamp_min(1))
        self.best = torch.where(better, candidates.gather(1, at.unsqueeze(1)).squeeze(1), self.best)
        self.least = torch.where(better, least, self.least)
        self.ask.best.claimed[self.rows] = solved
        self.leave(solved | self.spent)

    def _askable(self, candidates: Tensor) -> Tensor:
        """bool, as candidates: it is one, is new, comes first among equal ones, and there is a query left for it."""
        order = torch.arange(candidates.shape[1], device=candidates.device)
        twin = (candidates.unsqueeze(2) == candidates.unsqueeze(1)) & (order.unsqueeze(1) > order)
        new = (candidates >= 0) & ~self.asked.gather(1, candidates.clamp_min(0)) & ~twin.any(2)
        left = self.attack.queries - self.ask.forwards[self.rows]
        return new & (new.cumsum(1) <= left.unsqueeze(1))

    def _answers(self, candidates: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
        """Margins of the new candidates, and where they surely meet the goal; inf and False for the others."""
        margin = torch.full_like(candidates, torch.inf, dtype=self.margin.dtype)
        met = torch.zeros_like(new)
        row, column = new.nonzero(as_tuple=True)
        for part in self.ask.classifier.chunks(len(row)):
            r, c = row[part], column[part]
            tried = self.corners.painted(self.base[r], candidates[r, c])
            margin[r, c], met[r, c] = self.ask.margins(self.rows[r], tried)
        return margin, met
