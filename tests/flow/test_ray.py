"""Units on a Ray cluster: the records of one process, whatever dies meanwhile."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import killable
import pyarrow as pa
import pytest
from test_resume import assert_same_run

from brittle.errors import BrittleError
from brittle.records import Manifest
from brittle.run.executors import executor_of
from brittle.run.on_ray import Ray
from brittle.run.study import Done, Files, Study, Unit


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A machine and another one, both of them this one, with a place each."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'brittle[ray]'")
        from ray.cluster_utils import Cluster

        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        Ray(found.address)  # this process belongs to the machine that stays
        found.add_node(num_cpus=1)
        yield found
        ray.shutdown()
        found.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_a_cluster_gives_the_files_of_one_process(cluster: Any, tmp_path: Path) -> None:
    """Two stages, of which the second reads what the first has left."""
    for name in ("transfer", "train"):
        killable.ran(killable.STUDIES[name](), tmp_path / name)
        killable.ran(killable.STUDIES[name](), tmp_path / f"{name}-ray", workers=Ray(cluster.address))
        assert_same_run(tmp_path / f"{name}-ray", tmp_path / name)


@pytest.mark.filterwarnings("ignore")
def test_machines_that_are_lost_lose_nothing(cluster: Any, tmp_path: Path) -> None:
    """One after each few pieces of work, and a new one in its place."""
    killed: list[Any] = []

    class Killing(killable.Watching):
        def done(self, unit: Unit, table: pa.Table, count: int, seconds: float | None) -> None:
            super().done(unit, table, count, seconds)
            if len(self.told) % 5 == 0 and len(killed) < int(os.environ.get("BRITTLE_KILLS", 2)):
                killed.append(sorted(cluster.worker_nodes, key=id)[0])
                cluster.remove_node(killed[-1], allow_graceful=False)
                cluster.add_node(num_cpus=1)

    killable.ran(killable.small_audit(), tmp_path / "whole")
    watch = Killing()
    killable.ran(killable.small_audit(), tmp_path / "run", cut=True, workers=Ray(cluster.address), watch=watch)
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    assert killed and len({key for key, *_ in watch.told}) == len(watch.told)


class Wrong:
    """A study of which one unit takes its process with it, or fails."""

    def __init__(self, study: Study, do: Callable[[], object]) -> None:
        self.study, self.wrong = study, do

    def __getattr__(self, name: str) -> Any:
        if name == "study":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.study, name)

    def do(self, unit: Unit, manifest: Manifest, files: Files) -> Done:
        if "fgsm" in unit.key and unit.key.endswith("/00001"):
            self.wrong()
        return self.study.do(unit, manifest, files)


@pytest.mark.filterwarnings("ignore")
def test_a_poisoned_unit_is_named_and_the_rest_is_done(cluster: Any, tmp_path: Path) -> None:
    study = killable.small_audit()
    with pytest.raises(
        BrittleError, match=r"^3 workers died over \S*fgsm\S*/00001: .* everything else is done; what is"
    ):
        killable.ran(Wrong(study, partial(os._exit, 1)), tmp_path / "run", workers=Ray(cluster.address))
    units = study.units(study.plan(None, None))
    assert len(list((tmp_path / "run" / "records").rglob("*.parquet"))) == len(units) - 1
    killable.ran(study, tmp_path / "run")
    killable.ran(killable.small_audit(), tmp_path / "whole")
    assert_same_run(tmp_path / "run", tmp_path / "whole")


@pytest.mark.filterwarnings("ignore")
def test_an_error_of_a_unit_is_that_of_the_run(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        killable.ran(
            Wrong(killable.small_audit(), partial(divmod, 1, 0)), tmp_path / "run", workers=Ray(cluster.address)
        )


def test_what_is_no_cluster_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrittleError, match=r"^expected the address of a cluster .* got 'ray://head:10001'; submit"):
        executor_of("ray:ray://head:10001")
    with pytest.raises(BrittleError, match=r"^expected a number of workers, ray or ray:ADDRESS, got 'rey'$"):
        executor_of("rey")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BrittleError, match=r"^--workers ray needs Ray, .*: pip install 'brittle\[ray\]'$"):
        killable.ran(killable.small_audit(), tmp_path / "run", workers="ray")
    assert not (tmp_path / "run").exists()
