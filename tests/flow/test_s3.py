"""A run in an S3 bucket, by a server that fails, is slow, and cuts what it sends: each ends as on a disk."""

import itertools
import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import killable
import pytest
from test_remote import fetched
from test_resume import assert_same_run

from brittle.errors import BrittleError
from brittle.places import place_of

RUNS = int(os.environ.get("BRITTLE_S3_RUNS", 2))


class Faults:
    """Of the requests for objects, by chance: 503 instead, or half of the body. None before ``share`` is set."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self.app, self.share, self.random = app, 0.0, random.Random(0)
        self.made = {"fails": 0, "cuts": 0}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        draw = self.random.random()
        if draw < self.share:
            self.made["fails"] += 1
            start("503 Slow Down", [("Content-Length", "0")])
            return [b""]
        body = self.app(environ, start)
        if environ["REQUEST_METHOD"] == "GET" and "list-type" not in environ["QUERY_STRING"] and draw < 2 * self.share:
            self.made["cuts"] += 1
            whole = b"".join(body)
            return [whole[: len(whole) // 2]]  # fewer bytes than the header says: the connection ends
        return body


@pytest.fixture(scope="module")
def server() -> Iterator[Faults]:
    pytest.importorskip("moto", reason="moto is not installed: pip install 'moto[server]' s3fs")
    pytest.importorskip("s3fs", reason="s3fs is not installed: pip install s3fs")
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = Faults(DomainDispatcherApplication(create_backend_app))
    listening = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    secrets = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**secrets, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{listening.server_port}"}.items():
            patch.setenv(name, value)
        place_of("s3://bucket").fs.mkdir("bucket")  # type: ignore[attr-defined]
        yield app
    listening.shutdown()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("number", range(RUNS))
def test_faults_change_nothing(number: int, server: Faults, tmp_path: Path) -> None:
    killable.ran(killable.small_audit(), tmp_path / "whole")
    server.share, server.random, before = 0.1, random.Random(number), sum(server.made.values())
    place = place_of(f"s3://bucket/run-{number}")
    for attempt in itertools.count(1):
        try:
            killable.ran(killable.small_audit(), place)
            break
        except BrittleError:  # the same call goes on
            assert attempt < 10
    assert sum(server.made.values()) > before
    server.share = 0.0
    assert_same_run(fetched(place, tmp_path / "run"), tmp_path / "whole")
