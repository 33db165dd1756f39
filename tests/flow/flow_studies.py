"""Studies from objects, as tests make them."""

from typing import Any

from brittle.data import Examples
from brittle.models import Classifier
from brittle.run.sources import Sources
from brittle.studies.audit import Audit


def audit_of(classifier: Classifier, examples: Examples, attacks: Any, **settings: Any) -> Audit:
    return Audit(Sources.made_of({classifier.name: classifier}, {classifier.name: examples}), attacks, **settings)
