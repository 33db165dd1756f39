"""A run is resumed by the network that began it, whatever its weights and its text say."""

from pathlib import Path
from typing import Any

import killable
import pytest
import torch
from killable import stopped_after
from kit import seeded
from torch import Tensor, nn

import brittle
from brittle.errors import BrittleError
from brittle.models.digits_cnn import DigitsCNN
from brittle.records import read_manifest
from brittle.run import engine
from brittle.run.engine import run

CHANGED = "holds a different run (answers: with the same weights, the network's logits on a few fixed images differ by"


class Net(nn.Module):
    """A network that attributes change, none of which its state or its text shows."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = seeded(DigitsCNN())
        self.mirrored, self.temperature, self.offset, self.noise, self.levels = False, 1.0, 0.0, 0.0, 0

    def forward(self, images: Tensor) -> Tensor:
        if self.levels:
            images = (images * self.levels).round() / self.levels
        logits: Tensor = self.inner(images.flip(-1) if self.mirrored else images)
        return logits / self.temperature + self.offset + self.noise * torch.randn_like(logits)

    def extra_repr(self) -> str:
        return ""


def classifier(batch_size: int | None = None, half: bool = False, **attributes: Any) -> brittle.Classifier:
    net = Net().half() if half else Net()
    for name, value in attributes.items():
        setattr(net, name, value)
    return brittle.Network(net, class_names=list("0123456789"), batch_size=batch_size)


@pytest.mark.parametrize(
    ("change", "offset"),
    [
        ({"mirrored": True}, 0.0),
        ({"temperature": 2.0}, 0.0),
        ({"temperature": 1.01}, 0.0),
        ({"levels": 255}, 0.0),
        ({"mirrored": True}, 1e4),
        ({"temperature": 2.0}, 1e4),
    ],
)
def test_another_function_is_refused_in_a_line(change: dict[str, Any], offset: float, tmp_path: Path) -> None:
    stopped_after(tmp_path, 2, classifier=classifier(offset=offset))
    with pytest.raises(BrittleError) as refused:
        killable.small_run(tmp_path, classifier=classifier(offset=offset, **change))
    assert CHANGED in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "began",
    [{}, {"noise": 0.3}, {"noise": 1e-3}, {"half": True}, {"offset": 1e4}],
    ids=["plain", "random", "little-random", "half", "offset"],
)
def test_the_same_function_is_resumed(began: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By other batch sizes and numbers of threads, too; a random network differs from itself, which is told apart."""
    stopped_after(tmp_path, 2, classifier=classifier(**began))
    torch.manual_seed(5)
    for batch_size in (1, 5, None):
        with monkeypatch.context() as patch:
            patch.setattr(engine, "_work", lambda *_: None)
            killable.small_run(tmp_path, classifier=classifier(batch_size, **began))
    run(killable.small_audit(classifier(**began)), out=tmp_path)


def test_a_random_network_that_is_another_is_refused(tmp_path: Path) -> None:
    stopped_after(tmp_path, 2, classifier=classifier(noise=1e-3))
    with pytest.raises(BrittleError, match="answers: with the same weights"):
        killable.small_run(tmp_path, classifier=classifier(noise=1e-3, mirrored=True))


def test_the_first_images_may_have_been_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was recorded yet, so that other data is no other run; the probe then goes by its synthetic images."""
    images, labels = killable.examples().images(0, 24), killable.examples().labels
    other = brittle.examples_of(images.roll(1, 0), labels, ids=[f"example-{k}" for k in range(24)])
    with monkeypatch.context() as patch:
        patch.setattr(engine, "_work", lambda *_: None)
        killable.small_run(tmp_path, classifier=classifier(), examples=other)
    with pytest.raises(BrittleError, match="answers: with the same weights"):
        killable.small_run(tmp_path, classifier=classifier(mirrored=True))
    killable.small_run(tmp_path, classifier=classifier())
    killable.small_run(tmp_path, classifier=classifier())


def test_other_weights_are_said_once(tmp_path: Path) -> None:
    stopped_after(tmp_path, 2)
    with pytest.raises(BrittleError, match="model: there DigitsCNN") as refused:
        killable.small_run(tmp_path, classifier=killable.classifier(weights=5))
    assert "answers" not in str(refused.value)


def test_the_generators_stand_where_they_stood(tmp_path: Path) -> None:
    torch.manual_seed(3)
    killable.small_run(tmp_path / "a", classifier=classifier(noise=0.1), attacks=[brittle.FGSM()])
    drawn = torch.rand(3)
    torch.manual_seed(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("brittle.run.sources.take_probe", lambda *_: read_manifest(tmp_path / "a").models[0].probe)
        killable.small_run(tmp_path / "b", classifier=classifier(noise=0.1), attacks=[brittle.FGSM()])
    assert torch.equal(drawn, torch.rand(3))
