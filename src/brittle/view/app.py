"""The application: which question goes where. It reads runs, and writes nothing but a trial that is to be kept."""

import math
import secrets
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, final

import torch
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from brittle.errors import BrittleError
from brittle.flags import FLAGS
from brittle.pages.html import page
from brittle.view.guard import Guard
from brittle.view.index import SORTS, Index
from brittle.view.opened import Models
from brittle.view.pictures import best, drawn, factor_of, original_of, pair
from brittle.view.shelf import Shelved, page_file, shelved, shelved_anew, studies_in
from brittle.view.trying import Trial, forms

HERE = Path(__file__).parent
TRIED = "tried"
_MOST = 50  # trials that are remembered
_AT = "{run:int}/{model:int}/{goal:int}/{attack:int}/{position:int}"
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Answer = Callable[["Explorer", Request], Any]


def _answered(method: Answer) -> Callable[["Explorer", Request], Awaitable[Response]]:
    """A mistake is an answer in words: 404 for what is not there, 400 for what cannot be done."""

    @wraps(method)
    async def answering(self: "Explorer", request: Request) -> Response:
        try:
            content: Any = await request.json() if request.method == "POST" and await request.body() else {}
            request.state.said = content if isinstance(content, dict) else {}
            answer = await run_in_threadpool(method, self, request)
            return answer if isinstance(answer, Response) else JSONResponse(_finite(answer))
        except LookupError as error:
            return PlainTextResponse(str(error.args[0]) if error.args else "no such thing", 404)
        except (BrittleError, TypeError, ValueError, OSError) as error:
            return PlainTextResponse(str(error), 400)

    return answering


