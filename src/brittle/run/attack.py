"""One attack on images in memory, graded."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import final

import torch
from torch import Tensor

from brittle.attacks import Attack, EightBit
from brittle.catalog import ATTACKS, entry_of, label_of, refuse_goal, traits_of
from brittle.checks import brief, whole
from brittle.data.examples import examples_of
from brittle.display import displayed
from brittle.errors import BrittleError, Flag, Unsupported
from brittle.flags import STUCK
from brittle.geometry.levels import LEVELS
from brittle.geometry.norms import NormLike, norm_of
from brittle.goals import Goal, Targeted, Untargeted, spread_of
from brittle.models.classifier import Classifier, checked_classifier
from brittle.models.precision import few_of
from brittle.models.preflight import check_compatible, glance
from brittle.rng import Rng
from brittle.run.grade import Grade, Rounded, Rules, grade
from brittle.run.made import made_by
from brittle.text import counted
from brittle.types import ACCESSES, Images, Labels, Logits

_CHANGED = 0.1  # of the logits' spread: more than noise that does no harm


@final
@dataclass(frozen=True, slots=True)
class Found:
    """What an attack found, graded by a fresh pass through the plain network; rows as in the images given.

    images: float32 ``[B, C, H, W]``; where the attack failed, its last attempt. originals: the images given.
    method: the attack. fooled: bool ``[B]``, the goal is met and the attack kept to the box and its budget.
    prediction, confidence: of ``images``. margin: the logits that are missing to the goal, negative where it is met.
    claimed: what the attack itself has seen. non_finite: bool ``[B]``, the network gives NaN or infinity on
    ``images``: not fooled, and not robust either. steps, forwards, backwards: int64 ``[B]``. changed: the network
    answers otherwise than before the attack. seconds: for all, without the grading. flags: reasons to doubt all this,
    from ``attack``; docs/flags.md explains each code. They say what a glance shows;
    ``brittle.models.preflight.preflight`` and audits look harder.
    """

    images: Images
    originals: Images
    method: Attack
    goal: Goal
    claimed: Tensor
    prediction: Labels
    confidence: Tensor
    margin: Tensor
    fooled: Tensor
    rounded: Rounded
    inside_box: Tensor
    within_budget: Tensor
    non_finite: Tensor
    steps: Tensor
    forwards: Tensor
    backwards: Tensor
    miscounted: bool
    changed: bool
    seconds: float
    flags: tuple[Flag, ...] = ()

    def __repr__(self) -> str:
        codes = ", ".join(flag.code for flag in self.flags) or "none"
        return f"Found({int(self.fooled.sum())} of {len(self.fooled)} fooled; flags: {codes})"

    def _repr_html_(self) -> str:
        return displayed(self)

    @property
    def fooled_8bit(self) -> Tensor:
        """bool ``[B]``: fooled also after rounding to 8-bit pixels; asked for the first time, it takes a plain pass."""
        return self.rounded.fooled

    def distance(self, norm: NormLike) -> Tensor:
        """Size of the perturbations, ``[B]``, in ``"l0"`` (pixels), ``"l1"``, ``"l2"``, ``"linf"`` or ``"lP"``."""
        return norm_of(norm).measure(self.images - self.originals)


def attack(
    classifier: Classifier,
    images: Images,
    goal: Goal | Labels,
    method: Attack,
    *,
    seed: int = 0,
    ids: tuple[str, ...] | None = None,
    levels: int | None = None,
) -> Found:
    """Runs an attack and grades what it found.

    images: float ``[B, C, H, W]`` in [0, 1]. goal: true labels (int ``[B]``: untargeted), ``Untargeted(labels)`` or
    ``Targeted(labels)``. ids: name the examples' random streams; by default their content does. levels: 256, where what
    is found shall be an image that a file of 8 bits can hold (see ``brittle.EightBit``); None, where it need not.
    ``Found.flags`` tells what makes its rates doubtful: answers that change with the batch or by themselves, gradients
    that are zero, a minimal attack that fails, claims that a fresh pass denies. That costs some 20 passes of one image.
    Raises BrittleError for inputs that do not fit the classifier, Unsupported for goals the attack has no version for,
    and for gradients or scores that it asks for and the classifier does not have.
    """
    checked_classifier(classifier)
    whole("seed", seed, least=0)
    check_goal(method, goal)
    check_access(method, classifier)
    if not isinstance(goal, Tensor | Untargeted | Targeted):
        raise BrittleError(f"expected labels, Untargeted(labels) or Targeted(labels), got {brief(goal)}")
    ended = ending_on(levels, method)
    wanted: Goal = Untargeted(goal) if isinstance(goal, Tensor) else goal
    examples = examples_of(images, wanted.labels, ids=ids)
    check_target(classifier, wanted)
    rng = Rng(seed, examples.ids)
    if not len(images):
        return _run(classifier, images, wanted, ended, rng, images.new_zeros(0, 1))
    logits = check_compatible(classifier, images.detach().float().to(classifier.device), wanted.labels)
    found = _run(classifier, images, wanted, ended, rng, logits)
    gradients = traits_of(method).access == "gradient"
    seen = glance(classifier, found.originals, found.goal.labels, logits, gradients=gradients)
    return replace(found, flags=(*seen, *_own_flags(found, method, found.goal.margin(logits))))


def _run(classifier: Classifier, images: Images, goal: Goal, method: Attack, rng: Rng, logits: Logits) -> Found:
    with torch.inference_mode(False):  # and clones: tensors made in inference mode cannot be differentiated
        pixels = images.detach().clone().float().to(classifier.device)
        goal = replace(goal, labels=goal.labels.clone().long().to(classifier.device))  # type: ignore[type-var]
        return attack_graded(classifier, pixels, goal, method, rng, logits.clone())


def objections(found: Found) -> dict[str, Tensor]:
    """Flag code -> bool ``[B]``: what speaks against an attack's result for each image."""
    unconfirmed = found.claimed & ~found.fooled
    changed = torch.full_like(unconfirmed, found.changed)
    broken = broken_rules(found, miscounted=found.miscounted)
    return {"unconfirmed": unconfirmed, "changed-answers": changed, **broken}


