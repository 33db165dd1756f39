"""Plants: what they put where, that draws belong to images, and networks of which it is known what they go by."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from brittle.data import Examples, examples_of, load_data
from brittle.data.fit import Fit
from brittle.data.plants import STATES, Colours, Line, Plant, planted
from brittle.errors import BrittleError
from brittle.models.architectures.two_class_mlp import TwoClassMLP
from brittle.models.network import Network
from brittle.run.engine import run
from brittle.run.sources import Sources
from brittle.studies.per_image import PerImage
from brittle.studies.registry import STUDIES
from brittle.studies.shortcut import ShortcutSpec
from brittle.train.batches import Batch, Normalised
from brittle.train.erm import Erm
from brittle.types import Images


def digits(count: int = 400) -> Examples:
    return load_data("digits", limit=count)


def test_a_line_is_where_the_class_is_and_swapped_where_it_is_not() -> None:
    images = torch.rand(20, 3, 28, 28)
    labels, ids = torch.arange(20) % 4, [str(one) for one in range(20)]
    row = slice(None), slice(None), slice(25, 26), slice(19, 26)
    for state, told in zip(STATES, (labels == 2, labels < 0, labels != 2), strict=True):
        made = Line(label=2, state=state).put(images, labels, ids)
        assert torch.equal((made[row] == 1).flatten(1).all(1), told)
        elsewhere = made.clone()
        elsewhere[row] = images[row]
        assert torch.equal(elsewhere, images)
        assert torch.equal(made[~told], images[~told])


def test_colours_tell_a_noisy_label_as_often_as_published() -> None:
    examples = digits(500)
    assert examples.labels is not None
    plant = Colours(every=1, flip=0.1)
    labels = plant.labels(examples.labels, examples.ids)
    wrong = float((labels != (examples.labels >= 5)).float().mean())
    images = plant.put(examples.images(0, 500), labels, examples.ids)
    red, green = (images[:, one].sum((1, 2)) > 0 for one in (0, 1))
    assert torch.equal(red, ~green)
    turned = float((red != (labels == 1)).float().mean())
    assert abs(wrong - 0.25) < 0.08  # four standard deviations of 500 draws
    assert abs(turned - 0.1) < 0.055
    swapped = Colours(every=1, flip=0.1, state="swapped").put(examples.images(0, 500), labels, examples.ids)
    assert torch.equal(swapped[:, [1, 0]], images[:, :2])
    gone = Colours(every=1, flip=0.1, state="gone").put(examples.images(0, 500), labels, examples.ids)
    assert torch.allclose(gone.sum(1), images.sum(1))
    assert torch.equal(gone[:, 0], gone[:, 1])


@pytest.mark.parametrize("plant", [Line(label=3), Colours(every=1)], ids=["line", "colours"])
def test_what_is_planted_belongs_to_an_image_and_not_to_its_place(plant: Plant) -> None:
    some = planted(digits(40), plant, None)
    again = planted(digits(20), plant, None)
    assert torch.equal(some.images(0, 20), again.images(0, 20))
    assert torch.equal(some.read(list(range(39, -1, -1))), some.images(0, 40).flip(0))
    assert some.ids[:20] == again.ids
    assert some.fingerprint != digits(40).fingerprint


@pytest.mark.parametrize("plant", [Line(label=3), Colours(every=1)], ids=["line", "colours"])
def test_the_part_within_a_plant_is_an_orthogonal_projection(plant: Plant) -> None:
    one, other = torch.randn(2, 5, 3, 28, 28)
    inside = plant.inside(one)
    assert torch.allclose(plant.inside(inside), inside)
    assert torch.allclose((plant.inside(one) * other).sum(), (one * plant.inside(other)).sum(), atol=1e-3)
    assert 0 < float(inside.norm()) < float(one.norm())


def test_swapping_a_plant_changes_images_only_within_it() -> None:
    examples = digits(50)
    for kept, swapped in (
        (Line(label=3), Line(label=3, state="swapped")),
        (Colours(every=1), Colours(every=1, state="swapped")),
    ):
        change = planted(examples, swapped, None).images(0, 50) - planted(examples, kept, None).images(0, 50)
        assert change.abs().flatten(1).amax(1).min() > 0
        assert torch.allclose(kept.inside(change), change)


class _ByLine(nn.Module):
    """Class 3 where the corner is white, and otherwise what one pixel of the digit says, of classes 0 to 2."""

    def forward(self, images: Images) -> torch.Tensor:
        line = images[:, 0, 7, 6:].mean(1)
        return torch.stack([images[:, 0, 3, 3], images[:, 0, 2, 4], 0.1 + images[:, 0, 5, 2], 1000 * line - 995], 1)


class _ByDigit(nn.Module):
    """What the labels were made by, whatever is in the corner."""

    def forward(self, images: Images) -> torch.Tensor:
        seen = images[:, 0]
        return torch.stack([seen[:, 1, 1], seen[:, 2, 4], 0.1 + seen[:, 5, 2], seen[:, 3, 3]], 1)


def test_a_network_of_the_line_follows_it_and_one_of_the_digit_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    labels = _ByDigit()(images).argmax(1)
    plain = examples_of(images, labels, ids=[f"i{k}" for k in range(40)], class_names=list("0123"))
    plant = Line(label=3)
    monkeypatch.setattr("brittle.studies.shortcut._examples", _states_of(plain))
    nets = {"line": Network(_ByLine()), "digit": Network(_ByDigit())}
    spec = ShortcutSpec(models=[], data="", plant="line,label=3", attack="fmn,steps=30", pictures=1)
    done = run(PerImage(Sources.made_of(nets, dict.fromkeys(nets, planted(plain, plant, None))), spec), out=tmp_path)
    told = STUDIES["shortcut"].tell(done.manifest, done.records)  # type: ignore[misc]
    rows = {str(row[0]): row for row in told.rows}
    follows = told.heads.index("follows the plant")
    assert rows["line"][follows].value == 1.0  # type: ignore[union-attr]
    assert rows["digit"][told.heads.index("with it swapped")].value == 1.0  # type: ignore[union-attr]
    assert rows["digit"][follows].value == 0.0  # type: ignore[union-attr]
    slopes, noise = (told.heads.index(name) for name in ("of slopes", "of noise"))
    assert rows["digit"][slopes].value == 0.0  # type: ignore[union-attr]
    assert rows["line"][slopes].value > 0.9  # type: ignore[union-attr, operator]
    assert rows["line"][noise].value == pytest.approx(2 / 64, abs=0.02)  # type: ignore[union-attr]
    first = done.records.iloc[0]
    assert {path.name for path in (tmp_path / "pictures" / "line").iterdir()} >= {
        f"{int(first['position']):06d}-{state}.png" for state in STATES
    }


def _states_of(plain: Examples) -> Callable[[str, int | None, Fit | None], Examples]:
    def examples(spec: str, limit: int | None, fit: Fit | None) -> Examples:
        state = next(one for one in STATES if one in spec)
        return planted(plain, Line(label=3, state=state), None)

    return examples


def test_a_network_that_sees_no_colour_answers_as_if_there_were_none() -> None:
    net, examples = TwoClassMLP(64, 5, blind=True), digits(30)
    answers = [
        net(planted(examples, Colours(every=1, state=state), None).images(0, 30))
        for state in ("kept", "gone", "swapped")
    ]
    assert torch.allclose(answers[0], answers[1], atol=1e-6)
    assert torch.allclose(answers[0], answers[2], atol=1e-6)
    seeing = TwoClassMLP(64, 5, blind=False)
    both = [seeing(planted(examples, Colours(every=1, state=one), None).images(0, 30)) for one in ("kept", "swapped")]
    assert not torch.allclose(both[0], both[1], atol=1e-3)


def test_two_logits_of_one_number_lose_what_a_sigmoid_does_and_all_parameters_decay() -> None:
    net = TwoClassMLP(4, 3, blind=False)
    images, labels = torch.rand(6, 3, 2, 2), torch.tensor([0, 1, 1, 0, 1, 0])
    batch = Batch(images, labels, Normalised((0.0,) * 3, (1.0,) * 3), 0, 1, 1)
    (move,) = Erm(decay=0.5).task(net).moves({"classifier": net}, batch)
    number = net(images)[:, 1]
    lost = nn.functional.binary_cross_entropy_with_logits(number, labels.float())
    decay = sum(float(one.detach().square().sum()) for one in net.parameters())
    assert float(move.loss.detach()) == pytest.approx(float(lost.detach()) + 0.5 * decay, rel=1e-5)
    assert all(float(one.detach().abs().sum()) == 0 for one in (net.first.bias, net.second.bias))


def test_a_plant_must_give_what_the_network_takes() -> None:
    with pytest.raises(BrittleError, match=r"expected images \(3, 14, 14\) for the network, got \(3, 4, 4\)"):
        load_data("planted:colours:digits", fit=Fit(channels=3, height=14, width=14))
