"""Help is instant: nothing heavy is imported before a command needs it."""

import json
import subprocess
import sys

import pytest

# Neither rich nor pydantic: typer imports them or not, as its version pleases.
HEAVY = {
    "PIL",
    "altair",
    "datasets",
    "jinja2",
    "numpy",
    "pandas",
    "pyarrow",
    "safetensors",
    "sklearn",
    "torch",
    "torchvision",
}

SCRIPT = """
import json, sys
from brittle.cli import main
try:
    main()
except SystemExit as stopped:
    code = stopped.code
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


def imported(*arguments: str) -> tuple[int, set[str]]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, check=True)
    code, names = json.loads(done.stdout.splitlines()[-1])
    return code, set(names)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--help"], 0),
        (["--version"], 0),
        ([], 0),
        (["audit", "--help"], 0),
        (["adit"], 2),
        (["audit", "--modle", "x"], 2),
        (["audit", "--limit", "0"], 2),
    ],
)
def test_nothing_heavy_is_imported(arguments: list[str], expected: int) -> None:
    code, names = imported(*arguments)
    assert code == expected
    assert names & HEAVY == set()


def test_the_check_can_fail() -> None:
    code, names = imported("attacks", "nothing-of-that-name")
    assert code == 2
    assert {"torch", "numpy"} <= names


def test_the_package_waits_too() -> None:
    script = "import sys, brittle; assert not {'torch', 'numpy'} & set(sys.modules); brittle.DeepFool; import torch"
    subprocess.run([sys.executable, "-c", script], check=True)
