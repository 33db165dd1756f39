"""Numbers as people read them, for the comparison and the page."""

import math


def percent(fraction: float) -> str:
    """``0.81`` -> ``"81.0 %"``. Only a true 0 or 1 reads "0 %" or "100 %": 0.9999 is "> 99.9 %"."""
    if fraction in (0.0, 1.0):
        return f"{100 * fraction:.0f} %"
    if fraction >= 0.9995:
        return "> 99.9 %"
    return "< 0.1 %" if fraction < 0.0005 else f"{100 * fraction:.1f} %"


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


def duration(seconds: float) -> str:
    """``0.0071`` -> ``"7.10 ms"``, ``3.217`` -> ``"3.22 s"``, ``600`` -> ``"10.0 min"``."""
    if seconds >= 120:
        return f"{_three_digits(seconds / 60)} min"
    return f"{_three_digits(seconds)} s" if seconds >= 1 else f"{_three_digits(1000 * seconds)} ms"


def _three_digits(value: float) -> str:
    if value <= 0:
        return "0"
    return f"{value:,.{max(2 - math.floor(math.log10(value)), 0)}f}" if value >= 0.01 else f"{value:.1g}"
