"""Confidences and changes as people read them, for the comparison and the page."""

from brittle.numbers import percent


def sure(confidence: float, asked: float) -> str:
    """A confidence; one that falls short has the digits that tell it from the one asked for."""
    if confidence >= asked:
        return percent(confidence)
    digits = next((digits for digits in range(1, 7) if round(100 * confidence, digits) < 100 * asked), None)
    if digits is None:
        return f"< {wanted(asked)}"
    return percent(confidence) if digits == 1 else f"{100 * confidence:.{digits}f} %"


def wanted(fraction: float) -> str:
    """A confidence that someone asked for, with no digit more than they gave: ``0.99`` -> ``"99 %"``."""
    return f"{100 * fraction:.6g} %"


def colour(difference: float) -> str:
    """A CIEDE2000: two digits after the point are more than anyone sees. ``0.004`` -> ``"< 0.01"``."""
    return "< 0.01" if 0 < difference < 0.005 else f"{difference:.2f}"


def similarity(ssim: float) -> str:
    """An SSIM; "1" is said of equal pictures only."""
    return "1" if ssim == 1 else "> 0.9999" if ssim >= 0.99995 else f"{ssim:.4f}"
