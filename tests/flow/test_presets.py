"""Levels stand for attacks: which, for which norms and budgets, and what a run says of them."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from kit import make_kit

import brittle
from brittle.catalog import label_of, traits_of
from brittle.records import read_manifest
from brittle.studies.levels import LEVELS, NORMS, attacks_of, customary
from conftest import Cli


@pytest.mark.parametrize("norm", ["linf", "l2", "l1", "l0"])
@pytest.mark.parametrize("name", LEVELS)
def test_a_level_has_a_budget_attack_with_its_budget_and_the_minimal_one_in_its_norm(name: str, norm: str) -> None:
    eps = 3 if norm == "l0" else 0.25
    traits = [traits_of(attack) for attack in brittle.level(name, norm=norm, eps=eps)]
    assert {one.norm.name for one in traits} == {norm}
    assert {one.eps for one in traits if one.kind == "budget"} == {eps}
    assert {one.kind for one in traits} == {"budget", "minimal"}


def test_a_higher_level_has_what_a_lower_one_has_or_better() -> None:
    quick, standard, thorough = (set(map(label_of, brittle.level(name, eps="8/255"))) for name in LEVELS)
    assert "minimal(norm=linf)" in quick & standard
    assert standard < thorough
    assert brittle.level(eps="4/255") == brittle.level("standard", norm=float("inf"), eps=4 / 255)


@pytest.mark.parametrize(
    ("shape", "budgets"),
    [
        ((1, 28, 28), ("0.3", "2")),
        ((3, 32, 32), ("8/255", "0.5")),
        ((3, 64, 64), ("8/255", "0.5")),
        ((3, 224, 224), ("4/255", "3")),
        ((1, 512, 512), ("4/255", "3")),
    ],
)
def test_budgets_are_those_of_images_of_the_kind(shape: tuple[int, ...], budgets: tuple[str, ...]) -> None:
    assert tuple(customary(norm, shape) for norm in NORMS) == budgets


def test_each_norm_has_its_budget_and_what_two_budgets_share_is_there_once() -> None:
    labels = [label_of(one) for one in attacks_of("quick", ["l2", "linf"], [0.5, "2/255:8/255"], shape=(3, 8, 8))]
    assert labels == [
        *("minimal", "apgd(eps=0.5, norm=l2, steps=20)"),
        *("minimal(norm=linf)", "apgd(eps=2/255, steps=20)", "apgd(eps=8/255, steps=20)"),
    ]


@pytest.mark.usefixtures("without_report")
def test_a_run_has_the_attacks_of_its_level_and_its_file_repeats_it(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_kit(tmp_path)
    monkeypatch.chdir(tmp_path)
    asked = "--model digits-cnn --weights good.safetensors --data digits --limit 2 --level quick --norm linf"
    ran = cli("audit", *shlex.split(asked), "--attack", "fgsm,eps=0.1", "--out", "first")
    assert ran.code == 0, ran.err
    labels = ["minimal(norm=linf)", "apgd(eps=0.3, steps=20)", "fgsm(eps=0.1)"]
    assert ran.err.startswith(f"{', '.join(labels)}: 2 images, about "), "before anything else"
    assert [one.label for one in read_manifest(tmp_path / "first").attacks] == labels
    spec = (tmp_path / "first" / "spec.toml").read_text(encoding="utf-8")
    assert "level" not in spec
    assert all(label in spec for label in labels)
    again = cli("run", "first/spec.toml", "--out", "again")
    assert again.code == 0, again.err
    assert "about" not in again.err
    assert read_manifest(tmp_path / "again").attacks == read_manifest(tmp_path / "first").attacks


@pytest.mark.usefixtures("without_report")
def test_who_names_no_attack_gets_the_standard_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier: Any = brittle.Network(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)))
    images = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    run = brittle.audit(classifier, images, out=tmp_path / "run")
    wanted = [*brittle.level(norm="linf", eps=0.3), *brittle.level(norm="l2", eps=2)]
    assert [one.label for one in run.manifest.attacks] == list(map(label_of, wanted))
