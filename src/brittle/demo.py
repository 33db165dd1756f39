"""The offline demo: a small CNN trained on the spot on scikit-learn's digits, attacked in every norm."""

from pathlib import Path
from typing import Any

from brittle.api import audit
from brittle.catalog import attacks_from
from brittle.data import load_data
from brittle.models import load_model
from brittle.run.engine import Run

ATTACKS = (
    "fgsm,eps=0.02:0.05:0.1:0.2:0.3",
    "pgd,eps=0.02:0.05:0.1:0.2:0.3",
    "deepfool",
    "deepfool,norm=linf",
    "minimal",
    "minimal,norm=linf",
    "minimal,norm=l1",
    "minimal,norm=l0",
)


def demo_run(out: Path, *, seed: int, command: str | None, **hooks: Any) -> Run:
    """Trains, attacks the held-out digits and reports; seconds on two cores."""
    classifier = load_model("digits-cnn")
    attacks = [attack for text in ATTACKS for attack in attacks_from(text)]
    examples = load_data("digits", fit=classifier.fit)
    return audit(classifier, examples, attacks, out=out, seed=seed, model="digits-cnn", command=command, **hooks)
