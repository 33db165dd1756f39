"""Curves of few-pixel searches: they are those of the attack, of right images only, and what is told of them."""

import pandas as pd
import torch
from torch import nn

from brittle.attacks import FewPixel
from brittle.data import examples_of
from brittle.goals import Untargeted
from brittle.models.network import Network
from brittle.rng import Rng
from brittle.run.sources import Sources
from brittle.studies.evolution import EvolutionSpec, tell
from brittle.studies.per_image import PerImage

SMALL = {"population": 12, "generations": 6, "levels": 4}


class Bright(nn.Module):
    """Class 1 from a mean brightness on that one pixel of sixteen can reach from nothing, class 2 never."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bright = images.flatten(1).mean(1, keepdim=True)
        return torch.cat([torch.full_like(bright, 0.5), 12 * bright, bright - 5], dim=1)


def study(**options: object) -> tuple[PerImage, pd.DataFrame]:
    images = torch.zeros(3, 1, 4, 4)
    images[1] = 0.02
    labels = torch.tensor([0, 0, 2])  # the last one is wrong to begin with
    examples = examples_of(images, labels, ids=["a", "b", "c"])
    net = Network(Bright(), class_names=("dark", "bright", "never"))
    spec = EvolutionSpec(models=[], data="", **(SMALL | options))  # type: ignore[arg-type]
    made = PerImage(Sources.made_of({"net": net}, {"net": examples}), spec)
    manifest = made.plan(None, None)
    parts = [made.do(unit, manifest, None).table.to_pandas() for unit in made.units(manifest)]  # type: ignore[arg-type]
    return made, pd.concat(parts)


def test_a_curve_is_that_of_the_attack() -> None:
    made, records = study(pixels=[1, 2], stop_below=0.2)
    net = made.sources.of["net"].classifier
    images = made.sources.of["net"].examples.images(0, 2)
    attack = FewPixel(eps=2, stop_below=0.2, stop_above=0.5, **SMALL)
    outcome, curve = attack.evolve(net, images, Untargeted(torch.tensor([0, 0])), rng=Rng(0, ("a", "b")))
    for row, example in enumerate("ab"):
        mine = records[(records["example"] == example) & (records["pixels"] == 2)]
        assert mine["generation"].tolist() == list(range(7))
        assert torch.allclose(torch.tensor(mine["probability"].tolist()), curve[:, row])
        assert set(mine["steps"]) == {int(outcome.steps[row])}
        assert mine["probability"].is_monotonic_decreasing


def test_a_target_is_reached_or_not_and_wrong_images_are_no_part_of_it() -> None:
    made, records = study(pixels=[1], goals=["next-best", "least-likely"])
    assert not records.loc[records["example"] == "c", "right"].any()
    told = tell(made.plan(None, None), records)
    rates = {row[1]: (row[3].count, row[3].of) for row in told.rows}  # type: ignore[union-attr]
    assert rates == {"next-best": (2, 2), "least-likely": (0, 2)}
    assert [curve.name for curve in told.curves] == [
        "net, 1 pixel, next-best, image 1: bright",
        "net, 1 pixel, next-best, image 2: bright",
        "net, 1 pixel, least-likely, image 1: never",
        "net, 1 pixel, least-likely, image 2: never",
    ]
    assert told.curves[0].y[0] <= told.curves[0].y[-1]


def test_of_many_images_the_mean_is_drawn() -> None:
    made, records = study(pixels=[1])
    more = pd.concat([records.assign(example=records["example"] + str(k)) for k in range(3)])
    (curve,) = tell(made.plan(None, None), more).curves
    assert curve.name == "net, 1 pixel, mean"
    right = records[records["right"]]
    assert list(curve.y) == right.groupby("generation")["probability"].mean().tolist()
