"""Images attacked within a step of a training, by any attack under a budget, and a look at whether that is enough."""

import dataclasses
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.attacks.budget.pgd import PGD
from brittle.catalog import label_of, traits_of
from brittle.errors import BrittleError
from brittle.goals import Untargeted
from brittle.models.modes import evaluating
from brittle.models.network import Network
from brittle.rng import Rng
from brittle.text import percent
from brittle.train.batches import Batch
from brittle.train.recipe import Networks, Recipe, Stopped, Task
from brittle.types import Images, Labels, Logits

PROBE_STEPS, _PROBED, _PROBES = 10, 128, 8  # gradient steps; images; times an epoch
_SOUND, _COLLAPSED = 0.75, 0.5  # of the best robust accuracy so far
_BEGUN = 0.15  # robust accuracy from which a fall means something: above guessing
_LONG = 0.5  # of the steps, by which there must be so much, where the attack that is trained against leaves more


def check_trainable_by(attack: Any) -> None:
    """BrittleError for an attack that cannot be trained against: only gradients under a budget are quick enough."""
    traits = traits_of(attack)
    if traits.kind != "budget" or traits.access != "gradient" or traits.eps is None:
        raise BrittleError(
            f"expected an attack under a budget that goes by gradients to train against, got {label_of(attack)};"
            " as attack=pgd(eps=8/255)"
        )


def ramped(attack: Any, share: float) -> Any:
    """The same attack with a share of its budget, and of its step where that is said."""
    step = getattr(attack, "step_size", None)
    smaller = {"eps": attack.eps * share} | ({} if step is None else {"step_size": step * share})
    return attack if share >= 1 else dataclasses.replace(attack, **smaller)


def attacked(net: nn.Module, batch: Batch, attack: Any, *, away: Logits | None = None) -> Images:
    """The batch, attacked to the last step and normalised again, ``[B, C, H, W]``.

    net: itself, and not as the loop has wrapped it, which lets nobody but the loop differentiate. It is in eval mode
    meanwhile, so that its running statistics stay those of training.
    away: logits from which the attack is to lead, by the Kullback-Leibler divergence; default: from the labels.
    """
    seen, pixels = batch.normalised, batch.pixels.clamp(0, 1)
    network = Network(net, mean=seen.mean, std=seen.std, fast=False, batch_size=len(pixels))
    # Draws belong to the step, whose seed the loop has set, and to the place in the batch.
    rng = Rng(torch.initial_seed(), tuple(map(str, range(len(pixels)))))
    with batch.autocast():
        found: Images = attack(network, pixels, Onward(batch.labels, away), rng=rng).images
    return batch.seen(found)


@final
@dataclass(frozen=True, slots=True)
class Onward:
    """The goal of an attack that is trained against: the label is to be left, and is never left far enough.

    An attack that ended with its first success would train the network against the weakest examples that fool it, and
    not against the strongest within the budget, which the inner maximisation of Madry et al. 2018 (eq. 2.1) asks for.
    away: as in ``attacked``; TRADES' inner maximisation (Zhang et al. 2019, arXiv:1901.08573, eq. 5).
    """

    labels: Labels
    away: Logits | None = None

    @property
    def _plain(self) -> Untargeted:
        return Untargeted(self.labels)

    def is_met(self, logits: Logits) -> Tensor:
        return torch.zeros(len(logits), dtype=torch.bool, device=logits.device)

    def is_surely_met(self, logits: Logits) -> Tensor:
        return self.is_met(logits)

    def tolerance(self, logits: Logits) -> Tensor:
        return self._plain.tolerance(logits)

    def own(self, logits: Logits) -> Labels:
        return self.labels

    def others(self, logits: Logits) -> Logits:
        return self._plain.others(logits)

    def margin(self, logits: Logits) -> Tensor:
        return self._plain.margin(logits)

    def loss(self, logits: Logits) -> Tensor:
        return self._plain.loss(logits) if self.away is None else divergence(logits, self.away)

    def towards(self, logits: Logits, rivals: Labels) -> tuple[Tensor, Tensor]:
        return self._plain.towards(logits, rivals)

    def __getitem__(self, rows: Tensor | slice) -> "Onward":
        return Onward(self.labels[rows], None if self.away is None else self.away[rows])

    def __len__(self) -> int:
        return len(self.labels)


def divergence(logits: Logits, reference: Logits) -> Tensor:
    """``KL(reference || logits)`` of the probabilities, ``[B]``."""
    log, wanted = logits.log_softmax(1), reference.log_softmax(1)
    return functional.kl_div(log, wanted, reduction="none", log_target=True).sum(1)


