"""Rounding colours to whole levels: each channel makes up for the others, and what eyes see of it is less."""

import torch
from torch import Tensor

from brittle.visibility.colour import colour_metric, small_difference
from brittle.visibility.levels import Levels


def colours(seed: int = 0) -> Tensor:
    return 0.1 + 0.8 * torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(seed))


def test_it_gives_whole_levels_and_leaves_those_that_are() -> None:
    images = colours()
    levels = Levels.by(colour_metric(images))
    rounded = levels.near(images)
    assert torch.equal(rounded, (rounded * 255).round() / 255)
    assert ((rounded - images).abs() < 4 / 255).all()
    assert torch.equal(levels.near(rounded), rounded)
    assert torch.equal(levels.near(2 * images - 0.5), levels.near(2 * images - 0.5).clamp(0, 1))
    assert torch.equal(levels[torch.tensor([1])].near(images[1:]), rounded[1:])


def test_blue_is_the_best_level_there_is_given_red_and_green() -> None:
    images = colours()
    metric = colour_metric(images)
    rounded = Levels.by(metric).near(images)
    seen = small_difference(metric, rounded - images)
    for step in (-1, 1):
        other = rounded.clone()
        other[:, 2] += step / 255
        assert (small_difference(metric, other - images) >= seen - 1e-6).all()


def test_it_shows_less_than_rounding_each_channel_and_little_more_than_the_best_of_all() -> None:
    images = colours()
    metric = colour_metric(images)
    near = (images * 255).round() / 255
    around = torch.cartesian_prod(*[torch.arange(-1.0, 2.0)] * 3).view(27, 1, 3, 1, 1) / 255
    every = torch.stack([small_difference(metric, near + one - images) for one in around])
    best, ours = every.amin(0).mean(), small_difference(metric, Levels.by(metric).near(images) - images).mean()
    assert ours < 0.8 * small_difference(metric, near - images).mean()
    assert ours < 1.1 * best


def test_where_channels_have_nothing_to_do_with_one_another_it_rounds_each() -> None:
    images = colours()
    metric = torch.eye(3).view(1, 3, 3, 1, 1).expand(2, 3, 3, 40, 40)
    assert torch.equal(Levels.by(metric).near(images), Levels().near(images))
    assert torch.equal(Levels().near(images), (images * 255).round() / 255)
