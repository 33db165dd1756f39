"""From a game of two networks to pictures, data and a model; and an independent judge of what was generated."""

import json
from pathlib import Path

import killable
import pytest
import tomli_w
from PIL import Image, ImageSequence

from brittle.api import write_page
from brittle.models import load_model
from brittle.records import read_records
from conftest import Cli

KEY = "digits-acgan-seed-0"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "game"
    killable.ran(killable.small_generator(), place)
    write_page(place)
    return place


def test_progress_is_kept_as_pictures_that_move(done: Path) -> None:
    folder = done / "pictures" / KEY
    with Image.open(folder / "every.gif") as moving:
        frames = [one.convert("L").tobytes() for one in ImageSequence.Iterator(moving)]
    assert len(frames) == len(set(frames)) == 5
    with Image.open(folder / "grid.png") as grid, Image.open(folder / "filmstrip.png") as strip:
        assert grid.size == (320, 320)  # ten by ten images of 8 pixels, four times as large
        assert strip.size == (5 * 32, 10 * 32)
    page = (done / "report.html").read_text()
    assert page.count("data:image/png") >= 4
    assert "from left to right, a row for each class" in page
    assert not (done / "scratch").exists()


def test_the_discriminator_is_a_model_and_what_is_generated_is_data(done: Path, cli: Cli, tmp_path: Path) -> None:
    network = load_model(f"run:{done}#{KEY}")
    assert (network.mean, network.std) == ((0.5,), (0.5,))  # type: ignore[attr-defined]
    spec = {
        "study": "generated",
        "models": [{"model": "digits-cnn"}],
        "data": str(done / "generated" / f"{KEY}.parquet"),
        "real": "digits",
        "limit": 300,
    }
    (tmp_path / "judge.toml").write_text(tomli_w.dumps(spec))
    ran = cli("run", tmp_path / "judge.toml", "--out", tmp_path / "judged")
    assert ran.code == 0, ran.err
    records = read_records(tmp_path / "judged")
    assert len(records) == 300
    (row,) = json.loads(cli("summary", tmp_path / "judged", "--json").out)["rows"]
    assert row["agreement"]["count"] == (records["prediction"] == records["label"]).sum()
    assert row["KID"]["value"] > 5 * abs(row["KID of real images"]["value"])  # after a few steps it is noise


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limit": 600}, "expected at least 600 real images beside 600 generated, got 500"),
        ({"real": "digist"}, "did you mean 'digits'"),
        ({"raal": "digits"}, "unknown key 'raal'; did you mean 'real'"),
    ],
)
def test_bad_input_is_one_line(change: dict[str, object], message: str, done: Path, cli: Cli, tmp_path: Path) -> None:
    spec: dict[str, object] = {"study": "generated", "models": [{"model": "digits-cnn"}], "real": "digits"}
    spec |= {"data": str(done / "generated" / f"{KEY}.parquet"), **change}
    (tmp_path / "judge.toml").write_text(tomli_w.dumps(spec))
    ran = cli("run", tmp_path / "judge.toml", "--out", tmp_path / "judged")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert message in ran.err
    assert not (tmp_path / "judged").exists()
