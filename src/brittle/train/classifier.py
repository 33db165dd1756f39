"""One classifier, trained: from pixels to weights and a row for each epoch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, final

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from brittle.train.around import unwatched
from brittle.train.batches import Batches, Normalised, Pixels, seed_of
from brittle.train.decayed import as_they_are
from brittle.train.frames import Frames, Shows
from brittle.train.lightning import fabric_of, quiet
from brittle.train.loop import Loop, Progress, Row
from brittle.train.recipe import Networks, Recipe
from brittle.types import Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_BATCH = 500
GENERATED = 2_000
"""Images that are kept of a generator, classes in turn."""


class Trained(NamedTuple):
    """A state dict on the CPU, a row of numbers for each epoch, the seconds that all took, and why it ended early.

    frames, generated: of a task that shows something.
    """

    state: dict[str, Tensor]
    rows: list[dict[str, float]]
    seconds: float
    stopped: str | None
    frames: Sequence[Tensor] = ()
    generated: Pixels | None = None


@final
@dataclass(frozen=True)  # without slots, for the cached property
class Setting:
    """What a classifier is trained on and by. held_out: what it is judged on after each epoch. devices: of a kind.
    epochs: others than the recipe's. raw: the network takes pixels as they are, whatever the recipe says."""

    recipe: Recipe
    pixels: Pixels
    held_out: Pixels
    seed: int
    precision: Precision = "fp32"
    device: str = "cpu"
    devices: int = 1
    epochs: int | None = None
    raw: bool = False

    def some(self, images: int) -> "Setting":
        """About so many images once through, as a share of the whole and unwatched, to see how long that takes."""
        count = max(2, min(images, len(self.pixels)))
        judged = max(1, len(self.held_out) * count // len(self.pixels))
        recipe, pixels, held_out = unwatched(self.recipe), self.pixels.first(count), self.held_out.first(judged)
        return replace(self, recipe=recipe, pixels=pixels, held_out=held_out, epochs=1)

    @cached_property
    def normalised(self) -> Normalised:
        """As the recipe has it, of the images to train on."""
        return as_they_are(self.pixels) if self.raw else self.recipe.normalised(self.pixels)


def train(
    build: Callable[[], nn.Module],
    setting: Setting,
    *,
    scratch: Path | None = None,
    on_step: Callable[[Progress], None] | None = None,
    on_row: Callable[[list[dict[str, float]]], None] | None = None,
) -> Trained:
    """The network that ``build`` makes, with weights of the setting's seed to begin with, trained.

    scratch: a folder from which a training that was stopped goes on; with one thread to the same weights, to the bit.
    Rows have "loss" and "accuracy" on the batches as they were trained on, "held_out": the share
    right of what was held out, "rate" and "seconds".
    """
    fabric = fabric_of(setting.precision, setting.device, setting.devices)
    if setting.devices == 1:
        return _train(fabric, build, setting, scratch, on_step, on_row)
    # In processes of their own, from which nothing can be told meanwhile; a file, as their answer must fit into a pipe.
    with quiet(), TemporaryDirectory() as folder:
        file = Path(folder) / "weights"
        rows, seconds, stopped = fabric.launch(
            partial(_elsewhere, build=build, setting=setting, scratch=scratch, file=file)
        )
        return Trained(load(file.read_bytes()), rows, seconds, stopped)


def _elsewhere(
    fabric: "Fabric", build: Callable[[], nn.Module], setting: Setting, scratch: Path | None, file: Path
) -> tuple[list[dict[str, float]], float, str | None]:
    trained = _train(fabric, build, setting, scratch)
    if fabric.is_global_zero:
        file.write_bytes(save(trained.state))
    # Left to the end of the process, threads of the group may outlive what they belong to, and abort it.
    fabric.barrier()
    torch.distributed.destroy_process_group()
    return trained.rows, trained.seconds, trained.stopped


def _train(
    fabric: "Fabric",
    build: Callable[[], nn.Module],
    setting: Setting,
    scratch: Path | None,
    on_step: Callable[[Progress], None] | None = None,
    on_row: Callable[[list[dict[str, float]]], None] | None = None,
) -> Trained:
    net, recipe, normalised = initialised(build, setting.seed), setting.recipe, setting.normalised
    batches = Batches(
        setting.pixels.to(fabric.device),
        normalised,
        recipe.augmentation,
        recipe.batch,
        setting.epochs or recipe.epochs,
        setting.seed,
    )
    held_out = setting.held_out.to(fabric.device)

    def judge(networks: Networks) -> Row:
        return _judged(next(iter(networks.values())), held_out, normalised)

    with quiet():
        with seeded(setting.seed, "weights beside the classifier"):
            task = recipe.task(net)
        frames = Frames(task, batches.steps, scratch) if isinstance(task, Shows) else None
        after = (lambda step: None) if frames is None else frames.after
        loop = Loop(task, batches, fabric, judge=judge, after=after, scratch=scratch, on_step=on_step, on_row=on_row)
        rows, seconds, stopped = loop.run()
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    if frames is None or not isinstance(task, Shows):
        return Trained(state, rows, seconds, stopped)
    return Trained(state, rows, seconds, stopped, frames.all(), task.generated(GENERATED, setting.seed))


def initialised(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """With weights that belong to the seed, and channels last, which CPUs and GPUs convolve faster."""
    with seeded(seed, "weights"):
        net = build()
    net.to(memory_format=torch.channels_last)
    return net


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """The global generator with a seed of its own, for what draws from no other."""
    with torch.random.fork_rng():
        torch.manual_seed(seed_of(seed, purpose))
        yield


def _judged(net: nn.Module, held_out: Pixels, normalised: Normalised) -> Row:
    right = 0
    for start in range(0, len(held_out), _BATCH):
        rows = slice(start, start + _BATCH)
        predicted = net(normalised.images(held_out.values[rows])).argmax(1)
        right += int((predicted == held_out.labels[rows]).sum())
    return {"held_out": right / len(held_out)}
