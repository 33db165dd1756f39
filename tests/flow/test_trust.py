"""``brittle explain stability`` and ``certify``, on the command line."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from brittle.data import load_data
from brittle.explain.crown import certified_radius
from brittle.records import read_manifest, read_records
from brittle.studies import certify
from conftest import Cli


@pytest.fixture
def mlp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model spec."""
    (tmp_path / "tiny_mlp.py").write_text(
        "from torch import nn\n\ndef made():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    digits, optimiser = load_data("digits"), torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):  # an untrained network is wrong on most, and then there is nothing to certify
        assert digits.labels is not None
        loss = nn.functional.cross_entropy(net(digits.images(0, len(digits))), digits.labels)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    torch.save(net.state_dict(), tmp_path / "mlp.pt")
    return "python:tiny_mlp:made"


def test_certificates_are_below_the_attack_and_in_the_json(cli: Cli, mlp: str, tmp_path: Path) -> None:
    asked = ("--model", mlp, "--weights", "mlp.pt", "--data", "digits", "--limit", "6", "--norm", "l2", "--eps", "0.05")
    ran = cli("explain", "certify", *asked, "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    manifest = read_manifest(tmp_path / "run")
    assert (manifest.study, manifest.settings["eps"]) == ("certify", [0.05])
    radii = read_records(tmp_path / "run", manifest).pivot(index="example", columns="method", values="radius")
    assert set(radii) == {"product", "lipsdp", "ibp", "crown", "attack"}
    assert (radii.drop(columns="attack").max(axis=1) <= radii["attack"]).all()
    assert (radii["crown"] > 0.25 * radii["attack"]).sum() >= 4
    rows = json.loads(cli("summary", tmp_path / "run", "--json").out)["rows"]
    shares = {row["what"].split()[-1]: row["at 0.05, share"]["count"] for row in rows}
    assert shares == {name: int((radii[name] >= 0.05).sum()) for name in radii}


def test_a_certificate_that_is_wrong_ends_the_run(
    cli: Cli, mlp: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certify, "certified_radius", lambda *asked: 4 * certified_radius(*asked))
    asked = ("--model", mlp, "--weights", "mlp.pt", "--data", "digits", "--limit", "6", "--norm", "l2")
    ran = cli("explain", "certify", *asked, "--attack", "deepfool", "--out", tmp_path / "run")
    assert ran.code == 2
    assert "is certified to" in ran.err and "one of the two is wrong" in ran.err
    assert not (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("certify --model digits-cnn", "expected a chain of affine layers with ReLU, sigmoid or tanh between them"),
        ("certify --model digits-cnn --norm l1", "norm: Input should be 'l2' or 'linf'"),
        ("stability --model digits-cnn --attack minmal", "did you mean 'minimal'?"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(command: str, said: str, cli: Cli, tmp_path: Path) -> None:
    ran = cli("explain", *command.split(), "--data", "digits", "--limit", "2", "--out", tmp_path / "run")
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
