"""Numbers and counts as people read them: one value reads the same in the terminal, on a page and in a sentence."""

import math

NONE = "\u2013"
"""What stands for a number that does not exist."""


def percent(fraction: float) -> str:
    """``0.81`` -> ``"81.0 %"``. Only a true 0 or 1 reads "0 %" or "100 %": 0.9999 is "> 99.9 %"."""
    if math.isnan(fraction):
        return NONE
    if fraction in (0.0, 1.0):
        return f"{100 * fraction:.0f} %"
    if fraction >= 0.9995:
        return "> 99.9 %"
    return "< 0.1 %" if fraction < 0.0005 else f"{100 * fraction:.1f} %"


def sure(confidence: float, asked: float) -> str:
    """A confidence; one that falls short of what was asked for has the digits that tell the two apart."""
    if confidence >= asked:
        return percent(confidence)
    digits = next((digits for digits in range(1, 7) if round(100 * confidence, digits) < 100 * asked), None)
    if digits is None:
        return f"< {wanted(asked)}"
    return percent(confidence) if digits == 1 else f"{100 * confidence:.{digits}f} %"


def wanted(fraction: float) -> str:
    """A confidence that someone asked for, with no digit more than they gave: ``0.99`` -> ``"99 %"``."""
    return f"{100 * fraction:.6g} %"


def significant(value: float, digits: int = 3) -> str:
    """Three significant digits without exponents where that is readable: 0.0731, 12.3, 1,024, 2.1e-05."""
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.{digits - 1}e}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(places, 0)}f}" if abs(value) < 1000 else f"{value:,.0f}"


def plain(value: float) -> str:
    """A number of no unit: a whole one in full, others to three significant digits."""
    if not math.isfinite(value):
        return NONE
    return f"{value:,.0f}" if value == int(value) else significant(value)


def points(difference: float) -> str:
    """By how much one fraction is above another: ``0.05`` -> ``"+5.0 points"``; only a true 0 reads 0."""
    if difference == 0:
        return "0 points"
    if abs(difference) >= 0.0005:
        return f"{100 * difference:+.1f} points"
    return f"{'+' if difference > 0 else '-'}{significant(abs(100 * difference), 1)} points"


def size(value: float) -> str:
    """The size of a budget: in grey levels, ``"8/255"``, where it is a whole number of them and no short decimal."""
    levels = round(255 * value)
    if levels and abs(255 * value - levels) <= 1e-5 * levels and float(f"{value:.4g}") != value:
        return f"{levels}/255"
    return f"{value:,.6g}"


def duration(seconds: float) -> str:
    """``0.0071`` -> ``"7.10 ms"``, ``3.217`` -> ``"3.22 s"``, ``600`` -> ``"10.0 min"``."""
    if seconds >= 120:
        return f"{significant(seconds / 60)} min"
    return f"{significant(seconds)} s" if seconds >= 1 else f"{significant(seconds * 1000)} ms"


def colour(difference: float) -> str:
    """A CIEDE2000: two digits after the point are more than anyone sees. ``0.004`` -> ``"< 0.01"``."""
    return "< 0.01" if 0 < difference < 0.005 else f"{difference:.2f}"


def similarity(ssim: float) -> str:
    """An SSIM; "1" is said of equal pictures only."""
    return "1" if ssim == 1 else "> 0.9999" if ssim >= 0.99995 else f"{ssim:.4f}"


def counted(count: float, noun: str) -> str:
    """``"1 image"``, ``"1,024 images"``, ``"10 classes"``."""
    return f"{count:,.0f} {noun}" + ("" if count == 1 else "es" if noun.endswith("s") else "s")


def article(noun: str) -> str:
    """``"an attack"``, ``"a space"``."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def of(count: int, whole: int) -> str:
    """``"97 of 1,200"``."""
    return f"{count:,} of {whole:,}"
