"""A result in one line."""

from brittle.craft.crafted import Crafted


def line_of(crafted: Crafted, *, by: bool = False) -> str:
    """From what to what, at which confidence, how visible; by: and by which attack."""
    name, likely = crafted.before[0]
    now, sure = crafted.after[0]
    seen = crafted.visibility
    wish = "" if crafted.target_name in (None, now) else f", not {crafted.target_name}"
    short = "" if crafted.reached else f"; short of the {crafted.wanted:.1%} asked for"
    return (
        f"{crafted.photo}: {name} ({likely:.1%}) -> {now} ({sure:.1%}{wish}{short}), CIEDE2000 mean"
        f" {seen.colour_mean:.2f}, 99th percentile {seen.colour_p99:.2f}, SSIM {seen.ssim:.4f}"
        + (f"; by {crafted.attack}" if by else "")
    )
