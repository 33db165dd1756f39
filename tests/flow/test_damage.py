"""What is damaged on disk is noticed: made again by the same command, named by the report, never passed over."""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import killable
import pytest
from test_resume import assert_same_run, attacked

from brittle.errors import BrittleError
from brittle.report import write_report


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole") / "run"
    killable.small_run(directory)
    return directory


def swapped(content: bytes) -> bytes:
    """Two different bytes in the last quarter change places: no length and no sum tells."""
    first = len(content) * 3 // 4
    second = next(at for at in range(first + 1, len(content)) if content[at] != content[first])
    out = bytearray(content)
    out[first], out[second] = out[second], out[first]
    return bytes(out)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda content: content[: len(content) // 2],
    "empty": lambda _: b"",
    "swapped": swapped,
}
DEEPFOOL = "deepfool-max-steps-5"
FOLDER = "digitscnn/untargeted"


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize(
    ("file", "again"),
    [
        (f"images/{FOLDER}/{DEEPFOOL}/00001.safetensors", [("DeepFool", "example-8")]),
        (f"records/{FOLDER}/{DEEPFOOL}/00001.parquet", [("DeepFool", "example-8")]),
        ("images/digitscnn/clean/00001.safetensors", []),
    ],
)
def test_is_made_again_and_nothing_else_is(
    file: str, again: list[tuple[str, str]], damage: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "run"
    shutil.copytree(whole, directory)
    (directory / file).write_bytes(DAMAGES[damage]((directory / file).read_bytes()))
    seen = attacked(monkeypatch)
    killable.small_run(directory)
    assert seen == again
    assert_same_run(directory, whole)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("slug", [f"{FOLDER}/{DEEPFOOL}", "digitscnn/clean"])
def test_the_report_names_damaged_images(slug: str, damage: str, whole: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    shutil.copytree(whole, directory)
    assert "damaged-images" not in write_report(directory).read_text()
    for file in (directory / "images" / slug).iterdir():
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
    said: list[str] = []
    page = write_report(directory, on_flag=lambda flag: said.append(f"{flag.code}: {flag.message}")).read_text()
    (line,) = said
    count = {"half": "3 image files are", "empty": "3 image files are", "swapped": "image file"}[damage]
    assert line.startswith("damaged-images: ") and f"{count}" in line and "missing or not as written" in line
    assert f"the first images/{slug}/0000" in line
    assert ("data:image/png" in page) is (slug != "digitscnn/clean")  # no picture of what is not what was graded
    assert 'href="#flag-damaged-images"' in page


def test_every_file_is_on_the_disk_before_it_has_its_name_and_its_name_is_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut keeps what was flushed: content, then the rename, then the folder that has the name."""
    events: list[tuple[str, Path]] = []
    flush, rename = os.fsync, os.replace

    def flushing(handle: int) -> None:
        events.append(("flush", Path(os.readlink(f"/proc/self/fd/{handle}"))))
        if stat.S_ISREG(os.fstat(handle).st_mode):
            assert os.fstat(handle).st_size
        flush(handle)

    def renaming(source: Path, target: Path) -> None:
        events.append(("rename", Path(target)))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", flushing)
    monkeypatch.setattr(os, "replace", renaming)
    killable.small_run(tmp_path / "new" / "run", examples=killable.examples(8))
    named = [place for what, place in events if what == "rename"]
    assert len(named) == 1 + 1 + 3 + 3  # manifest, originals, images and records of three attacks
    for place in named:
        at = events.index(("rename", place))
        what, content = events[at - 1]
        assert what == "flush" and content.parent == place.parent and place.name in content.name
        assert events[at + 1] == ("flush", place.parent)
        assert ("flush", place.parent.parent) in events[:at]  # the folder's own name, too
    assert ("flush", tmp_path) in events  # which holds the name of new/


def test_a_damaged_manifest_comes_with_a_way_out(whole: Path, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    shutil.copytree(whole, directory)
    content = (directory / "manifest.json").read_text()
    for broken in ("", content[: len(content) // 2]):
        (directory / "manifest.json").write_text(broken)
        with pytest.raises(BrittleError, match=r"is not a manifest: .*; restore it from a copy, or delete ") as refused:
            killable.small_run(directory)
        assert f"or delete {str(directory)!r} and run the same command again" in str(refused.value)
