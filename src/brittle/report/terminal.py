"""A summary for the terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from brittle.measure import MEASURES, Summary
from brittle.report.words import count_text, interval_text, value_text

SHOWN = ("fooling_rate", "robust_accuracy", "fooling_rate_8bit", "median_distance", "confidence", "seconds")


def summary_table(summary: Summary) -> RenderableType:
    """Headline, a row of the main measures for each attack, and flags. Text from outside is never read as markup."""
    table = Table(title_justify="left", header_style="bold", pad_edge=False)
    table.add_column("attack", overflow="fold")
    for key in SHOWN:
        table.add_column(MEASURES[key].name.lower(), justify="right")
    for attack in summary.attacks:
        cells = []
        for key in SHOWN:
            measured, unit = attack.measures[key], MEASURES[key].unit
            cell = Text(value_text(measured.value, unit, attack.distance_norm))
            if unit == "distance" and measured.value is not None:
                cell.append(f" {attack.distance_norm}")
            if under := interval_text(measured, unit, attack.distance_norm):
                cell.append(f"\n{under}", style="dim")
            cells.append(cell)
        table.add_row(Text(attack.label), *cells)
    accuracy = summary.overall["clean_accuracy"]
    parts: list[RenderableType] = [Text(" ".join(summary.headline), style="bold"), Text()]
    if accuracy.value is not None:
        under = f"{count_text(accuracy)}; 95 % interval {interval_text(accuracy, 'fraction')}"
        parts.append(Text(f"clean accuracy {value_text(accuracy.value, 'fraction')} ({under})"))
    if len(summary.attacks) > 1:
        robust = summary.overall["robust_accuracy"]
        parts.append(Text(f"robust accuracy under all attacks {value_text(robust.value, 'fraction')}"))
    parts += [table, *(Text.assemble((flag.code, "yellow"), ": ", flag.message) for flag in summary.flags)]
    return Group(*parts)
