"""The last step of L0 attacks: fewer changed pixels by putting back what is not needed, and by exchanging the rest."""

import torch
from torch import Tensor

from brittle.attacks.parts.asking import Asking
from brittle.attacks.parts.best import Nearest
from brittle.attacks.parts.pixels import painted, tried
from brittle.attacks.parts.rows import kept
from brittle.geometry.box import HIGH, LOW
from brittle.geometry.norms import per_row
from brittle.types import Images

_PUT_BACK = 16  # pixels that may go in each exchange, least needed first
_ROUNDS = 30


def exchange(asking: Asking[Nearest], rows: Tensor, x: Images, known: Tensor, width: int) -> None:
    """From adversarial images ``x`` of ``rows`` to fewer pixels, as far as single exchanges lead.

    While the goal is met, pixels are put back; the first that is needed goes too. With one pixel less than before, the
    margin is then brought down by exchanging one changed pixel for another, or for another colour, until the goal is
    met again or no exchange helps. Each round tries ``width`` pixels that may come by gradient, as many that are
    known to have helped, and ``width`` pairs. known: what each did when a search tried it, ``[B, H * W]``, else -inf.
    """
    x, met, margin = x.clone(), torch.ones_like(rows, dtype=torch.bool), x.new_full((len(rows),), torch.inf)
    for _ in range(_ROUNDS):
        if not len(rows):
            break
        without = _without(asking, rows, x)
        moves = torch.zeros_like(met)
        for part, step in ((met, _fewer), (~met, _exchanged)):
            at = part.nonzero().squeeze(1)
            if not len(at):
                continue
            x[at], margin[at], met[at], moves[at] = step(
                asking, rows[at], x[at], margin[at], without[at], known[rows[at]], width
            )
        asking.best.offer(rows, x, met & moves)
        rows, x, margin, met = kept(moves, rows, x, margin, met)


def _without(asking: Asking[Nearest], rows: Tensor, x: Images) -> Tensor:
    """The margin with each changed pixel put back alone, ``[n, H * W]``; inf at pixels that are as they were."""
    origin = asking.images[rows].flatten(2)
    row, pixel = (x.flatten(2) != origin).any(1).nonzero(as_tuple=True)
    without = x.new_full((len(rows), origin.shape[2]), torch.inf)
    without[row, pixel], _ = tried(asking, rows, x, row, pixel.unsqueeze(1), origin[row, :, pixel].unsqueeze(1))
    return without


def _fewer(
    asking: Asking[Nearest], rows: Tensor, x: Images, margin: Tensor, without: Tensor, known: Tensor, width: int
) -> tuple[Images, Tensor, Tensor, Tensor]:
    """As many of the least needed pixels put back as the goal allows, found by halves; at least one, met or not."""
    rank = without.argsort(dim=1, stable=True).argsort(dim=1).view(len(rows), 1, *x.shape[2:])
    changed = without.isfinite().sum(1)
    low, high = torch.ones_like(changed), changed.clone()  # without all of its changed pixels it is the original

    def put_back(at: Tensor, count: Tensor) -> tuple[Images, Tensor, Tensor]:
        fewer = torch.where(rank[at] < per_row(count, x), asking.images[rows[at]], x[at])
        return fewer, *asking.margins(rows[at], fewer)

    at = (changed > 1).nonzero().squeeze(1)
    moves, met = changed > 1, torch.zeros_like(changed, dtype=torch.bool)
    fewer, margin = x.clone(), margin.clone()
    fewer[at], margin[at], met[at] = put_back(at, low[at])
    while len(at := (met & (high - low > 1)).nonzero().squeeze(1)):
        middle = (low[at] + high[at]) // 2
        less, lower, holds = put_back(at, middle)
        fewer[at[holds]], margin[at[holds]], low[at[holds]] = less[holds], lower[holds], middle[holds]
        high[at[~holds]] = middle[~holds]
    return fewer, margin, met, moves


def _exchanged(
    asking: Asking[Nearest], rows: Tensor, x: Images, margin: Tensor, without: Tensor, known: Tensor, width: int
) -> tuple[Images, Tensor, Tensor, Tensor]:
    """The best exchange, where one brings the margin down: one changed pixel goes, another, or another colour, comes.

    The gradient names the pixels that may come, and those that are known to have helped, at their farther end. What
    each does alone, and what it does alone that each changed one goes, are added to guess what both do; the best of
    these guesses are tried.
    """
    w, _ = asking.descent(rows, x)
    flat, origin, corners = x.flatten(2), asking.images[rows].flatten(2), (w > 0).to(x.dtype).flatten(2)
    gain = (w.flatten(2) * (corners - flat)).sum(1)
    comes = gain.argsort(dim=1, descending=True, stable=True)[:, :width]
    by_gradient = gain.gather(1, comes) > 0
    others = torch.where(without.isfinite(), -torch.inf, known)
    others = others.scatter(1, comes, torch.where(by_gradient, -torch.inf, others.gather(1, comes)))
    also = others.argsort(dim=1, descending=True, stable=True)[:, :width]
    asked = torch.cat([by_gradient, others.gather(1, also) > 0], 1)
    farther = (origin < (LOW + HIGH) / 2).to(x.dtype)
    remembered = torch.zeros_like(gain, dtype=torch.bool).scatter(1, also, True)
    corners = torch.where(remembered.unsqueeze(1), farther, corners)
    comes = torch.cat([comes, also], 1)
    row, rank = asked.nonzero(as_tuple=True)
    new = comes[row, rank]
    alone = x.new_full(comes.shape, torch.inf)
    alone[row, rank], _ = tried(asking, rows, x, row, new.unsqueeze(1), corners[row, :, new].unsqueeze(1))

    goes = without.argsort(dim=1, stable=True)[:, :_PUT_BACK]
    guess = alone.unsqueeze(1) + without.gather(1, goes).unsqueeze(2) - margin.view(-1, 1, 1)
    same, old = goes.unsqueeze(2) == comes.unsqueeze(1), without.gather(1, comes).isfinite().unsqueeze(1)
    guess = torch.where(same & old, alone.unsqueeze(1), torch.where(old, torch.inf, guess)).flatten(1)
    pairs = guess.argsort(dim=1, stable=True)[:, :width]
    row, rank = guess.gather(1, pairs).isfinite().nonzero(as_tuple=True)
    pair = pairs[row, rank]
    out, new = goes[row, pair // comes.shape[1]], comes[row, pair % comes.shape[1]]
    pixels = torch.stack([out, new], 1)
    colours = torch.stack([origin[row, :, out], corners[row, :, new]], 1)
    both, holds = x.new_full(pairs.shape, torch.inf), torch.zeros_like(pairs, dtype=torch.bool)
    both[row, rank], holds[row, rank] = tried(asking, rows, x, row, pixels, colours)

    least, best = both.min(1)
    moves = least < margin
    taken = (best[row] == rank) & moves[row]
    x = x.clone()
    x[row[taken]] = painted(x[row[taken]], pixels[taken], colours[taken])
    return x, torch.where(moves, least, margin), holds.gather(1, best.unsqueeze(1)).squeeze(1) & moves, moves
