"""Robustness as a test: what a suite asserts of a classifier."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from brittle.attacks import Attack
from brittle.catalog import attacks_from
from brittle.data.given import as_examples
from brittle.measure import Gate, Measured, summaries
from brittle.models.classifier import Classifier, checked_classifier
from brittle.pages.words import rate_text
from brittle.records import UNTARGETED
from brittle.run import engine
from brittle.run.sources import Sources
from brittle.studies.audit import Audit

_KEY = "robust_accuracy"


def assert_robust(
    classifier: Classifier,
    examples: Any,
    attack: Attack | str | Sequence[Attack | str],
    *,
    at_least: float,
    goal: str = UNTARGETED,
    seed: int = 0,
    strict: bool = False,
) -> Measured:
    """Robust accuracy under an attack, or under several together, which is at least so much; AssertionError otherwise.

    examples: as for ``brittle.audit``. attack: as objects or as text, such as ``"pgd,eps=8/255"``; an image counts as
    lost to any of them. at_least: a fraction of all images, held against the value as ``--fail-under`` does. strict:
    a doubt about the number fails, too (docs/flags.md). Nothing is kept on the disk.
    """
    __tracebackhide__ = True
    gate = Gate.of(strict, {_KEY: at_least})
    given = [attack] if isinstance(attack, str) or not isinstance(attack, Sequence) else attack
    attacks = [one for each in given for one in (attacks_from(each) if isinstance(each, str) else [each])]
    name = checked_classifier(classifier).name
    sources = Sources.made_of({name: classifier}, {name: as_examples(examples)})
    with tempfile.TemporaryDirectory() as folder:
        run = engine.run(Audit(sources, attacks, (goal,), seed, "none"), out=Path(folder) / "run")
        (summary,) = summaries(run.manifest, run.records)
    judgement = gate.judged([summary])
    measured: Measured = summary.overall[_KEY]
    if not judgement.passed:
        said = rate_text(measured.value, measured.low, measured.high, measured.count or 0, measured.of or 0)
        worst = f"; {summary.strongest} fools the most" if summary.strongest else ""
        doubts = f"; doubts: {', '.join(judgement.doubts)} (docs/flags.md)" if judgement.doubts else ""
        raise AssertionError(f"expected robust accuracy of at least {at_least:g}, got {said}{worst}{doubts}")
    return measured
