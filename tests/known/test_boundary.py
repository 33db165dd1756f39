"""Boundaries whose shape is known: planes and spheres."""

import math

import pytest
import torch
from torch import Tensor, nn

from brittle.explain.boundary import basis, crossing, linear_distance, map_of, turning
from brittle.models import Network

RADIUS, MIDDLE = 0.8, 0.5


class Ball(nn.Module):
    """Class 0 inside a ball around grey, class 1 outside."""

    def forward(self, images: Tensor) -> Tensor:
        inside = RADIUS**2 - (images - MIDDLE).square().flatten(1).sum(1)
        return torch.stack([inside, -inside], 1)


class Plane(nn.Module):
    """Class 1 where the first pixel is bright."""

    def forward(self, images: Tensor) -> Tensor:
        bright = images[:, 0, 0, 0] - 0.7
        return torch.stack([-bright, bright], 1)


def direction(*, seed: int) -> Tensor:
    return torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(seed))


def test_axes_are_orthonormal_and_span_both() -> None:
    one, two = direction(seed=0), direction(seed=1)
    axes = basis(one, two).flatten(1)
    assert torch.allclose(axes @ axes.T, torch.eye(2), atol=1e-6)
    assert torch.allclose(axes[0] * one.norm(), one.flatten(), atol=1e-5)
    assert torch.allclose(axes.T @ (axes @ two.flatten()), two.flatten(), atol=1e-5)


def test_a_map_of_a_ball_is_a_disc() -> None:
    """Off its middle by a known distance, and the right way up."""
    axes = basis(direction(seed=0), direction(seed=1))
    image = torch.full((1, 4, 4), MIDDLE) + 0.3 * axes[0] + 0.2 * axes[1]
    size, reach = 41, 1.0
    inside = map_of(Network(Ball()), image, axes, reach, size).argmax(2) == 0
    for row in range(size):
        for column in range(size):
            right, up = reach * (2 * column / (size - 1) - 1), reach * (1 - 2 * row / (size - 1))
            far = math.hypot(right + 0.3, up + 0.2)
            if abs(far - RADIUS) > 1e-3:
                assert bool(inside[row, column]) == (far < RADIUS), (row, column)


def test_where_a_way_crosses() -> None:
    way = direction(seed=2)[None] / direction(seed=2).norm()
    grey = torch.full((1, 1, 4, 4), MIDDLE)
    images = torch.cat([grey, grey + 0.5 * way])
    found = crossing(Network(Ball()), images, (grey + 1.5 * way).expand(2, -1, -1, -1), torch.tensor([0, 0]))
    assert found.others.tolist() == [1, 1]
    assert torch.allclose(found.points, (grey + RADIUS * way).expand(2, -1, -1, -1), atol=1e-5)


def test_a_sphere_turns_by_one_over_its_radius() -> None:
    way = direction(seed=3) / direction(seed=3).norm()
    tangents = torch.stack([direction(seed=4), direction(seed=5)])
    reaches = [0.05, 0.2, 0.5]
    found = turning(Network(Ball()), torch.full((1, 4, 4), MIDDLE) + RADIUS * way, 0, 1, tangents, reaches, 1.0)
    for column, reach in enumerate(reaches):
        angle = math.asin(reach / RADIUS)  # the way back is along the first normal
        assert torch.allclose(found.angles[:, column], torch.tensor(angle), atol=2e-3)
        assert torch.allclose(found.distances[:, column], torch.tensor(2 * RADIUS * math.sin(angle / 2)), atol=1e-3)


def test_beyond_a_sphere_there_is_no_boundary() -> None:
    way = direction(seed=3) / direction(seed=3).norm()
    point = torch.full((1, 4, 4), MIDDLE) + RADIUS * way
    found = turning(Network(Ball()), point, 0, 1, direction(seed=4)[None], [0.1, 1.5], 1.0)
    assert found.angles.isnan().tolist() == found.distances.isnan().tolist() == [[False, True]]


@pytest.mark.parametrize("reach", [0.01, 2.0])
def test_a_plane_does_not_turn_and_is_as_far_as_it_seems(reach: float) -> None:
    network = Network(Plane())
    image = torch.full((1, 1, 4, 4), 0.2)
    at = image.clone()
    at[0, 0, 0, 0] = 0.7
    found = turning(network, at[0], 0, 1, torch.stack([direction(seed=6), direction(seed=7)]), [reach], 1.0)
    assert torch.allclose(found.angles, torch.zeros(2, 1), atol=1e-3)
    assert torch.allclose(found.distances, torch.full((2, 1), reach), rtol=1e-4)
    far = linear_distance(network, image, torch.tensor([0]), torch.tensor([1]))
    assert torch.allclose(far, torch.tensor([0.5]), atol=1e-6)
