"""What one unit of work is, for each kind of study."""

from brittle.studies import (
    activation,
    alternate,
    amplification,
    audit,
    boundary,
    certify,
    corruption,
    craft,
    density,
    directions,
    evolution,
    first_step,
    fit,
    generated,
    noise,
    rubbish,
    shortcut,
    stability,
    train,
)  # for their registrations
from brittle.studies.registry import STUDIES, spec_of

_ = (
    activation,
    amplification,
    alternate,
    audit,
    boundary,
    certify,
    corruption,
    craft,
    density,
    directions,
    evolution,
    first_step,
    fit,
    generated,
    noise,
    rubbish,
    shortcut,
    stability,
    train,
)

__all__ = ["STUDIES", "spec_of"]
