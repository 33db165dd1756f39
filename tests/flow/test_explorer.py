"""``brittle view``: what it finds is what the records say, and it answers nobody but who may ask."""

import asyncio
import io
import json
import math
import os
import shlex
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_run import FGSM, HOSTILE, make_run
from PIL import Image

pytest.importorskip("starlette", reason="brittle view needs starlette and duckdb: pip install 'brittle[view]'")
pytest.importorskip("duckdb", reason="brittle view needs starlette and duckdb: pip install 'brittle[view]'")

from brittle.cli import main
from brittle.data import load_data
from brittle.errors import BrittleError
from brittle.measure.outcomes import distance_norm
from brittle.models import load_model
from brittle.pages.pictures import amplification
from brittle.records import RECORD, read_images, read_manifest, read_records
from brittle.records.seals import seal_of, sealed
from brittle.view import trying
from brittle.view.app import application
from brittle.view.shelf import shelved, shelved_anew

HERE = {"host": "127.0.0.1:8765"}
JSON = HERE | {"content-type": "application/json", "origin": "http://127.0.0.1:8765", "sec-fetch-site": "same-origin"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.status == 200, self.body
        return json.loads(self.body)


def ask(app: Any, path: str, *, method: str = "GET", headers: dict[str, str] = HERE, content: Any = None) -> Answer:
    """One request, by ASGI itself; the path is sent as it is, dots and all."""
    where, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": where,
        "raw_path": where.encode(),
        "query_string": query.encode(),
        "headers": [(key.encode(), value.encode()) for key, value in headers.items()],
    }
    body = b"" if content is None else json.dumps(content).encode()
    sent: list[dict[str, Any]] = []

    bodies = iter([body])

    async def receive() -> dict[str, Any]:
        body = next(bodies, None)
        if body is None:  # nothing more comes, as long as the answer is waited for
            await asyncio.Event().wait()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app({"http_version": "1.1", "scheme": "http", "root_path": "", **scope}, receive, send))
    heads = {key.decode(): value.decode() for key, value in sent[0].get("headers", [])}
    return Answer(sent[0]["status"], heads, b"".join(one.get("body", b"") for one in sent[1:]))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    make_run(folder / "one", n=40, shape=(3, 8, 8), shard_size=16, models=("a", "b"))
    make_run(folder / "deep" / "two", n=20, shape=(3, 8, 8), class_names=[HOSTILE, "x'; DROP TABLE examples; --", "c"])
    (folder / "deep" / "broken").mkdir()
    (folder / "deep" / "broken" / "manifest.json").write_text("{")
    (folder / "one" / "report.html").write_text("<p>its page")
    (folder / "thesis").mkdir()
    (folder / "thesis" / "claims.json").write_text(json.dumps(LEDGER))
    (folder / "thesis" / "index.html").write_text("its claims")
    (folder / "secret.html").write_text("secret")
    (folder / "one" / "link.html").symlink_to(folder / "secret.html")
    return folder


LEDGER = {
    "name": "thesis",
    "title": "A thesis",
    "source": "",
    "scale": "smoke",
    "data": "",
    "published_data": "",
    **dict.fromkeys(("arms", "judged", "doubts", "plots", "deviations", "steps"), ()),
}


@pytest.fixture(scope="module")
def app(shelf: Path) -> Any:
    return application([shelf])


def test_the_runs_below_a_folder(app: Any, shelf: Path) -> None:
    found = ask(app, "/api/runs").json
    assert [one["name"] for one in found] == ["deep/two", "one"]
    assert (found[1]["models"], found[1]["examples"], found[1]["page"]) == (["a", "b"], 40, "report.html")
    (study,) = ask(app, "/api/studies").json
    assert (study["name"], study["title"], set(study["verdicts"].values())) == ("thesis", "A thesis", {0})
    assert ask(app, "/study/0/index.html").body == b"its claims"
    assert ask(app, "/study/0/claims.json").status == ask(app, "/study/1/index.html").status == 404
    for folder, message in ((shelf / "none", "a folder with runs"), (shelf / "deep" / "broken", "expected runs below")):
        with pytest.raises(BrittleError, match=message):
            shelved([folder])


