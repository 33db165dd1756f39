"""The program in examples/ and the lines in the README do what they say."""

import re
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_program_audits_a_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = runpy.run_path(str(ROOT / "examples" / "audit_your_network.py"))["main"]
    run = main(str(tmp_path / "mine"))
    assert "100% fooled" in capsys.readouterr().out
    assert run.records.query("attack == 'deepfool'")["fooled"].all()
    assert (tmp_path / "mine" / "report.html").stat().st_size > 100_000


def test_the_readmes_python_runs_as_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert code is not None
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4))
    images = torch.rand(16, 3, 8, 8, generator=generator)
    labels = net(images).argmax(1)
    scope = {"net": net, "names": list("abcd"), "images": images, "labels": labels}
    exec(code[1], scope)
    assert len(scope["run"].records) == 32


def test_the_readme_names_only_commands_that_exist() -> None:
    import brittle.cli.study  # where a group of commands is
    from brittle.cli.app import app

    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {str(group.name) for group in app.registered_groups}
    assert brittle.cli.study.study in {group.typer_instance for group in app.registered_groups}
    named = set(re.findall(r"`brittle ([a-z]+)", (ROOT / "README.md").read_text()))
    assert named <= commands
    assert len(named) >= 6
