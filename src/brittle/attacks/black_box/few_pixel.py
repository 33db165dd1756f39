"""One pixel, few pixels: differential evolution of positions and colours (Su et al. 2017, arXiv:1710.08864)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from brittle.attacks.parts.asking import Asking, asking_first
from brittle.attacks.parts.best import First
from brittle.attacks.parts.contract import Outcome
from brittle.attacks.parts.pixels import painted
from brittle.attacks.parts.rows import rows_of
from brittle.catalog import option, register
from brittle.goals import Goal, Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.types import Images

_BLOCKS = 5  # parts of a generation: after each, success is looked for and survivors become parents
_MEAN, _SPREAD = 128 / 255, 127 / 255  # of the first colours
_TIE = 1e-6  # log-odds that are nearer than this, relatively, are equal: the rest is rounding, which batches change


class Evolution(NamedTuple):
    """What was found, and how: ``curve`` is float ``[generations + 1, B]``.

    curve[g]: after generation g, 0 being the first population, the best candidate's probability of the goal's label. It
    falls where the label is to be left and rises where it is to be reached, and stays where an image has been left.
    """

    outcome: Outcome
    curve: Tensor


@register(
    "few-pixel",
    paper="arXiv:1710.08864",
    kind="budget",
    norms=("l0",),
    access="score",
    cost="population * (generations + 1) * F at the most",
)
@final
@dataclass(frozen=True, kw_only=True, slots=True)
class FewPixel:
    """Evolves positions and colours of ``eps`` pixels: differential evolution on the label's probability.

    A candidate has ``(y, x, colour)`` for each pixel. Each child is ``a + F (b - c)``, of three other members drawn at
    random (the paper's equation has b + c, but its method, differential evolution, has the difference), without
    crossover, and takes its parent's place where the network's probability of the label has become smaller
    (untargeted) or larger (targeted). As in the paper first positions are uniform and first colours N(128, 127),
    clipped. All images evolve together; each leaves at its first success, or later, see ``stop_below``.

    What the paper leaves open: a child's colours are clipped, so that black and full colours, which work best, become
    common; its positions are reflected at the border, where clipping would gather them.

    What differs, each for fewer queries: colours are rounded to ``levels`` values a channel and no candidate is shown
    to the network twice. And a generation comes in fifths, each of which has the survivors of those before among its
    parents.

    ``evolve`` also gives the curve of the probability. The thesis's reduced sizes are population 100, generations 50.
    """

    eps: int = option(1, "budget: pixels that may change, all channels of each", at_least=1)
    population: int = option(400, "candidates of a generation; a child has three parents beside its own", at_least=4)
    generations: int = option(100, "generations after the first population", at_least=0)
    scale: float = option(0.5, "F, what a child takes of the difference of two others", at_least=0)
    levels: int = option(
        2, "values of a channel of a changed pixel, evenly from 0 to 1; all 8 bits: 256", at_least=2, at_most=256
    )
    stop_below: float | None = option(
        None, "untargeted: also go on until the label's probability is this (thesis 0.1, paper 0.05)", above=0, below=1
    )
    stop_above: float | None = option(
        None, "targeted: also go on until the label's probability is this (thesis 0.5, paper 0.9)", above=0, below=1
    )

    def __call__(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Outcome:
        return self.evolve(classifier, images, goal, rng=rng).outcome

    def evolve(self, classifier: Classifier, images: Images, goal: Goal, *, rng: Rng) -> Evolution:
        """The attack, with the curve of the label's probability over the generations."""
        ask = asking_first(classifier, images, goal)
        logits = ask.logits(ask.everyone, images)
        met = ask.note(ask.everyone, images, logits)
        rows = (~met).nonzero().squeeze(1)
        best = torch.where(met, goal.loss(logits), -torch.inf)  # the loss of the best candidate
        curve = images.new_empty(self.generations + 1, len(images))
        swarm = _Swarm.of(self, rows, images[rows], rng[rows])
        for generation in range(self.generations + 1):
            ask.stepped(swarm.rows)
            swarm.draw(generation)
            for members in self._blocks():
                if not len(swarm.rows):
                    break
                tried = swarm.try_out(ask, members)
                _keep_best(ask, best, swarm.rows, tried)
                solved = (tried.met & self._is_enough(goal, tried.loss)).any(1)
                if solved.any():
                    swarm = rows_of(swarm, ~solved)
            curve[generation] = _probability(goal, best)
            if not len(swarm.rows):
                curve[generation:] = curve[generation]
                break
        return Evolution(ask.outcome(), curve)

    def _blocks(self) -> Iterator[slice]:
        size = -(-self.population // _BLOCKS)
        for start in range(0, self.population, size):
            yield slice(start, min(start + size, self.population))

    def _is_enough(self, goal: Goal, loss: Tensor) -> Tensor:
        """bool, as loss ``[n, m]``: the label's probability is where the search may stop."""
        if isinstance(goal, Untargeted):
            return _probability(goal, loss) <= (1 if self.stop_below is None else self.stop_below)
        return _probability(goal, loss) >= (0 if self.stop_above is None else self.stop_above)


def _probability(goal: Goal, loss: Tensor) -> Tensor:
    """Of the goal's label, from ``goal.loss``, which is the log-odds against it, or for it where it is a target."""
    return torch.sigmoid(-loss if isinstance(goal, Untargeted) else loss)


class _Tried(NamedTuple):
    """A block of candidates after their passes.

    where, colours: ``[n, m, d]`` and ``[n, m, d, C]``. loss: ``[n, m]``. fresh, met: bool ``[n, m]``; met is known of
    fresh ones only. fresh: has been through the network now; the others had been before.
    """

    where: Tensor
    colours: Tensor
    loss: Tensor
    met: Tensor
    fresh: Tensor


def _keep_best(ask: Asking[First], best: Tensor, rows: Tensor, tried: _Tried) -> None:
    """The best candidate of each row so far: any that meets the goal before all others, then by loss."""
    met, before = tried.met.any(1), ask.best.claimed[rows]
    candidates = torch.where(tried.met | ~met.unsqueeze(1), tried.loss, -torch.inf)
    loss, at = candidates.max(1)
    better = torch.where(met == before, loss > best[rows], met)
    one = better.nonzero().squeeze(1)
    images = painted(ask.images[rows[one]], tried.where[one, at[one]], tried.colours[one, at[one]])
    ask.best.leave(rows[one], images, (met | before)[one])
    best[rows[one]] = loss[one]


@dataclass
class _Swarm:
    """The populations of the rows that are still evolving.

    genes: in [0, 1], ``[n, population, d, 2 + C]``: y, x, and the colour. loss: ``[n, population]``.
    """

    attack: FewPixel
    rows: Tensor
    images: Images
    rng: Rng
    genes: Tensor
    loss: Tensor
    memory: "_Memory"
    draws: Tensor | None = None

    @staticmethod
    def of(attack: FewPixel, rows: Tensor, images: Images, rng: Rng) -> "_Swarm":
        shape = (len(images), attack.population, attack.eps)
        first = rng.normal("few-pixel colours", images.new_empty(*shape, images.shape[1]))
        places = rng.uniform("few-pixel places", images.new_empty(*shape, 2))
        genes = torch.cat([places, (_MEAN + _SPREAD * first).clamp(0, 1)], dim=3)
        memory = _Memory.of(len(images), attack.population * (attack.generations + 1), images.device)
        return _Swarm(attack, rows, images, rng, genes, images.new_full(shape[:2], -torch.inf), memory)

    def draw(self, generation: int) -> None:
        """The random numbers of a generation at once; the first population is as it was made."""
        if generation:
            like = self.loss.new_empty(*self.loss.shape, 3)
            self.draws = self.rng.uniform(f"few-pixel {generation}", like)

    def try_out(self, ask: Asking[First], members: slice) -> _Tried:
        """Asks the network about the children of some members; each takes its parent's place if it is better."""
        children = self.genes[:, members] if self.draws is None else self._children(self.draws[:, members], members)
        height, width = self.images.shape[2:]
        steps = self.attack.levels - 1
        # Codes tell one candidate from another; float32 draws are below 1, but reflected genes may be 1.
        y = (children[..., 0] * height).long().clamp_max(height - 1)
        x = (children[..., 1] * width).long().clamp_max(width - 1)
        codes = torch.cat([(y * width + x).unsqueeze(3), (children[..., 2:] * steps).round().long()], dim=3)
        where, colours = codes[..., 0], codes[..., 1:].to(self.images.dtype) / steps

        source, fresh = self.memory.recall(codes.flatten(2))
        met = torch.zeros_like(fresh)
        row, child = fresh.nonzero(as_tuple=True)
        loss = self.loss.new_empty(len(row))
        for part in ask.classifier.chunks(len(row)):
            r, c = row[part], child[part]
            asked = self.rows[r]
            logits, goal = ask.logits(asked, painted(self.images[r], where[r, c], colours[r, c])), ask.goal_of(asked)
            loss[part], met[r, c] = goal.loss(logits), goal.is_surely_met(logits)
        loss = self.memory.learn(source, fresh, loss.nan_to_num(nan=-torch.inf, neginf=-torch.inf))

        parents = self.loss[:, members]
        better = loss > parents + _TIE * parents.abs().clamp(1, 1e9)
        self.loss[:, members] = torch.where(better, loss, parents)
        self.genes[:, members] = torch.where(better[..., None, None], children, self.genes[:, members])
        return _Tried(where, colours, loss, met, fresh)

    def _children(self, draws: Tensor, members: slice) -> Tensor:
        """``a + F (b - c)`` for some members; a, b and c are three different others."""
        count = self.attack.population
        first, second, third = (draws * torch.tensor([count - 1, count - 2, count - 3]).to(draws)).long().unbind(2)
        second = second + (second >= first)  # the draws count only those that are left
        low, high = torch.minimum(first, second), torch.maximum(first, second)
        third = third + (third >= low)
        third = third + (third >= high)
        own = torch.arange(count, device=draws.device)[members]
        rows = torch.arange(len(draws), device=draws.device).unsqueeze(1)
        a, b, c = (self.genes[rows, (own + 1 + away) % count] for away in (first, second, third))
        children = a + self.attack.scale * (b - c)
        reflected = (1 - (1 - children[..., :2].abs()).abs()).clamp(0, 1)
        return torch.cat([reflected, children[..., 2:].clamp(0, 1)], dim=3)


@dataclass
class _Memory:
    """The loss of every candidate that the network has seen, row by row: a hash table whose newest entry wins a slot.

    A candidate that has lost its slot is asked about again. Keys are 64-bit sums with random weights, so that two
    candidates of a row have the same one once in a billion runs of the default size.
    """

    slots: Tensor
    keys: Tensor
    losses: Tensor
    used: int = 0

    @staticmethod
    def of(rows: int, capacity: int, device: torch.device) -> "_Memory":
        bits = max(capacity - 1, 1).bit_length()
        return _Memory(
            torch.full((rows, 2**bits), -1, dtype=torch.int32, device=device),
            torch.empty(rows, capacity, dtype=torch.int64, device=device),
            torch.empty(rows, capacity, device=device),
        )

    @property
    def bits(self) -> int:
        return self.slots.shape[1].bit_length() - 1

    def recall(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """For candidates ``[n, m, digits]``: where in the memory their losses are or will be; which are new."""
        generator = torch.Generator().manual_seed(0)
        weights = torch.randint(-(2**63), 2**63 - 1, (codes.shape[2],), generator=generator).to(codes.device)
        key = (codes * weights).sum(2)
        slot = (key >> (64 - self.bits)) & (2**self.bits - 1)
        serial = self.used + torch.arange(key.shape[1], device=key.device).expand_as(key)
        self.keys[:, self.used : self.used + key.shape[1]] = key

        before = self.slots.gather(1, slot).long()
        known = (before >= 0) & (self.keys.gather(1, before.clamp_min(0)) == key)
        newest = torch.where(known, before, serial).int()
        self.slots.scatter_reduce_(1, slot, newest, "amax")
        owner = self.slots.gather(1, slot).long()
        twin = ~known & (self.keys.gather(1, owner) == key)
        source = torch.where(known, before, torch.where(twin, owner, serial))
        return source, source == serial

    def learn(self, source: Tensor, fresh: Tensor, losses: Tensor) -> Tensor:
        """Stores the losses of the fresh ones, in their order, and gives those of all, ``[n, m]``."""
        new = self.losses[:, self.used : self.used + fresh.shape[1]]
        new[fresh] = losses
        new.copy_(self.losses.gather(1, source))
        self.used += fresh.shape[1]
        return new.clone()
