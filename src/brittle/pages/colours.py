"""Colours of curves: as many as are needed, no two alike, in light and in dark."""

HAND_PICKED = 8  # in base.css
DASHES = ([1, 0], [7, 4], [2, 3], [10, 3, 2, 3])


def colours(count: int) -> tuple[list[str], str]:
    """A colour for each curve, as CSS has it, and the style that defines those that base.css does not."""
    names = [f"var(--c{number + 1})" for number in range(count)]
    if count <= HAND_PICKED:
        return names, ""
    # Around the circle of hues, in two tones that base.css has for light and dark.
    each = (f"--c{one + 1}: oklch(var(--tone-{one % 2}) 0.15 {360 * one / count:.1f});" for one in range(count))
    return names, f":root {{ {' '.join(each)} }}"


def dash(number: int, count: int) -> list[int]:
    """How the line of a curve is broken: neighbours in hue differ in that, too."""
    return DASHES[0] if count <= HAND_PICKED else DASHES[number % len(DASHES)]
