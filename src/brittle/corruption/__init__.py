"""Images as nature, cameras and files make them: what no adversary has chosen."""

from brittle.corruption import blur, colour, digital, noise, style, weather  # for their registrations
from brittle.corruption.registry import CORRUPTIONS, SEVERITIES, Corruption, corruption_named

_ = blur, colour, digital, noise, style, weather

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corruption", "corruption_named"]
