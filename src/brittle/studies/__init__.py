"""What one unit of work is, for each kind of study."""

from brittle.studies import activation, audit, boundary, craft, fit, noise, train  # for their registrations
from brittle.studies.registry import STUDIES, spec_of

_ = activation, audit, boundary, craft, fit, noise, train

__all__ = ["STUDIES", "spec_of"]
