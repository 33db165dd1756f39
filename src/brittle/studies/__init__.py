"""What one unit of work is, for each kind of study."""

from brittle.studies import audit, certify, corruption, craft, fit, noise, stability, train  # for their registrations
from brittle.studies.registry import STUDIES, spec_of

_ = audit, certify, corruption, craft, fit, noise, stability, train

__all__ = ["STUDIES", "spec_of"]