class Against(Protocol):
    """What recipes that train against an attack have in common."""

    @property
    def attack(self) -> Any: ...

    @property
    def ramp(self) -> float: ...

    @property
    def watch(self) -> bool: ...

    @property
    def recipe(self) -> Recipe: ...


@final
class Opponent:
    """Whom another recipe's task trains against: the attack as strong as it is by now, and the watch."""

    def __init__(self, against: Against, net: nn.Module) -> None:
        self.against, self.net = against, net
        self.inner: Task = against.recipe.task(net)
        self.watch = Watch(net, against.attack) if against.watch else None

    @property
    def networks(self) -> Networks:
        """Those of the other task, and what the watch remembers."""
        return self.inner.networks if self.watch is None else {**self.inner.networks, "watch": self.watch}

    def told(self, batch: Batch) -> dict[str, Tensor]:
        """``robust``: the accuracy by PGD where it was last looked, as a sum over the batch."""
        if self.watch is None:
            return {}
        return {"robust": self.watch.look(self.net, batch, is_full=self._share(batch) == 1) * len(batch.labels)}

    def attacked(self, batch: Batch, *, away: Logits | None = None) -> Images:
        """The batch, attacked within the budget that it has by now; see ``attacked``."""
        return attacked(self.net, batch, ramped(self.against.attack, self._share(batch)), away=away)

    def _share(self, batch: Batch) -> float:
        """Of the budget."""
        ramp = self.against.ramp
        return min(1.0, batch.progress / ramp) if ramp else 1.0


@final
class Watch(nn.Module):
    """Looks some times an epoch whether PGD undoes what is learnt, and keeps the weights that were last sound.

    Training against single steps may end in networks that resist single steps only, within a hundred steps of the
    training (catastrophic overfitting: Wong et al. 2020, arXiv:2001.03994, section 5.4). It is noticed where robust
    accuracy, by PGD of 10 steps on 128 images of the batch, falls below half of its best, and below half of what the
    attack that is trained against leaves: where both fall, the training is only shaken. Where there has never been any,
    that is noticed in the middle of the training. While the budget still grows nothing is: against all of it, what is
    trained resists by chance only.

    As one of the task's networks it is in every checkpoint, so that a training that goes on knows what it had.
    """

    best: Tensor
    last: Tensor

    def __init__(self, net: nn.Module, attack: Any) -> None:
        super().__init__()
        self.sound = deepcopy(net).requires_grad_(False)
        self.attack = attack
        self.probe = PGD(norm=attack.norm, eps=attack.eps, steps=PROBE_STEPS, random_start=True)
        self.register_buffer("best", torch.zeros(()))
        self.register_buffer("last", torch.zeros(()))

    def look(self, net: nn.Module, batch: Batch, *, is_full: bool) -> Tensor:
        """Robust accuracy where it was last looked; ``Stopped`` where it has collapsed, with ``net`` as it was when it
        was sound. is_full: the budget is, by now."""
        every = max(1, batch.per_epoch // _PROBES)
        if batch.step % every == 0:
            some = batch.first(_PROBED)
            right, trained = (_accuracy(net, some, one) for one in (self.probe, self.attack))
            self.last.copy_(right)
            self.best.copy_(torch.maximum(self.best, right))
            if is_full and self._has_collapsed(right, trained, batch.progress):
                net.load_state_dict(self.sound.state_dict())
                begun = bool(self.best > _BEGUN)
                fell = f"fell from {percent(float(self.best))} to" if begun else "is"
                raise Stopped(
                    f"catastrophic overfitting in epoch {batch.step // batch.per_epoch + 1}: accuracy under PGD"
                    f" {fell} {percent(float(right))}, while that under {label_of(self.attack)} is"
                    f" {percent(float(trained))}; the weights are those of before{'' if begun else ', hardly trained'}."
                    " Train against more steps, or with a smaller step_size"
                )
            if right >= _SOUND * self.best:
                self.sound.load_state_dict(net.state_dict())
        return self.last

    def _has_collapsed(self, right: Tensor, trained: Tensor, progress: float) -> bool:
        best = self.best.clamp_min(_BEGUN)
        is_due = bool(self.best > _BEGUN) or progress > _LONG
        return is_due and bool(right < _COLLAPSED * torch.minimum(best, trained))


def _accuracy(net: nn.Module, batch: Batch, attack: Any) -> Tensor:
    """Under an attack."""
    images = attacked(net, batch, attack)
    with torch.no_grad(), evaluating(net), batch.autocast():
        logits: Logits = net(images)
    return (logits.argmax(1) == batch.labels).float().mean()
