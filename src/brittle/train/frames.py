"""Frames: pictures of what a training has come to, at equal distances, kept where a stopped one goes on from."""

from pathlib import Path
from typing import Protocol, final, runtime_checkable

from safetensors.torch import load, save
from torch import Tensor

from brittle.pages.files import replace_file
from brittle.train.batches import Pixels


@runtime_checkable
class Shows(Protocol):
    """A task that has something to show: so many ``frames`` in all."""

    frames: int

    def frame(self) -> Tensor:
        """Images as they are now: uint8 ``[rows, columns, H, W, C]``."""

    def generated(self, count: int, seed: int) -> Pixels:
        """So many images of the classes in turn."""


@final
class Frames:
    """The frames of one training. Those of a step that is made again are the same again."""

    def __init__(self, task: Shows, steps: int, scratch: Path | None) -> None:
        self.task, self.steps = task, steps
        self.folder = None if scratch is None else scratch / "frames"
        self.kept = dict[int, Tensor]()
        if self.folder is not None:
            self.folder.mkdir(exist_ok=True)

    def after(self, step: int) -> None:
        """The steps up to this one have been made."""
        number = self._number(step)
        if number == self._number(step - 1):
            return
        frame = self.task.frame()
        if self.folder is None:
            self.kept[number] = frame
        else:
            replace_file(self.folder / f"{number:06d}.safetensors", save({"frame": frame.contiguous()}))

    def all(self) -> list[Tensor]:
        """In order."""
        if self.folder is None:
            return [self.kept[number] for number in sorted(self.kept)]
        return [load(file.read_bytes())["frame"] for file in sorted(self.folder.glob("*.safetensors"))]

    def _number(self, step: int) -> int:
        return step * self.task.frames // self.steps
