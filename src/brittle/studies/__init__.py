"""What one unit of work is, for each kind of study."""

from brittle.studies import audit, corruption, craft, fit, generated, noise, train  # for their registrations
from brittle.studies.registry import STUDIES, spec_of

_ = audit, corruption, craft, fit, generated, noise, train

__all__ = ["STUDIES", "spec_of"]