@final
class Explorer:
    """Runs, their index and their models, as long as the server is there. folders: where runs are looked for."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders, self.folder = folders, folders[0].resolve()
        self.runs = shelved(folders)
        self.studies = studies_in(folders)
        self.index = Index(self.runs)
        self.models = Models()
        self._stamps = {one.number: one.stamp() for one in self.runs}
        self._looking = threading.Lock()
        self.trials: dict[int, Trial] = {}

    def routes(self) -> list[Route]:
        """Every question that there is."""
        gets: dict[str, Any] = {
            "/": self.page,
            "/favicon.ico": self.no_icon,
            "/api/runs": self.list_runs,
            "/api/examples": self.examples,
            "/api/choices": self.choices,
            f"/api/example/{_AT}": self.example,
            f"/api/answers/{_AT}": self.answers,
            f"/picture/{_AT}/{{what}}.png": self.picture,
            "/original/{run:int}/{model:int}/{position:int}.png": self.original,
            "/run/{run:int}/{path:path}": self.run_file,
            "/study/{study:int}/{path:path}": self.study_file,
            "/api/studies": self.list_studies,
            "/api/attacks/{run:int}/{model:int}": self.attacks,
            "/api/trial/{trial:int}": self.trial,
            "/trial/{trial:int}/{what}.png": self.trial_picture,
        }
        posts: dict[str, Any] = {"/api/try": self.try_it, "/api/trial/{trial:int}/keep": self.keep}
        return [
            *(Route(path, one, methods=["GET"]) for path, one in gets.items()),
            *(Route(path, one, methods=["POST"]) for path, one in posts.items()),
        ]

    def run(self, number: int) -> Shelved:
        """The run of this number; LookupError where there is none."""
        if not 0 <= number < len(self.runs):
            raise LookupError("no such run")
        return self.runs[number]

    @_answered
    def page(self, request: Request) -> Any:
        self._look_again()
        script = (HERE / "page.js").read_text(encoding="utf-8")
        flags = {code: one.sentence for code, one in FLAGS.items()}
        context = {"sorts": list(SORTS), "flags": flags, "runs": len(self.runs)}
        return HTMLResponse(page(HERE, "page.html.j2", context, styles=["page.css"], scripts=[script]))

    def _look_again(self) -> None:
        """Whoever loads the page anew sees what runs have become since, and new ones."""
        with self._looking:
            self.runs, self.studies = shelved_anew(self.folders, self.runs), studies_in(self.folders)
            for one in self.runs:
                stamp = one.stamp()
                if self._stamps.get(one.number) != stamp:
                    self.index.add(one)
                    self._stamps[one.number] = stamp

    @_answered
    def no_icon(self, request: Request) -> Any:
        return Response(status_code=204)

    @_answered
    def list_runs(self, request: Request) -> Any:
        return [one.told() | {"unread": self.index.unread.get(one.number, "")} for one in self.runs]

    @_answered
    def examples(self, request: Request) -> Any:
        found = self.index.find(dict(request.query_params))
        return {"total": found.total, "rows": found.rows}

    @_answered
    def choices(self, request: Request) -> Any:
        return self.index.choices(dict(request.query_params))

    @_answered
    def example(self, request: Request) -> Any:
        """A row, by how much its change is amplified, and what else there is of the same image."""
        at = _at(request)
        row = self.index.one(at)
        run = self.run(at[0])
        try:
            factor: int | None = factor_of(*pair(run, *at[1:]))
        except LookupError:
            factor = None
        shape = run.view(at[1], at[2]).image_shape
        return {"row": row, "factor": factor, "shape": shape, "beside": self.index.beside(row["example"], at[4])}

    @_answered
    def answers(self, request: Request) -> Any:
        """The likeliest classes before and after, by the model itself."""
        at = _at(request)
        run = self.run(at[0])
        original, adversarial = pair(run, *at[1:])
        classifier, names = self.models.of(run, at[1]), run.view(at[1], at[2]).class_names
        with self.models.free():
            images = torch.stack([original, adversarial]).to(classifier.device)
            sides = classifier.logits(images, plain=True)
        before, after = (best(one.cpu(), names) for one in sides)
        return {"before": before, "after": after}

    @_answered
    def picture(self, request: Request) -> Any:
        at = _at(request)
        return _png(drawn(*pair(self.run(at[0]), *at[1:]), request.path_params["what"])[0])

    @_answered
    def original(self, request: Request) -> Any:
        said = request.path_params
        image = original_of(self.run(said["run"]), said["model"], said["position"])
        return _png(drawn(image, image, "original")[0])

    @_answered
    def run_file(self, request: Request) -> Any:
        return _page(self.run(request.path_params["run"]).place, request)

    @_answered
    def study_file(self, request: Request) -> Any:
        number = request.path_params["study"]
        if number >= len(self.studies):
            raise LookupError("no such study")
        return _page(self.studies[number].place, request)

    @_answered
    def list_studies(self, request: Request) -> Any:
        return [one.told() for one in self.studies]

    @_answered
    def attacks(self, request: Request) -> Any:
        run, model = self.run(request.path_params["run"]), request.path_params["model"]
        return {"attacks": forms(self.models.of(run, model)), "classes": run.view(model, 0).class_names}

    @_answered
    def try_it(self, request: Request) -> Any:
        said = request.state.said
        at = [_whole(said, name) for name in ("run", "model", "position")]
        run, (_, model, position) = self.run(at[0]), at
        image, classifier = original_of(run, model, position), self.models.of(run, model)
        example, label = self.index.label(run.number, model, position)
        trial = Trial(classifier, image, example, label, said, self.models.lock, labelled=run.manifest.labelled)
        self.trials[trial.number] = trial
        for old in sorted(self.trials)[:-_MOST]:
            del self.trials[old]
        trial.start()
        return trial.told()

    def _trial(self, request: Request) -> Trial:
        found = self.trials.get(request.path_params["trial"])
        if found is None:
            raise LookupError("no such trial")
        return found

    @_answered
    def trial(self, request: Request) -> Any:
        return self._trial(request).told()

    @_answered
    def trial_picture(self, request: Request) -> Any:
        found = self._trial(request).found
        if found is None:
            raise LookupError("the trial is not finished")
        return _png(drawn(found.originals[0].cpu(), found.images[0].cpu(), request.path_params["what"])[0])

    @_answered
    def keep(self, request: Request) -> Any:
        place = self._trial(request).kept(self.folder / TRIED)
        self._look_again()
        made = next((one for one in self.runs if one.place == place.resolve()), None)
        if made is None:
            raise BrittleError(f"expected a run in {str(place)!r}")
        return made.told()


def application(
    folders: Sequence[Path], *, hosts: Collection[str] | None = LOOPBACK, token: str | None = None
) -> Guard:
    """The explorer of some folders behind its guard, as an ASGI application."""
    return Guard(Starlette(routes=Explorer(folders).routes()), hosts=hosts, token=token)


def fresh_token() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(24)


def _at(request: Request) -> tuple[int, int, int, int, int]:
    said = request.path_params
    return said["run"], said["model"], said["goal"], said["attack"], said["position"]


def _whole(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    if not (isinstance(value, int | str) and str(value).isdecimal()):
        raise BrittleError(f"expected {name} as a whole number, got {str(value)[:60]!r}")
    return int(value)


def _finite(content: Any) -> Any:
    """The same with None for NaN and infinity, for which JSON has no word."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _page(folder: Path, request: Request) -> Response:
    """A file of a page; whatever it does, it does as nobody, as it may come from elsewhere."""
    place, kind = page_file(folder, request.path_params["path"])
    return FileResponse(place, media_type=kind, headers={"content-security-policy": "sandbox allow-scripts"})


def _png(content: bytes) -> Response:
    return Response(content, media_type="image/png")
