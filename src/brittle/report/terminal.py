"""A summary for the terminal."""

import textwrap

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from brittle.measure import MEASURES, Measured, Summary
from brittle.pages.words import norm_text, rate_text, value_text
from brittle.report.worded import interval_text

SHOWN = ("fooling_rate", "fooling_rate_8bit", "robust_accuracy", "median_distance", "seconds")


def summary_table(summary: Summary) -> RenderableType:
    """Headline, a row of the main measures for each attack, and flags. Text from outside is never read as markup."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Attack", overflow="fold")
    for key in SHOWN:
        table.add_column(Text(textwrap.fill(MEASURES[key].name, 12)), justify="right")
    for attack in summary.attacks:
        cells = [_cell(attack.measures[key], MEASURES[key].unit, attack.distance_norm) for key in SHOWN]
        # Rows have two lines anyway, and 80 columns have no room to spare.
        table.add_row(Text(attack.label.replace("(", "\n(", 1)), *cells)
    parts: list[RenderableType] = [Text(" ".join(summary.headline), style="bold"), Text()]
    accuracy, robust = summary.overall["clean_accuracy"], summary.overall["robust_accuracy"]
    if accuracy.value is not None:
        parts.append(_line("Clean accuracy", accuracy))
    if len(summary.attacks) > 1 and robust.value is not None:
        parts.append(_line("Robust accuracy under all attacks", robust))
    parts += [table, *(Text.assemble((flag.code, "yellow"), ": ", flag.message) for flag in summary.flags)]
    return Group(*parts)


def _line(name: str, rate: Measured) -> Text:
    value, bracket, rest = rate_text(rate.value, rate.low, rate.high, rate.count or 0, rate.of or 0).partition(" (")
    return Text.assemble(f"{name} {value}", (bracket + rest, "dim"))


def _cell(measured: Measured, unit: str, norm: str) -> Text:
    """The value, its norm where it is a distance, and its interval below; spaces hold the parts together."""
    text = value_text(measured.value, unit, norm)
    if unit == "distance" and measured.value is not None:
        text += f" {norm_text(norm)}"
    cell = Text(text.replace(" ", "\u00a0"))
    if under := interval_text(measured, unit, norm):
        for long, short in ((" %", ""), ("> ", ">"), ("< ", "<"), (" to ", "–")):
            under = under.replace(long, short)
        cell.append(f"\n{under}", style="dim")
    return cell
