"""An attack tried on one image: in a thread, with the curve of what its passes have come to; kept as an audit."""

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import torch

from brittle.api import audit
from brittle.catalog import ATTACKS, label_of, traits_of
from brittle.catalog.describe import options
from brittle.catalog.options import options_of
from brittle.data import examples_of
from brittle.errors import BrittleError
from brittle.goals import Goal, Rounding, Targeted, Untargeted
from brittle.models.around import Passing
from brittle.models.classifier import Classifier, Pullback, Settings
from brittle.run.attack import Found, attack, check_access, check_goal
from brittle.types import Images, Logits
from brittle.view.pictures import best, factor_of

POINTS = 400
"""Of a curve, at most: more are thinned."""


def forms(classifier: Classifier | None = None) -> list[dict[str, Any]]:
    """Every attack with its options, as a form asks for them; those that the classifier cannot serve are out."""
    made = []
    for name in sorted(ATTACKS):
        entry = ATTACKS[name]
        if entry.kind == "wrapper" or name == "perturbation":
            continue
        if classifier is not None and entry.access == "gradient" and classifier.access != "gradient":
            continue
        known = options_of(entry.type)
        rows = [
            {"name": key, "expected": expected, "default": default, "help": said, "choices": _choices(known[key])}
            for key, expected, default, said in options(entry)
        ]
        made.append({"name": name, "summary": entry.summary, "kind": entry.kind, "goals": entry.goals, "options": rows})
    return made


def _choices(one: Any) -> list[str]:
    if one.is_norm:
        return [norm for norm in one.norms if norm != "lp"]
    return ["true", "false"] if one.type is bool else list(one.choices)


@final
class Watched(Passing):
    """A classifier that notes the smallest margin of each pass of an attack; its counts are the inner one's."""

    def __init__(self, inner: Classifier, goal: Goal, curve: list[tuple[int, float]]) -> None:
        self.inner, self.goal, self.curve = inner, goal, curve
        self._attacked = False

    def adjusted(self, said: Settings) -> "Watched":
        return Watched(self.inner.adjusted(said), self.goal, self.curve)

    @contextmanager
    def settled(self, images: Images, logits: Logits) -> Iterator[Rounding]:
        """For the time of an attack: what is asked before and after it is none of its curve."""
        with self.inner.settled(images, logits) as rounding:
            self._attacked = True
            try:
                yield rounding
            finally:
                self._attacked = False

    def logits(self, images: Images, *, plain: bool = False) -> Logits:
        logits = self.inner.logits(images, plain=plain)
        self._note(logits)
        return logits

    def linearize(self, images: Images) -> tuple[Logits, Pullback]:
        logits, pullback = self.inner.linearize(images)
        self._note(logits)
        return logits, pullback

    def _note(self, logits: Logits) -> None:
        rows = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
        if self._attacked and len(logits):
            margins = self.goal[rows].margin(logits.detach())
            self.curve.append((len(self.curve) + 1, float(margins.min())))


@final
class Trial:
    """One attack on one image. attack: as typed. label: of the image, as the classifier counts; target: to reach.

    labelled: False, where the label is the classifier's own prediction.
    """

    _numbers = itertools.count(1)

    def __init__(
        self,
        classifier: Classifier,
        image: Images,
        example: str,
        label: int,
        asked: Mapping[str, Any],
        lock: Any,
        *,
        labelled: bool = True,
    ) -> None:
        options = asked.get("options")
        values = {str(key): str(value) for key, value in options.items()} if isinstance(options, dict) else {}
        self.method = ATTACKS.build(str(asked.get("attack")), {key: one for key, one in values.items() if one != ""})
        self.number, self.classifier, self.image, self.example = next(self._numbers), classifier, image, example
        self.label, self.target = label, _target(asked.get("target"), classifier)
        self.seed = int(asked.get("seed") or 0)
        self.curve: list[tuple[int, float]] = []
        self.found: Found | None = None
        self.error = ""
        self._lock, self._labelled = lock, labelled
        self._checked()

    def _goal(self) -> Goal:
        labels = torch.tensor([self.label if self.target is None else self.target], device=self.classifier.device)
        return Untargeted(labels) if self.target is None else Targeted(labels)

    def _checked(self) -> None:
        """What can be refused at once, is."""
        check_goal(self.method, self._goal())
        check_access(self.method, self.classifier)

    def start(self) -> None:
        """Begins, in a thread of its own."""
        threading.Thread(target=self._run, daemon=True, name=f"trial-{self.number}").start()

    def _run(self) -> None:
        goal = self._goal()
        with self._lock:
            try:
                watched = Watched(self.classifier, goal, self.curve)
                self.found = attack(watched, self.image[None], goal, self.method, seed=self.seed, ids=(self.example,))
            except Exception as error:  # whatever it is, the page that asked is to say it
                self.error = " ".join(str(error).split())[:300] or type(error).__name__

    def told(self) -> dict[str, Any]:
        """How it stands: the curve until now, and when it is finished, what came of it."""
        passes = [*self.curve]  # of a thread that goes on
        curve = [*passes[: -1 : max(1, -(-len(passes) // POINTS))], *passes[-1:]]
        said: dict[str, Any] = {
            "trial": self.number,
            "attack": label_of(self.method),
            "passes": len(passes),
            "curve": curve,
            "error": self.error,
            "done": self.found is not None or bool(self.error),
        }
        if self.found is not None:
            said |= self._result(self.found)
        return said

    def _result(self, found: Found) -> dict[str, Any]:
        names = list(self.classifier.class_names or ())
        with self._lock:
            before, after = (self.classifier.logits(one, plain=True)[0] for one in (found.originals, found.images))
        norm = traits_of(self.method).norm
        return {
            "fooled": bool(found.fooled[0]),
            "before": best(before.cpu(), names),
            "after": best(after.cpu(), names),
            "norm": norm.name,
            "distances": {one: float(found.distance(one)[0]) for one in ("l0", "l1", "l2", "linf")},
            "forwards": int(found.forwards[0]),
            "backwards": int(found.backwards[0]),
            "seconds": found.seconds,
            "factor": factor_of(found.originals[0].cpu(), found.images[0].cpu()),
            "flags": [{"code": flag.code, "message": flag.message} for flag in found.flags],
        }

    def kept(self, folder: Path) -> Path:
        """Runs it again as an audit of this one image, in a run directory of its own; the directory."""
        if self.found is None:
            raise BrittleError("expected a trial that is finished")
        place = next(one for n in itertools.count(1) if not (one := folder / f"trial-{n}").exists())
        goal = "untargeted" if self.target is None else str(self.target)
        images, labels = self.image[None].cpu(), torch.tensor([self.label]) if self._labelled else None
        examples = examples_of(images, labels, ids=(self.example,))
        with self._lock:
            audit(self.classifier, examples, [self.method], out=place, goals=[goal], seed=self.seed)
        return place


def _target(said: Any, classifier: Classifier) -> int | None:
    if said in (None, ""):
        return None
    names = list(classifier.class_names or ())
    if said in names:
        return names.index(said)
    if str(said).isdecimal():
        return int(said)
    raise BrittleError(f"expected a class as target, got {str(said)[:60]!r}")
