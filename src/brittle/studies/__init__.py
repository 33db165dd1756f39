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
    evolution,
    first_step,
    fit,
    generated,
    noise,
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
    evolution,
    first_step,
    fit,
    generated,
    noise,
    stability,
    train,
)

__all__ = ["STUDIES", "spec_of"]
