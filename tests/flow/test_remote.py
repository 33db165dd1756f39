"""A run directory that is no directory: objects of a storage, which may fail at any moment."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import killable
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from test_resume import assert_same_run

import brittle
from brittle.api import write_page
from brittle.errors import BrittleError
from brittle.places import content_of, place_of


class Faulty(MemoryFileSystem):  # type: ignore[misc]
    """Every so manyth write fails, and every so manyth read gives half of what there is."""

    protocol = "faulty"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    fails: ClassVar[Iterator[bool]] = itertools.repeat(False)
    cuts: ClassVar[Iterator[bool]] = itertools.repeat(False)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        stripped: str = super()._strip_protocol(path.replace("faulty:", "memory:", 1))
        return stripped

    def _open(self, path: str, mode: str = "rb", **settings: Any) -> Any:
        if "w" in mode and next(type(self).fails):
            raise OSError(5, "503 Slow Down")
        return super()._open(path, mode, **settings)

    def cat_file(self, path: str, *span: Any, **settings: Any) -> bytes:
        content: bytes = super().cat_file(path, *span, **settings)
        return content[: len(content) // 2] if next(type(self).cuts) else content


def every(count: int, begin: int) -> Iterator[bool]:
    return ((number + begin) % count == 0 for number in itertools.count())


@pytest.fixture
def bucket() -> Iterator[str]:
    fsspec.register_implementation("faulty", Faulty, clobber=True)
    yield "faulty://bucket"
    Faulty.store.clear()
    Faulty.fails = Faulty.cuts = itertools.repeat(False)


def fetched(place: str | Path, folder: Path) -> Path:
    """A remote run as a directory, which would have a lock."""
    run = place_of(place)
    for one in run.rglob("*"):
        if one.is_file():
            target = folder / str(one.relative_to(run))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(one.read_bytes())
    (folder / ".lock").touch()
    return folder


@pytest.mark.parametrize("name", ["audit", "transfer", "train", "craft"])
def test_it_is_the_run_of_a_directory(name: str, bucket: str, tmp_path: Path) -> None:
    """Stages that read what others left, scratch, parts: all that goes through files."""
    killable.ran(killable.STUDIES[name](), tmp_path / "whole")
    run = killable.ran(killable.STUDIES[name](), f"{bucket}/run", cut=name == "audit")  # type: ignore[arg-type]
    assert_same_run(fetched(f"{bucket}/run", tmp_path / "run"), tmp_path / "whole")
    assert len(run.records) == len(brittle.Run.open(tmp_path / "whole").records)
    page = write_page(f"{bucket}/run")
    assert page is not None and page.read_bytes() == write_page(tmp_path / "run").read_bytes()  # type: ignore[union-attr]


@pytest.mark.parametrize("begin", range(4))
def test_with_faults_it_ends_as_without(begin: int, bucket: str, tmp_path: Path) -> None:
    """Each failed write ends the run, in one line; the same call goes on."""
    killable.ran(killable.small_audit(), tmp_path / "whole")
    Faulty.fails, Faulty.cuts = every(5, begin), every(3, begin)
    said: list[str] = []
    while not said or said[-1]:
        said.append("")
        try:
            killable.ran(killable.small_audit(), f"{bucket}/run")  # type: ignore[arg-type]
        except BrittleError as error:
            said[-1] = str(error)
    assert 2 <= len(said) <= 40
    assert all(one.startswith("cannot write 'faulty:/") and "503 Slow Down" in one for one in said[:-1])
    Faulty.fails = Faulty.cuts = itertools.repeat(False)
    assert_same_run(fetched(f"{bucket}/run", tmp_path / "run"), tmp_path / "whole")


def test_what_was_cut_for_good_is_no_record(bucket: str, tmp_path: Path) -> None:
    """A shard that lost its end is made anew, as on a disk."""
    killable.ran(killable.small_audit(), f"{bucket}/run")  # type: ignore[arg-type]
    shard = next(name for name in sorted(Faulty.store) if name.endswith(".parquet"))
    whole = Faulty.store[shard].getvalue()
    place_of(f"faulty:/{shard}").write_bytes(whole[:-7])
    with pytest.raises(BrittleError, match=r"^faulty:/+bucket/run/records/.* is not a record shard"):
        assert brittle.Run.open(f"{bucket}/run").records is not None
    killable.ran(killable.small_audit(), f"{bucket}/run")  # type: ignore[arg-type]
    assert len(brittle.Run.open(f"{bucket}/run").records)


def test_a_read_that_ended_early_is_repeated(bucket: str) -> None:
    place = place_of(f"{bucket}/file")
    place.write_bytes(bytes(1000))
    Faulty.cuts = iter([True, True, False])
    assert content_of(place) == bytes(1000)


def test_another_run_is_refused_and_so_are_strangers(bucket: str) -> None:
    killable.ran(killable.small_audit(), f"{bucket}/run")  # type: ignore[arg-type]
    with pytest.raises(BrittleError, match=r"^'faulty:/+bucket/run' holds a different run \(seed:"):
        killable.ran(killable.small_audit(seed=1), f"{bucket}/run")  # type: ignore[arg-type]
    place_of(f"{bucket}/other/thesis.tex").write_bytes(b"x")
    with pytest.raises(BrittleError, match=r"^'faulty:/+bucket/other' is not empty and not a run directory"):
        killable.ran(killable.small_audit(), f"{bucket}/other")  # type: ignore[arg-type]


def test_what_speaks_no_protocol_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrittleError, match=r"^cannot open 'nowhere://bucket/run': .*nowhere"):
        place_of("nowhere://bucket/run")
    monkeypatch.setitem(__import__("sys").modules, "upath", None)
    with pytest.raises(BrittleError, match=r"pip install 'brittle\[remote\]'$"):
        place_of("s3://bucket/run")
