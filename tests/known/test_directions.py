"""Units beside random directions: which images excite them, how alike these are, and the page that does not tell."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import brittle
from brittle.api import write_page
from brittle.explain.directions import outputs_of
from brittle.models import Network
from brittle.records import read_records
from brittle.run.engine import Run, run
from brittle.studies.directions import Directions, DirectionsSpec
from brittle.studies.directions_told import tell
from conftest import Cli

COUNT = 600


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def pixels_and_labels() -> tuple[Tensor, Tensor]:
    """Ten pixels that each mean a class, and two that mean nothing and are far louder."""
    labels = torch.arange(COUNT) % 10
    quiet = 0.05 * nn.functional.one_hot(labels, 10) * (1 + drawn(COUNT, 10)) / 2
    return torch.cat([quiet, drawn(COUNT, 2, seed=1)], 1).view(COUNT, 1, 3, 4), labels


def done(turn: Tensor, place: Path, **asked: Any) -> Run:
    """A network whose last linear layer sees the pixels, turned."""
    layer = nn.Linear(12, 12, bias=False)
    layer.weight.data = turn
    network = Network(nn.Sequential(nn.Flatten(), layer, nn.Linear(12, 10)), name="net")
    spec = DirectionsSpec(models=[], data="", **asked)
    return run(Directions.of({"net": network}, {"net": brittle.examples_of(*pixels_and_labels())}, spec), out=place)


def purities(done: Run) -> dict[str, Any]:
    told = tell(done.manifest, done.records)
    return {str(row[1]): row[3] for row in told.rows}


def test_units_that_mean_something_are_told_from_directions_and_turned_ones_are_not(tmp_path: Path) -> None:
    plain = purities(done(torch.eye(12), tmp_path / "plain"))
    assert plain["unit"].value > 0.8 > 0.5 > plain["direction"].value
    assert plain["unit less direction"].measured.low > 0.2
    turned = torch.linalg.qr(torch.randn(12, 12, generator=torch.Generator().manual_seed(0))).Q
    mixed = purities(done(turned, tmp_path / "turned"))
    assert mixed["unit less direction"].measured.low < 0 < mixed["unit less direction"].measured.high
    # Of 8 labels of ten equally frequent ones the commonest has 2.4 on average (400,000 draws).
    assert plain["chance"].low < 0.29994 < plain["chance"].high


def test_the_images_are_those_that_excite_most_of_all_shards(tmp_path: Path) -> None:
    made = done(torch.eye(12), tmp_path / "run", top=3, shown=2)
    images, _ = pixels_and_labels()
    records = made.records[made.records["what"] == "unit"]
    for unit in (0, 7, 11):
        mine = records[records["index"] == unit].nlargest(3, "value")
        assert mine["position"].tolist() == images.flatten(1)[:, unit].topk(3).indices.tolist()
    files = {path.name for path in (made.directory / "pictures").rglob("*.png")}
    assert files == {"unit-0.png", "unit-1.png", "direction-0.png", "direction-1.png"}


def test_a_dead_unit_is_left_out(tmp_path: Path) -> None:
    dead = torch.eye(12)
    dead[3:] = 0
    told = tell((made := done(dead, tmp_path / "run")).manifest, made.records)
    assert [row[2].measured.value for row in told.rows if row[1] == "unit"] == [3.0]  # type: ignore[union-attr]


def test_outputs_with_positions_are_their_means() -> None:
    net = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(3 * 36, 5))
    images = drawn(4, 1, 8, 8)
    expected = net[0](images).mean((2, 3))
    torch.testing.assert_close(outputs_of(Network(net), images, "0"), expected)
    torch.testing.assert_close(outputs_of(Network(net), images, ""), net[0](images).flatten(1))


def test_the_blind_page_tells_nothing_until_all_are_judged(tmp_path: Path) -> None:
    made = done(torch.eye(12), tmp_path / "run", shown=8)
    page = write_page(made.directory)
    assert page is not None and 'href="blind.html"' in page.read_text()
    html = (made.directory / "blind.html").read_text()
    body, _, key = html.partition('<script type="application/json" id="key">')
    assert body.count("data:image/png") == 16
    assert not re.search(r"unit-\d|direction-\d|direction</b>", body)
    told = json.loads(key.partition("</script>")[0])
    assert set(told["answers"][0]) == {True, False}  # neither side is always the unit
    assert len(told["verdicts"][0]) == 9
    assert "You do not tell them apart" in told["verdicts"][0][6]
    assert told["verdicts"][0][8].startswith("net: 100 % (8 of 8;") and "You tell them apart" in told["verdicts"][0][8]
    side = "first" if told["answers"][0][0] else "second"
    shown = re.search(r'src="data:image/png;base64,([^"]+)" alt="Pair 1, ' + side, body)
    assert shown is not None
    with (
        Image.open(io.BytesIO(base64.b64decode(shown[1]))) as there,
        Image.open(made.directory / "pictures/net/unit-0.png") as unit,
    ):
        assert there.tobytes() == unit.tobytes()


def test_directions_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    asked = ("--model", "digits-cnn", "--data", "digits", "--limit", "40", "--count", "6", "--shown", "2")
    ran = cli("explain", "directions", *asked, "--layer", "features.3", "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    assert set(read_records(tmp_path / "run")["what"]) == {"unit", "direction", "chance"}
    rows = json.loads(cli("summary", tmp_path / "run", "--json").out)["rows"]
    assert [row["what"] for row in rows] == ["unit", "direction", "chance", "unit less direction"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("--layer featres.3", "the network has no layer 'featres.3'; did you mean 'features.3'?"),
        ("--layer digits-cn=features.3", "got one of 'digits-cn'; did you mean 'digits-cnn'?"),
        ("--limit 9", "expected at least 16 images to choose from, got 9"),
        ("--top 1", "top: Input should be greater than or equal to 2"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_leaves_nothing(command: str, said: str, cli: Cli, tmp_path: Path) -> None:
    asked = ("--model", "digits-cnn", "--data", "digits", "--out", tmp_path / "run")
    ran = cli("explain", "directions", *asked, *command.split())
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "run").exists()
