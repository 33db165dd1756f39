"""Models behind defences in an audit: each beside itself without them, and what an attacker with more patience sees."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import NamedTuple

from brittle.catalog import label_of
from brittle.data import Examples
from brittle.defend import AnyDefence, defences_from, defended, label_of_all
from brittle.models.classifier import Classifier
from brittle.records import ModelRecord
from brittle.run.sources import Sources
from brittle.run.spec import ModelSpec
from brittle.studies.opening import bare, clean_for, name_of
from brittle.text import counted
from brittle.types import Images

PATIENCE = 3
"""How many times as many draws an attack gets that is tried again."""


class Guard(NamedTuple):
    """Of a model behind defences: the name of the same model without, and the defences in order.

    clean: images that some of them are fitted on.
    """

    bare: str
    by: tuple[AnyDefence, ...]
    clean: Examples | None = None


def beside_bare(models: Sequence[ModelSpec]) -> tuple[list[ModelSpec], dict[str, Guard]]:
    """The models, with the bare one before each that has defences, once; and the guards by the names of records."""
    wanted: list[ModelSpec] = []
    guards: dict[str, Guard] = {}
    for one in models:
        behind = defences_from(one.defences)
        if behind:
            known = (other for other in (*wanted, *models) if not other.defences and bare(other) == bare(one))
            itself = next(known, None) or one.model_copy(update={"defences": []})
            if itself not in wanted:
                wanted.append(itself)
            guards |= {name_of(one, each): Guard(name_of(itself, ()), each) for each in behind}
        if one not in wanted:
            wanted.append(one)
    return wanted, guards


def behind(
    models: Mapping[str, Classifier], defences: Sequence[AnyDefence], seed: int, clean: Examples | None = None
) -> tuple[dict[str, Classifier], dict[str, Guard]]:
    """The same of classifiers at hand: each, and then each behind the same defences."""
    if not defences:
        return dict(models), {}
    names = {f"{name} + {label_of_all(defences)}": name for name in models}
    beside = {name: defended(models[bare], *defences, seed=seed, clean=clean) for name, bare in names.items()}
    return {**models, **beside}, {name: Guard(bare, tuple(defences), clean) for name, bare in names.items()}


def with_clean(guards: Mapping[str, Guard], models: Sequence[ModelSpec], sources: Sources) -> dict[str, Guard]:
    """The guards, each with the images that it is fitted on."""
    specs = {name_of(one, each): one for one in models for each in defences_from(one.defences)}
    return {
        name: guard._replace(clean=clean_for(specs[name], guard.by, sources.of[guard.bare].classifier))
        for name, guard in guards.items()
    }


def with_guards(records: Sequence[ModelRecord], guards: Mapping[str, Guard], sources: Sources) -> list[ModelRecord]:
    """The records of models, with what those behind defences are of, and what an answer of theirs costs."""
    told = []
    for one in records:
        guard = guards.get(one.name)
        if guard is None:
            told.append(one)
            continue
        image = sources.of[one.name].examples.images(0, 1)
        passes = _passes(sources.of[one.name].classifier, sources.of[guard.bare].classifier, image)
        labels = [label_of(each) for each in guard.by]
        clean = guard.clean
        fitted_on = None if clean is None else f"{counted(len(clean), 'image')} of {clean.source}, {clean.fingerprint}"
        said = {"defends": guard.bare, "defences": labels, "passes": passes, "fitted_on": fitted_on}
        told.append(one.model_copy(update=said))
    return told


def _passes(classifier: Classifier, within: Classifier, image: Images) -> int:
    """Of the classifier within, for one answer."""
    before = within.forwards
    classifier.logits(image.to(classifier.device), plain=True)
    return max(1, within.forwards - before)


def patient(name: str, guard: Guard, sources: Sources, seed: int) -> Classifier:
    """The same defended model, shown to an attacker by more draws; itself, where it draws nothing."""
    more = [_with_more_draws(one) for one in guard.by]
    if more == list(guard.by):
        return sources.of[name].classifier
    return defended(sources.of[guard.bare].classifier, *more, seed=seed, clean=guard.clean)


def _with_more_draws(defence: AnyDefence) -> AnyDefence:
    if not any(field.name == "draws" for field in fields(defence)):  # type: ignore[arg-type]
        return defence
    return replace(defence, draws=PATIENCE * defence.draws)  # type: ignore[type-var, union-attr]
