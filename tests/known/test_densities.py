"""Densities against closed forms, the area under a curve against counting, and what the study says of either."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal

from brittle.measure.auroc import auroc
from brittle.measure.intervals import wilson
from brittle.models.densities import Gaussian, PixelCNN, Variational, logistic
from brittle.records import read_records
from brittle.train.batches import Pixels
from brittle.train.densities import DENSITIES, PcaGaussian, SmallPixelCNN, VariationalBound
from conftest import Cli
from laws.worlds import one_thread


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def stripes(count: int, seed: int = 0) -> Pixels:
    """Images of 6 x 6 with one bright row each, and a little noise."""
    rows = torch.arange(count) % 6
    images = 0.1 * drawn(count, 6, 6, 1, seed=seed)
    images[torch.arange(count), rows] += 0.8
    return Pixels((255 * images).byte(), rows % 2)


def test_the_gaussian_is_the_likeliest_of_its_kind() -> None:
    rows = (torch.randn(300, 7, generator=torch.Generator().manual_seed(1)) @ drawn(7, 7)).double()
    made = Gaussian(7, 3)
    made.fit(rows)
    spread = (made.variances - made.rest).sqrt()[:, None] * made.axes
    other = LowRankMultivariateNormal(made.mean, spread.T, made.rest.expand(7))
    images = drawn(5, 7).view(5, 1, 1, 7)
    wanted = other.log_prob(images.flatten(1).double())  # type: ignore[no-untyped-call]
    torch.testing.assert_close(made(images), wanted)
    own = made(rows.view(-1, 1, 1, 7)).mean()
    for name, change in (("rest", 1.1), ("rest", 0.9), ("variances", 1.1), ("variances", 0.9)):
        moved = Gaussian(7, 3)
        moved.load_state_dict(made.state_dict() | {name: made.state_dict()[name] * change})
        assert moved(rows.view(-1, 1, 1, 7)).mean() < own


@pytest.mark.parametrize("channels", [1, 2])
def test_a_pixel_cnn_is_a_distribution(channels: int) -> None:
    torch.manual_seed(0)
    net, levels = PixelCNN(channels, 4, 1, 3), torch.arange(256)
    every = torch.cartesian_prod(*[levels] * channels).view(-1, channels, 1, 1) / 255
    with torch.no_grad():
        total = sum(float(net(every[k : k + 16384]).double().exp().sum()) for k in range(0, len(every), 16384))
    assert total == pytest.approx(1, abs=1e-3)


def test_a_pixel_is_told_from_those_before_it_and_from_no_other() -> None:
    torch.manual_seed(0)
    net, images = PixelCNN(3, 6, 2, 2), drawn(1, 3, 5, 5)
    before = net.terms(images)[0].flatten()
    for place in (0, 7, 12, 24):
        changed = images.clone()
        changed.view(3, 25)[:, place] = 1 - images.view(3, 25)[:, place]
        moved = (net.terms(changed)[0].flatten() != before).nonzero().flatten().tolist()
        assert min(moved) == place
        assert place == 24 or len(moved) > 1


def test_a_level_has_the_mass_of_a_logistic_distribution() -> None:
    middle, log_scale = torch.tensor(0.3), torch.tensor(-1.5)
    levels = torch.tensor([-1.0, -0.5, 0.3, 1.0])

    def whole(x: float) -> float:
        return 1 / (1 + math.exp(-(x - 0.3) / math.exp(-1.5)))

    half = 1 / 255
    wanted = [whole(-1 + half), *(whole(x + half) - whole(x - half) for x in (-0.5, 0.3)), 1 - whole(1 - half)]
    found = logistic(levels - middle, log_scale, levels).exp()
    torch.testing.assert_close(found, torch.tensor(wanted), atol=1e-6, rtol=1e-4)


def test_the_bound_is_below_the_likelihood_of_a_linear_decoder() -> None:
    """With a code of one number the likelihood is an integral that a sum over a grid gives."""
    torch.manual_seed(0)
    net, images = Variational(9, 5, 1, 4000).eval(), drawn(3, 1, 3, 3)
    grid = torch.linspace(-8, 8, 4001)
    with torch.no_grad():
        logits = net.decoder(grid[:, None])
        pixels = images.flatten(1)[:, None]
        logs = (pixels * logits - torch.nn.functional.softplus(logits)).sum(2)
        prior = -0.5 * grid.square() - 0.5 * math.log(2 * math.pi)
        exact = (logs + prior).logsumexp(1) + math.log(float(grid[1] - grid[0]))
        bound = net(images)
    assert (bound < exact + 1e-3).all()
    assert (bound > exact - 2).all()
    assert torch.equal(net(images), net(images)) and not torch.equal(net.train()(images), net(images))


@pytest.mark.parametrize(
    "density",
    [
        PcaGaussian(components=6),
        VariationalBound(epochs=40, batch=16, peak_rate=0.01, hidden=24, code=3),
        SmallPixelCNN(epochs=12, batch=16, peak_rate=0.02, width=8, blocks=1, mixtures=2),
    ],
)
def test_what_is_fitted_finds_images_of_its_kind_likelier_than_others(density: object, tmp_path: Path) -> None:
    with one_thread():
        net = density.fitted(stripes(120), 0, "cpu", tmp_path)  # type: ignore[attr-defined]
        with torch.no_grad():
            own, turned = (
                net(one.permute(0, 3, 1, 2).float() / 255)
                for one in (stripes(40, 1).values, stripes(40, 1).values.transpose(1, 2))
            )
    area = auroc(turned.double().numpy(), own.double().numpy())
    assert area.value is not None and area.value > 0.97


def test_the_area_is_a_count_of_pairs_and_its_interval_covers() -> None:
    rng = np.random.default_rng(0)
    low, high = rng.integers(0, 9, 40).astype(float), rng.integers(2, 11, 30).astype(float)
    pairs = (low[:, None] < high).mean() + 0.5 * (low[:, None] == high).mean()
    assert auroc(low, high).value == pytest.approx(pairs)
    assert auroc(high, low).value == pytest.approx(1 - pairs)
    truth, held = 0.76024994, 0  # of two normal distributions, one apart: Phi(1 / sqrt 2)
    for _ in range(400):
        found = auroc(rng.normal(0, 1, 40), rng.normal(1, 1, 60))
        assert found.low is not None and found.high is not None
        held += found.low <= truth <= found.high
    assert 0.92 < held / 400 < 0.98
    apart = auroc(np.array([0.0, 1.0]), np.array([2.0, 3.0]))
    assert (apart.value, apart.low, apart.high) == (1.0, *(wilson(2, 2) or ()))
    assert auroc(np.array([]), high).value is None


def test_density_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    asked = ("--model", "digits-cnn", "--data", "digits", "--limit", "40", "--train-data", "digits")
    method = ("--density", "pca-gaussian,components=8", "--attack", "deepfool", "--other", "digits")
    ran = cli("explain", "density", *asked, *method, "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    records = read_records(tmp_path / "run")
    rows = {row["what"]: row for row in json.loads(cli("summary", tmp_path / "run", "--json").out)["rows"]}
    assert set(rows) == {"clean", "deepfool", "noise beside deepfool", "other data: digits (test part)"} | {
        "deepfool against its noise"
    }
    kinds = {
        what: mine.loc[mine["fooled"], "value"].to_numpy() if what != "clean" else mine["value"].to_numpy()
        for what, mine in records.groupby("what")
    }
    for what in ("deepfool", "noise beside deepfool"):
        assert rows[what]["AUROC"]["value"] == pytest.approx(auroc(kinds[what], kinds["clean"]).value)
    assert rows["other data: digits (test part)"]["AUROC"]["value"] == pytest.approx(0.5)
    assert (tmp_path / "run" / "densities").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("--density pca-gausian", "did you mean 'pca-gaussian'?"),
        ("--density pca-gaussian,components=0", "components"),
        ("--attack minmal", "did you mean 'minimal'?"),
        ("--other digist", "did you mean 'digits'?"),
        ("--train-limit 1", "expected a whole number of at least 2, got '1'"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(command: str, said: str, cli: Cli, tmp_path: Path) -> None:
    asked = ("--model", "digits-cnn", "--data", "digits", "--train-data", "digits", "--out", tmp_path / "run")
    ran = cli("explain", "density", *asked, *command.split())
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_densities_are_read_as_attacks_are() -> None:
    assert DENSITIES.read("vae,epochs=2:3") == [VariationalBound(epochs=2), VariationalBound(epochs=3)]
