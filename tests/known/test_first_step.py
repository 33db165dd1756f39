"""The first steps to a boundary: closed forms of an affine network, a boundary beyond the box, a sure softmax."""

import math

import pytest
import torch

from brittle.data import examples_of
from brittle.models.network import Network
from brittle.run.sources import Shard, Sources
from brittle.studies.first_step import FirstStepSpec, tell, work
from brittle.studies.per_image import PerImage
from known.affine import Affine, affine_problem


def asked(net: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, **options: float) -> dict[str, list[float]]:
    classifier = Network(net)
    shard = Shard(tuple(f"{k}" for k in range(len(images))), 0, images, labels, classifier.logits(images))
    spec = FirstStepSpec(models=[], data="", **options)  # type: ignore[arg-type]
    return {name: list(column) for name, column in work(spec, classifier, shard).items()}


def test_the_step_of_an_affine_network_is_its_distance() -> None:
    problem = affine_problem(5, 48, 2)
    found = asked(problem.net, problem.images, problem.labels, overshoot=0.02)
    assert found["step"] == [1] * len(problem.images), "one step is enough where all is linear"
    assert found["length"] == pytest.approx((1.02 * problem.distances).tolist(), rel=1e-4)
    assert found["inside"] == pytest.approx(found["length"], rel=1e-4), "near mid-grey nothing leaves the box"
    assert all(found["crossed"]) and all(found["crossed_inside"]) and not any(found["saturated"])
    ratios = [gap / slope for gap, slope in zip(found["gap"], found["slope"], strict=True)]
    assert ratios == pytest.approx(problem.distances.tolist(), rel=1e-4)


def test_what_is_beyond_the_pixels_is_cut_off_and_does_not_cross() -> None:
    """Class 0 by more than all four pixels can make up for: from 1 they only go up."""
    net = Affine(torch.tensor([[0.0] * 4, [1.0] * 4]), torch.tensor([10.0, 0.0]))
    found = asked(net, torch.ones(1, 1, 2, 2), torch.tensor([0]), overshoot=0.0, steps=1)
    assert found["length"] == pytest.approx([6 / 2]), "a gap of 6 by a slope of 2"
    assert (found["inside"], found["crossed_inside"]) == ([0.0], [False])


def test_a_saturated_softmax_and_a_wrong_image_are_told() -> None:
    net = Affine(torch.tensor([[1.0], [-1.0]]) * 20, torch.zeros(2))
    images = torch.tensor([1.0, 0.1, 0.5]).view(3, 1, 1, 1)  # log-odds of 40, 4 and 20
    found = asked(net, images, torch.tensor([0, 0, 1]), steps=1)
    assert found["saturated"] == [True, False, False]
    assert (found["right"], found["gap"][2]) == ([True, True, False], 0.0)


def test_a_place_without_slope_has_a_step_without_end() -> None:
    class Flat(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            up = images.flatten(1).sum(1, keepdim=True).clamp(max=0)
            return torch.cat([up + 1, up], dim=1)

    found = asked(Flat(), torch.full((1, 1, 2, 2), 0.5), torch.tensor([0]), steps=1)
    assert (found["length"], found["slope"], found["crossed"]) == ([math.inf], [0.0], [False])


def test_it_is_told_by_model_and_step() -> None:
    problem = affine_problem(5, 48, 2)
    examples = examples_of(problem.images, problem.labels)
    spec = FirstStepSpec(models=[], data="", overshoot=0.02)
    study = PerImage(Sources.made_of({"net": problem.classifier}, {"net": examples}), spec)
    manifest = study.plan(None, None)
    done = [study.do(unit, manifest, None).table.to_pandas() for unit in study.units(manifest)]  # type: ignore[arg-type]
    told = tell(manifest, done[0])
    ((model, step, *cells),) = told.rows
    assert (model, step) == ("net", "step 1")
    mean = dict(zip(told.heads[2:], cells, strict=True))["length"]
    assert mean.measured.value == pytest.approx(1.02 * float(problem.distances.mean()), rel=1e-4)  # type: ignore[union-attr]
    (curve,) = told.curves
    assert curve.y[-1] == 0 and list(curve.y) == sorted(curve.y, reverse=True)
