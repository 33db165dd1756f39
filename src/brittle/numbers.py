"""Numbers as people read them, in every table, page and line."""

import math


def percent(fraction: float) -> str:
    """``0.81`` -> ``"81.0 %"``. Only a true 0 or 1 reads "0 %" or "100 %": 0.9999 is "> 99.9 %"."""
    if fraction in (0.0, 1.0):
        return f"{100 * fraction:.0f} %"
    if fraction >= 0.9995:
        return "> 99.9 %"
    return "< 0.1 %" if fraction < 0.0005 else f"{100 * fraction:.1f} %"


def significant(value: float, digits: int = 3) -> str:
    """Three significant digits without exponents where that is readable: 0.0731, 12.3, 1,024, 2.1e-05."""
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.{digits - 1}e}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(places, 0)}f}" if abs(value) < 1000 else f"{value:,.0f}"


def duration(seconds: float) -> str:
    """``0.0071`` -> ``"7.10 ms"``, ``3.217`` -> ``"3.22 s"``, ``600`` -> ``"10.0 min"``."""
    if seconds >= 120:
        return f"{significant(seconds / 60)} min"
    return f"{significant(seconds)} s" if seconds >= 1 else f"{significant(seconds * 1000)} ms"
