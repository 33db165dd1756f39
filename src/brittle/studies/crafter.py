"""A photograph and wishes: attacked at its own pixels, saved in 8 bits, reloaded, and classified once more."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from brittle.crafting.crafted import Crafted
from brittle.crafting.view import Watched, see, viewed
from brittle.data.fit import Fit
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.run.attack import broken_rules
from brittle.run.grade import Rules, grade
from brittle.studies.photographs import Photograph, pixels_of, png_of
from brittle.studies.ways import Way
from brittle.studies.wishes import check_wishes, targets_of
from brittle.types import Images, Logits
from brittle.visibility.measures import visibility

_TOP = 5

OnLook = Callable[[float, float], None]
"""Told after each pass: the highest confidence, and the change in grey levels (root mean square, median of several)."""


@final
@dataclass(frozen=True, slots=True)
class Aim:
    """A wish, the class that it means for a photograph (None: any but the present), and its logits as it is."""

    wish: str
    target: int | None
    before: Logits


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Crafter:
    """A network with its published preprocessing, and the attack that looks for the noise.

    classifier: takes what ``fit`` makes of a photograph. way: a registered attack, which sees photographs whole.
    confidence: at which a wish counts as come true. seed: of the attack and of random wishes.
    on_look: told after each pass how far it is.
    """

    classifier: Classifier
    fit: Fit | None
    way: Way
    confidence: float = 0.99
    seed: int = 0
    on_look: OnLook | None = None

    def look(self, pixels: Tensor) -> Logits:
        """Logits ``[K]`` of a uint8 photograph ``[C, H, W]``, by torchvision's transforms and the plain network."""
        seen = see(pixels.unsqueeze(0), self.fit).to(self.classifier.device)
        return self.classifier.logits(seen, plain=True)[0].cpu()

    def aim(self, photograph: Photograph, wishes: Sequence[str]) -> list[Aim]:
        """What each wish means for this photograph; BrittleError where one cannot come true, before any work."""
        before = self.look(photograph.pixels)
        names = self.classifier.class_names
        check_wishes(wishes, names, len(before))
        rng = Rng(self.seed, (photograph.sha256,))
        targets = targets_of(wishes, before, names, rng, photograph.name)
        return [Aim(wish, target, before) for wish, target in zip(wishes, targets, strict=True)]

    def craft(self, photograph: Photograph, aims: Sequence[Aim]) -> Iterator[tuple[Crafted, bytes]]:
        """What has become of the photograph for each aim, and the PNG in which the network was shown it again.

        What is claimed is what the decoded PNG shows, by ``look``. The aims, all with a target or all without, go
        through the attack together.
        """
        through = viewed(self.classifier, self.fit)
        present = int(aims[0].before.argmax())
        labels = torch.tensor([present if aim.target is None else aim.target for aim in aims])
        goal: Goal = (Untargeted if aims[0].target is None else Targeted)(labels.to(self.classifier.device))
        original = (photograph.pixels.float() / 255).to(self.classifier.device)
        if self.on_look is not None:
            through = Watched(through, _watch(self.on_look, original, goal))
        rng = Rng(self.seed, tuple(f"{photograph.sha256} {aim.wish} {aim.target}" for aim in aims))
        originals = original.expand(len(aims), -1, -1, -1).contiguous()
        started = time.perf_counter()
        outcome = self.way.attack(through, originals, goal, rng=rng)
        seconds = (time.perf_counter() - started) / len(aims)
        levels = outcome.images.mul(255).round().clamp(0, 255).to(torch.uint8).cpu()
        pngs = [png_of(one) for one in levels]
        again = torch.stack([pixels_of(png, "perturbed.png", len(levels[0])) for png in pngs])
        counted = (through.forwards, through.backwards) == (int(outcome.forwards.sum()), int(outcome.backwards.sum()))
        saved = outcome._replace(images=(again.float() / 255).to(originals))
        grades = grade(through, originals, saved, goal, Rules(box=True, budget=None))
        # The budget is the attack's, who does not know that half a grey level is lost to the file.
        inside, within = Rules.of(self.way.attack).kept(originals, outcome.images)
        broken = broken_rules(grades._replace(inside_box=inside, within_budget=within), miscounted=not counted)
        for row, (aim, png) in enumerate(zip(aims, pngs, strict=True)):
            seen = Seen(
                claimed=bool(outcome.claimed[row]),
                fooled=bool(grades.fooled[row] & inside[row] & within[row]),
                steps=int(outcome.steps[row]),
                forwards=int(outcome.forwards[row]),
                backwards=int(outcome.backwards[row]),
                seconds=seconds,
                flags=tuple(code for code, rows in broken.items() if rows[row]),
            )
            yield self._judged(photograph, again[row], aim, seen), png

    def _judged(self, photograph: Photograph, pixels: Tensor, aim: Aim, seen: "Seen") -> Crafted:
        names = self.classifier.class_names
        present = int(aim.before.argmax())
        after = self.look(pixels)
        likely = after.softmax(0)
        confidence = float(1 - likely[present] if aim.target is None else likely[aim.target])
        return Crafted(
            photo=photograph.name,
            original=_in_colour(photograph.pixels),
            perturbed=_in_colour(pixels),
            wish=aim.wish,
            target=aim.target,
            target_name=None if aim.target is None else _name_of(aim.target, names),
            before=_top(aim.before, names),
            after=_top(after, names),
            label_before=present,
            confidence=confidence,
            claimed=seen.claimed,
            fooled=seen.fooled,
            reached=seen.fooled and confidence >= self.confidence,
            wanted=self.confidence,
            visibility=visibility(photograph.pixels.unsqueeze(0) / 255, pixels.unsqueeze(0) / 255)[0],
            attack=self.way.name,
            steps=seen.steps,
            passes=seen.forwards,
            backwards=seen.backwards,
            seconds=seen.seconds,
            flags=seen.flags,
        )


class Seen(NamedTuple):
    """What the attack says of one result, and the grader."""

    claimed: bool
    fooled: bool
    steps: int
    forwards: int
    backwards: int
    seconds: float
    flags: tuple[str, ...]


def _top(logits: Logits, names: Sequence[str] | None) -> tuple[tuple[str, float], ...]:
    likely = logits.softmax(0)
    order = likely.argsort(descending=True, stable=True)[:_TOP].tolist()
    return tuple((_name_of(index, names), float(likely[index])) for index in order)


def _name_of(index: int, names: Sequence[str] | None) -> str:
    return f"class {index}" if names is None else names[index]


def _in_colour(pixels: Tensor) -> Tensor:
    return pixels.expand(3, -1, -1) if len(pixels) == 1 else pixels


def _watch(on_look: OnLook, original: Images, goal: Goal) -> Callable[[Images, Logits], None]:
    """Tells about those asked about: of one target exactly, of several the most that any has got."""
    sign = 1.0 if isinstance(goal, Targeted) else -1.0

    def watch(photographs: Images, logits: Logits) -> None:
        likely = logits.softmax(1)[:, sorted(set(goal.labels.tolist()))]
        confidence = float(likely.amax() if sign > 0 else 1 - likely.amin())
        change = float((photographs - original).square().mean((1, 2, 3)).sqrt().median()) * 255
        on_look(confidence, change)

    return watch
