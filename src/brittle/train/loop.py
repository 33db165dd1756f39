"""The loop: any task, step by step, which may be stopped at any moment and goes on as if it had not been."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, final

import torch
from torch import Tensor

from brittle.devices import seed_draws
from brittle.errors import BrittleError
from brittle.heap import keep_freed_memory
from brittle.models.depthwise import depthwise_in_float32
from brittle.train.batches import Batches, seed_of
from brittle.train.recipe import Networks, Stopped, Task

if TYPE_CHECKING:
    from lightning_fabric import Fabric

CHECKPOINT = "checkpoint.pt"
SECONDS = 30.0
"""Between two checkpoints, at most, but for the time of a step."""

_OFTEN = 0.2

Row = Mapping[str, float]
Judge = Callable[[Networks], Row]
"""Networks, in eval mode -> numbers about them."""


class Progress(NamedTuple):
    """How far a training is: steps, the epoch and its numbers until now, and the seconds that are left."""

    done: int
    total: int
    epoch: int
    row: Row
    left: float


@final
@dataclass(slots=True)
class _Standing:
    """Where a training stands, but for networks and optimisers: numbers of the epoch as sums, and those of all before.

    seconds: of work, in this process and those before.
    """

    step: int = 0
    images: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


@final
class Loop:
    """A task on batches. ``fabric`` says on what, and how exactly; rows come one an epoch.

    judge: adds its numbers to those of an epoch. scratch: a folder for what a stopped training goes on from.
    after: is called with the number of steps made, after each. on_step: is told how far it is, some times a second.
    on_row: all epochs' numbers, as each is complete.
    """

    def __init__(
        self,
        task: Task,
        batches: Batches,
        fabric: "Fabric",
        *,
        judge: Judge = lambda networks: {},
        after: Callable[[int], None] = lambda step: None,
        scratch: Path | None = None,
        on_step: Callable[[Progress], None] | None = None,
        on_row: Callable[[list[dict[str, float]]], None] | None = None,
    ) -> None:
        self.task, self.fabric, self.judge = task, fabric, judge
        self.batches, self.after = batches, after
        self.checkpoint = None if scratch is None else scratch / CHECKPOINT
        self.on_step, self.on_row = on_step, on_row
        self.networks = {
            name: fabric.setup_module(net)
            if any(one.requires_grad for one in net.parameters())
            else fabric.to_device(net)
            for name, net in task.networks.items()
        }
        self.optimisers = dict[str, Any]()
        for name, one in task.optimisers.items():
            self.optimisers[name] = fabric.setup_optimizers(one)
        self.standing = _Standing()
        self._told = 0.0

    def run(self) -> tuple[list[dict[str, float]], float, str | None]:
        """All that is left to do; the rows of all epochs, the seconds of all that was done, before too, and why it
        ended early, where it did."""
        if self.fabric.device.type == "cpu":
            keep_freed_memory()
        self._resume()
        now, total = self.standing, self.batches.steps
        begun = now.step, time.perf_counter()
        started, saved = time.perf_counter() - now.seconds, time.perf_counter()
        nets = self.networks.values()
        with torch.random.fork_rng(), torch.enable_grad(), depthwise_in_float32(nets):
            while now.step < total:
                try:
                    self._step(now.step)
                except Stopped as reason:  # not in a checkpoint: who goes on from the last one comes here again
                    if now.images:
                        self._row(time.perf_counter() - started)
                    return now.rows, time.perf_counter() - started, str(reason)
                now.step += 1
                self.after(now.step)
                self._tell(begun)
                if now.step % self.batches.per_epoch == 0:
                    self._row(time.perf_counter() - started)
                now.seconds = time.perf_counter() - started
                if now.step == total or self._agreed(time.perf_counter() - saved >= SECONDS):
                    self._save()
                    saved = time.perf_counter()
        return now.rows, now.seconds, None

    def _step(self, step: int) -> None:
        # What draws by itself, as dropout does, draws what belongs to the step.
        seed_draws(self.fabric.device, seed_of(self.batches.seed, f"step {self.fabric.global_rank}", step))
        batch = self.batches.at(step, self.fabric.global_rank, self.fabric.world_size)
        batch = batch._replace(autocast=self.fabric.autocast)
        rate = self.task.rate(step / self.batches.steps)
        for net in self.networks.values():
            net.train()
        now = self.standing
        for move in self.task.moves(self.networks, batch):
            optimiser = self.optimisers[move.optimiser]
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad()
            self.fabric.backward(move.loss)
            optimiser.step()
            for name, value in move.told.items():
                # Not asked for here: a GPU would have to come to rest.
                now.sums[name] = now.sums.get(name, 0.0) + value.double()
        now.images += len(batch.labels)

    def _tell(self, begun: tuple[int, float]) -> None:
        """How far it is, as often as people can follow."""
        now, second = self.standing, time.perf_counter()
        if self.on_step is not None and second - self._told >= _OFTEN:
            self._told = second
            means = {name: float(value) / now.images for name, value in now.sums.items()}
            epoch, total = (now.step - 1) // self.batches.per_epoch + 1, self.batches.steps
            left = (second - begun[1]) / (now.step - begun[0]) * (total - now.step)
            self.on_step(Progress(now.step, total, epoch, means, left))

    def _row(self, seconds: float) -> None:
        """An epoch's numbers, of the images of all processes."""
        now = self.standing
        sums = {name: self._total(float(value)) for name, value in now.sums.items()}
        images = self._total(now.images)
        for net in self.networks.values():
            net.eval()
        with torch.no_grad():
            judged = self.judge(self.networks)
        epoch = -(-now.step // self.batches.per_epoch)
        now.rows.append(
            {
                "epoch": float(epoch),
                **{name: value / images for name, value in sums.items()},
                **judged,
                "rate": self.task.rate((now.step - 1) / self.batches.steps),
                "seconds": seconds,
            }
        )
        now.images, now.sums = 0, {}
        if self.on_row is not None and self.fabric.is_global_zero:
            self.on_row(now.rows)

    def _agreed(self, is_time: bool) -> bool:
        """What the first process says: all write a checkpoint together."""
        return is_time if self.fabric.world_size == 1 else bool(self.fabric.broadcast(is_time))

    def _total(self, value: float) -> float:
        if self.fabric.world_size == 1:
            return value
        summed: Tensor = self.fabric.all_reduce(torch.tensor(value, dtype=torch.float64), reduce_op="sum")  # type: ignore[assignment]
        return float(summed)

    def _parts(self) -> dict[str, Any]:
        return {f"network {name}": net for name, net in self.networks.items()} | {
            f"optimiser {name}": one for name, one in self.optimisers.items()
        }

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        now = self.standing
        standing = {name: getattr(now, name) for name in ("step", "images", "sums", "rows", "seconds")}
        beside = self.checkpoint.with_suffix(".new")
        self.fabric.save(beside, {**self._parts(), "standing": standing})
        if self.fabric.is_global_zero:
            os.replace(beside, self.checkpoint)
        self.fabric.barrier()

    def _resume(self) -> None:
        """Goes on from a checkpoint, where there is one. It is read as tensors and numbers; no code in it is run."""
        if self.checkpoint is None or not self.checkpoint.exists():
            return
        try:
            rest = self.fabric.load(self.checkpoint, self._parts(), weights_only=True)
            self.standing = _Standing(**rest["standing"])
        except Exception as error:  # a damaged file makes unpickling raise nearly anything
            reason = " ".join(str(error).split())[:100]
            raise BrittleError(
                f"cannot go on from {str(self.checkpoint)!r} ({type(error).__name__}: {reason}); delete it, and this"
                " training begins anew"
            ) from None