def broken_rules(graded: Found | Grade, *, miscounted: bool) -> dict[str, Tensor]:
    """Flag code -> bool ``[B]``: which rules an attack has broken, whatever it claims."""
    return {
        "outside-box": ~graded.inside_box,
        "over-budget": ~graded.within_budget,
        "non-finite-logits": graded.non_finite,
        "miscounted-passes": torch.full_like(graded.non_finite, miscounted),
    }


_MEANS = {
    "unconfirmed": "are claimed, and a fresh check denies it",
    "changed-answers": "were attacked on a network that answers otherwise than it did before",
    "outside-box": "have pixels outside [0, 1]",
    "over-budget": "exceed the budget",
    "non-finite-logits": "get NaN or infinity from the network",
    "miscounted-passes": "come with another number of passes than was counted",
}


def _own_flags(found: Found, method: Attack, margin: Tensor) -> Iterator[Flag]:
    """What an attack's own results say against them. margin: of the originals."""
    for code, rows in objections(found).items():
        if rows.any():
            yield Flag(code, f"{int(rows.sum())} of {counted(len(rows), 'image')} {_MEANS[code]}")
    failed, of = ~found.fooled, len(found.fooled)
    if traits_of(method).kind != "budget":
        if failed.any():
            message = (
                f"{entry_of(method).name} failed on {int(failed.sum())} of {counted(of, 'image')}, without a budget"
            )
            yield Flag("unbounded-below-100", message)
        return
    stuck = failed & (found.backwards > 0) & (found.steps > 1) & (found.margin >= margin)
    if int(stuck.sum()) > STUCK * of:
        message = (
            f"on {int(stuck.sum())} of {counted(of, 'image')} {entry_of(method).name} ended no nearer to"
            f" its goal than it began"
        )
        yield Flag("no-headway", message)


def ending_on(levels: int | None, method: Attack) -> Attack:
    """The attack itself, or one that ends it on images of 256 levels a channel; BrittleError for other numbers."""
    if levels is None:
        return method
    if levels != LEVELS or isinstance(levels, bool):
        raise BrittleError(f"expected levels as {LEVELS}, as files of 8 bits have, or None, got {levels!r}")
    return method if isinstance(method, EightBit) else EightBit(attack=method)


def check_goal(method: Attack, goal: Goal | Labels | type) -> None:
    """Refuses what is no registered attack, and a goal that it does not serve."""
    entry_of(method)  # or it is refused
    goals = traits_of(method).goals
    kind = goal if isinstance(goal, type) else Untargeted if isinstance(goal, Tensor) else type(goal)
    if kind not in (Untargeted, Targeted):
        raise BrittleError(
            f"expected labels, Untargeted(labels) or Targeted(labels), got {kind.__name__}; labels are a tensor"
        )
    refuse_goal(method, kind, goals)


def check_target(classifier: Classifier, goal: Goal) -> None:
    """Refuses to go for the class with which the classifier refuses to answer."""
    if isinstance(goal, Targeted) and classifier.reject is not None:
        count = int((goal.labels == classifier.reject).sum())
        if count:
            names = classifier.class_names
            name = f"class {classifier.reject}" if names is None else repr(names[classifier.reject])
            raise BrittleError(
                f"expected targets other than the reject class, {name}, got it for {count} of"
                f" {counted(len(goal), 'image')};"
                " choose another target, or a Classifier without reject="
            )


def check_access(method: object, classifier: Classifier) -> None:
    """Refuses an attack that asks for more than the classifier has to give, and names those that do not."""
    asked, given = traits_of(method).access, classifier.access
    able = ACCESSES[: ACCESSES.index(given) + 1]
    if asked not in able:
        others = sorted(name for name, entry in ATTACKS.items() if entry.kind != "wrapper" and entry.access in able)
        raise Unsupported(
            f"{label_of(method)} asks for {asked}s, {classifier.name} only gives {given}s; attacks that work on"
            f" it: {', '.join(others) or 'none yet'}"
        )


def attack_graded(
    classifier: Classifier, images: Images, goal: Goal, method: Attack, rng: Rng, logits: Logits
) -> Found:
    """Runs an attack on checked images on the classifier's device, with their logits, times and grades it."""
    made = made_by(classifier, images, goal, method, rng, logits)
    return Found(
        **made.outcome._asdict(),
        **grade(classifier, images, made.outcome, made.goal, Rules.of(method))._asdict(),
        originals=images,
        method=method,
        goal=made.goal,
        miscounted=made.miscounted,
        changed=_has_changed(classifier, images, logits),
        seconds=made.seconds,
    )


def _has_changed(classifier: Classifier, images: Images, logits: Logits) -> bool:
    """Whether it says something else of a few images than it did: one that counts its questions, say."""
    if not len(images):
        return False
    again, before = classifier.logits(few_of(images), plain=True), few_of(logits)
    return bool(((again - before).abs().amax(1) > _CHANGED * spread_of(before)).any())