def test_a_run_is_read_again_only_where_it_has_been_written_to(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_run(tmp_path / name, n=4, shape=(1, 8, 8))
    before = shelved([tmp_path])
    manifest = tmp_path / "two" / "manifest.json"
    os.utime(manifest, ns=(0, before[1].written + 1))
    make_run(tmp_path / "new", n=4, shape=(1, 8, 8))
    after = shelved_anew([tmp_path], before)
    assert [(one.number, one.name) for one in after] == [(0, "one"), (1, "two"), (2, "new")]
    assert after[0].manifest is before[0].manifest
    assert after[1].manifest is not before[1].manifest


def test_a_filter_finds_what_the_records_say(app: Any, shelf: Path) -> None:
    manifest = read_manifest(shelf / "one")
    records = read_records(shelf / "one", manifest)
    norm = {spec.label: distance_norm(spec.norm) for spec in manifest.attacks}
    records["distance"] = [float(row[norm[row["attack"]]]) for _, row in records.iterrows()]
    right = records["clean_prediction"] == records["label"]
    names = np.array(manifest.models[0].class_names)
    cases = {
        "": records["fooled"] | ~records["fooled"],
        "&model=b&attack=deepfool": (records["model"] == "b") & (records["attack"] == "deepfool"),
        "&outcome=fooled": right & records["fooled"],
        "&outcome=withstood&class=cat": right & ~records["fooled"] & (names[records["label"]] == "cat"),
        "&least=0.05&most=0.5": records["distance"].between(0.05, 0.5),
        "&flag=unconfirmed": records["flags"].map(lambda codes: "unconfirmed" in codes),
    }
    for query, wanted in cases.items():
        found = ask(app, f"/api/examples?run=1{query}").json
        assert found["total"] == int(wanted.sum()), query
    assert 0 < ask(app, "/api/examples?run=1&least=0.05&most=0.5").json["total"] < len(records)
    largest = ask(app, "/api/examples?run=1&sort=distance&falling=1&offset=60").json["rows"]
    ordered = records["distance"].sort_values(ascending=False, kind="stable")
    assert [one["distance"] for one in largest] == pytest.approx(ordered.iloc[60:120].tolist())
    choices = ask(app, "/api/choices?run=1").json
    assert choices["attack"] == sorted(norm)
    assert choices["class"] == sorted({str(names[label]) for label in records["label"]})


def test_names_are_values_and_never_questions(app: Any) -> None:
    names = ask(app, "/api/choices?run=0").json["class"]
    assert HOSTILE in names and "x'; DROP TABLE examples; --" in names
    found = ask(app, "/api/examples?class=x'; DROP TABLE examples; --".replace(" ", "%20")).json
    assert found["total"] > 0 and {row["class"] for row in found["rows"]} == {"x'; DROP TABLE examples; --"}
    script = (Path(trying.__file__).parent / "page.js").read_text()
    assert "innerHTML" not in script and "insertAdjacentHTML" not in script and "eval(" not in script
    for query in ("sort=distance;", "least=x", "offset=x", "offset=inf", "run=nan"):
        answer = ask(app, f"/api/examples?{query}")
        assert answer.status == 400 and answer.body.startswith(b"expected ")
    assert ask(app, "/api/examples?offset=1e300").json["rows"] == []
    for key, value in (("run", []), ("run", float("inf")), ("model", "x"), ("position", None)):
        answer = ask(
            app, "/api/try", method="POST", headers=JSON, content={"run": 0, "model": 0, "position": 0, key: value}
        )
        assert answer.status == 400 and answer.body.startswith(f"expected {key} as a whole number".encode())


def test_what_has_no_answer_and_what_was_met_before_is_said_so(tmp_path: Path) -> None:
    make_run(tmp_path / "run", n=4, shape=(3, 8, 8), attacks=(FGSM,), goals=("untargeted", "cat"), accuracy=1.0)
    shards = {path.parts[-3]: path for path in (tmp_path / "run" / "records").rglob("*.parquet")}
    nan = {"adversarial_confidence": math.nan, "fooled": False, "flags": ["non-finite-logits"]}
    changed(shards["untargeted"], lambda row: row | (nan if row["position"] == 1 else {}))
    changed(shards["cat"], lambda row: row | {"target": row["label"], "fooled": True} if row["position"] == 2 else row)
    app = application([tmp_path])
    rows = {(one["goal"], one["position"]): one for one in ask(app, "/api/examples").json["rows"]}
    assert rows["untargeted", 1]["after_confidence"] is None
    assert rows["untargeted", 1]["outcome"] == "no answer"
    assert rows["cat", 2]["outcome"] == "met before"
    assert ask(app, "/api/examples?outcome=no%20answer").json["total"] == 1
    assert ask(app, "/api/example/0/0/0/0/1").json["row"]["after_confidence"] is None


def changed(path: Path, how: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """A record shard with other rows, and a seal that holds."""
    table = pq.read_table(path)
    other = pa.Table.from_pylist([how(row) for row in table.to_pylist()], schema=RECORD)
    seal = seal_of(table.schema)
    pq.write_table(sealed(other, seal.span, seal.given, seal.files), path)


def test_a_damaged_run_keeps_no_other_from_being_looked_at(tmp_path: Path) -> None:
    for name in ("bad", "good"):
        make_run(tmp_path / name, n=4, shape=(3, 8, 8), attacks=(FGSM,))
    next((tmp_path / "bad" / "records").rglob("*.parquet")).write_bytes(b"PAR1")
    app = application([tmp_path])
    bad, good = ask(app, "/api/runs").json
    assert "is not a record shard" in bad["unread"] and not good["unread"]
    assert {row["run"] for row in ask(app, "/api/examples").json["rows"]} == {good["run"]}


def test_a_run_is_there_once_and_by_a_name_of_its_own(tmp_path: Path) -> None:
    for folder in ("a", "b", os.fsdecode(b"c\xff")):
        make_run(tmp_path / folder / "run", n=4, shape=(3, 8, 8), attacks=(FGSM,))
    folders = [tmp_path / "a", tmp_path / "b", tmp_path / "a" / "run", tmp_path]
    app = application(folders)
    names = [one["name"] for one in ask(app, "/api/runs").json]
    assert names == [f"{tmp_path}/a/run", f"{tmp_path}/b/run", "c\ufffd/run"]
    assert ask(app, "/api/examples").json["total"] == 12


def test_a_page_that_is_loaded_anew_shows_what_has_come_since(tmp_path: Path) -> None:
    make_run(tmp_path / "one", n=4, shape=(3, 8, 8), attacks=(FGSM,))
    app = application([tmp_path])
    make_run(tmp_path / "one", n=10, shape=(3, 8, 8), attacks=(FGSM,), shard_size=4)
    make_run(tmp_path / "another", n=3, shape=(3, 8, 8), attacks=(FGSM,))
    assert ask(app, "/api/examples").json["total"] == 4  # a number in an address stays what it was
    assert ask(app, "/").status == 200
    assert [(one["run"], one["name"], one["examples"]) for one in ask(app, "/api/runs").json] == [
        (0, "one", 10),
        (1, "another", 3),
    ]
    assert ask(app, "/api/examples").json["total"] == 13
    assert ask(app, "/original/0/0/9.png").status == 200
    assert ask(app, "/").status == 200
    assert ask(app, "/api/examples").json["total"] == 13


def test_pictures_are_those_of_the_files_and_by_the_one_rule(app: Any, shelf: Path) -> None:
    view = next(iter(read_manifest(shelf / "one").views()))
    spec = view.attacks[0]
    pixels = [read_images(shelf / "one", slug, view, [17])[0].numpy() for slug in (view.originals, view.slug(spec))]
    assert not np.array_equal(*(np.rint(255 * one) for one in pixels))
    for what, wanted in zip(("original", "adversarial"), pixels, strict=True):
        answer = ask(app, f"/picture/1/0/0/0/17/{what}.png")
        assert answer.headers["content-type"] == "image/png"
        shown = np.asarray(Image.open(io.BytesIO(answer.body))).transpose(2, 0, 1)
        assert np.array_equal(shown, np.rint(255 * wanted))
    factor = ask(app, "/api/example/1/0/0/0/17").json["factor"]
    assert factor == amplification((pixels[1].astype(float) - pixels[0]) * 255)
    for path in ("/picture/1/0/0/2/4000/original.png", "/picture/9/0/0/2/1/original.png", "/picture/1/0/0/2/1/x.png"):
        assert ask(app, path).status == 404


def test_an_example_has_everything_of_it_beside_it(app: Any) -> None:
    found = ask(app, "/api/example/1/1/0/3/5").json
    assert (found["row"]["model"], found["row"]["position"]) == ("b", 5)
    runs = {(one["run"], one["model"], one["attack"]) for one in found["beside"]}
    assert len(runs) == 8 + 4  # two models and four attacks there, and the image of that name in the other run
    answers = ask(app, "/api/answers/1/0/0/2/17")
    assert answers.status == 400 and b"made from objects" in answers.body


@pytest.mark.parametrize(
    "path",
    [
        "/run/1/../../secret.html",
        "/run/1/../secret.html",
        "/run/1//etc/passwd",
        "/run/1/link.html",
        "/run/1/manifest.json",
        "/run/1/records/a",
        "/run/7/report.html",
        "/run/-1/report.html",
        "/../secret.html",
        "/run/1/" + "a" * 5000 + ".html",
    ],
)
def test_no_path_leads_out_of_a_run(app: Any, path: str) -> None:
    answer = ask(app, path)
    assert answer.status == 404
    assert b"secret" not in answer.body and b"root:" not in answer.body


def test_a_run_has_its_page_as_nobody(app: Any) -> None:
    answer = ask(app, "/run/1/report.html")
    assert (answer.status, answer.body) == (200, b"<p>its page")
    assert answer.headers["content-security-policy"] == "sandbox allow-scripts"
    page = ask(app, "/")
    assert page.status == 200 and b"connect-src 'self'" in page.body and b'name="least"' in page.body


@pytest.mark.parametrize(
    ("headers", "method"),
    [
        ({"host": "evil.example"}, "GET"),
        ({"host": "127.0.0.1.evil.example"}, "GET"),
        ({}, "GET"),
        ({"host": "["}, "GET"),
        (HERE | {"origin": "https://evil.example"}, "GET"),
        (HERE | {"origin": "null"}, "GET"),
        (HERE | {"sec-fetch-site": "cross-site"}, "GET"),
        (HERE | {"sec-fetch-site": "same-site"}, "GET"),
        (HERE | {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}, "POST"),
        (HERE | {"content-type": "text/plain"}, "POST"),
        (HERE | {"origin": "http://127.0.0.1:9999", "content-type": "application/json"}, "POST"),
    ],
)
def test_who_may_not_ask_is_refused(app: Any, headers: dict[str, str], method: str) -> None:
    answer = ask(app, "/api/runs", headers=headers, method=method)
    assert answer.status == 403
    assert answer.body.startswith(b"expected ")


def test_a_token_is_asked_for_beyond_this_machine(shelf: Path) -> None:
    open_to_all = application([shelf], hosts=None, token="word")
    there = {"host": "machine.example:8765"}
    assert ask(open_to_all, "/api/runs", headers=there).status == 403
    assert ask(open_to_all, "/api/runs?token=wort", headers=there).status == 403
    first = ask(open_to_all, "/?token=word", headers=there)
    assert first.status == 200 and first.headers["set-cookie"] == "brittle_view=word; HttpOnly; SameSite=Strict; Path=/"
    assert ask(open_to_all, "/api/runs", headers=there | {"cookie": "brittle_view=word"}).status == 200
    with pytest.raises(ValueError, match="a token"):
        application([shelf], hosts=None)


def test_an_attack_is_tried_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brittle.api.write_report", lambda _, **__: None)
    command = f"audit --model digits-cnn --data digits --limit 6 --attack fgsm,eps=0.1 --out {tmp_path / 'run'}"
    monkeypatch.setattr(sys, "argv", ["brittle", *shlex.split(command)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 0
    start = trying.Trial.start
    monkeypatch.setattr(trying.Trial, "start", trying.Trial._run)  # at once, so that nothing waits
    app = application([tmp_path])
    row = ask(app, "/api/examples").json["rows"][2]
    answers = ask(app, "/api/answers/0/0/0/0/2").json
    assert answers["before"][0]["class"] == row["before"] and len(answers["after"]) == 5
    assert answers["before"][0]["probability"] == pytest.approx(row["before_confidence"], abs=1e-6)
    known = {one["name"]: one for one in ask(app, "/api/attacks/0/0").json["attacks"]}
    assert {"deepfool", "pgd", "few-pixel"} <= set(known)
    assert known["pgd"]["options"][0]["choices"] == ["l1", "l2", "linf"]
    wish = {"run": 0, "model": 0, "position": 2, "attack": "deepfool", "options": {"norm": "linf", "overshoot": ""}}
    told = ask(app, "/api/try", method="POST", headers=JSON, content=wish).json
    assert told["done"] and told["fooled"] and told["attack"] == "deepfool(norm=linf)"
    assert len(told["curve"]) == told["passes"] == told["forwards"]  # one image, so a row a pass
    assert told["curve"][0][1] > 0 > told["curve"][-1][1]  # the margin falls below zero
    assert ask(app, f"/trial/{told['trial']}/change.png").headers["content-type"] == "image/png"
    kept = ask(app, f"/api/trial/{told['trial']}/keep", method="POST", headers=JSON, content={}).json
    (record,) = read_records(tmp_path / "tried" / "trial-1").to_dict("records")
    assert kept["name"] == "tried/trial-1" and bool(record["fooled"])
    assert record["linf"] == pytest.approx(told["distances"]["linf"])
    assert [one["run"] for one in ask(app, "/api/examples?attack=deepfool(norm=linf)").json["rows"]] == [kept["run"]]
    assert read_manifest(tmp_path / "tried" / "trial-1").labelled
    ended = threading.Event()
    monkeypatch.setattr(trying.Trial, "start", start)
    monkeypatch.setattr(trying, "attack", lambda *_, **__: ended.wait() and 1 / 0)  # it ends with an error
    monkeypatch.setattr("brittle.view.opened.PATIENCE", 0.01)
    busy = ask(app, "/api/try", method="POST", headers=JSON, content=wish).json
    while True:
        answer = ask(app, "/api/answers/0/0/0/0/2")
        if answer.status == 400:
            break
    assert answer.body.startswith(b"an attack is being tried")
    ended.set()
    while not ask(app, f"/api/trial/{busy['trial']}").json["done"]:
        pass
    for wrong, message in (
        ({"attack": "deepfol"}, b"did you mean 'deepfool'?"),
        ({"options": {"norm": "l9x"}}, b"unknown norm 'l9x'"),
        ({"target": "11th"}, b"expected a class"),
        ({"position": 77}, b"no such example"),
    ):
        answer = ask(app, "/api/try", method="POST", headers=JSON, content=wish | wrong)
        assert answer.status in (400, 404) and message in answer.body


def test_a_trial_on_an_image_without_a_label_is_kept_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brittle.api.write_report", lambda _, **__: None)
    classifier, digit = load_model("digits-cnn"), load_data("digits", limit=1)
    image = digit.images(0, 1)[0]
    label = int(classifier.logits(image[None])[0].argmax())
    asked = {"attack": "fgsm", "options": {"eps": "0.2"}}
    trial = trying.Trial(classifier, image, "one", label, asked, threading.RLock(), labelled=False)
    trial._run()
    place = trial.kept(tmp_path / "tried")
    (record,) = read_records(place).to_dict("records")
    assert (read_manifest(place).labelled, record["label"]) == (False, label)
