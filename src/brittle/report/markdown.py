"""An audit that was asked whether it will do, as the Markdown that a pipeline shows beside its steps."""

from collections.abc import Iterator, Sequence

from brittle.flags import FLAGS
from brittle.measure import MEASURES, Asked, Judgement, Summary
from brittle.pages.words import value_text
from brittle.report.worded import count_text, interval_text

_SHOWN = ("fooling_rate", "robust_accuracy", "median_distance", "forwards", "backwards")


def gate_markdown(title: str, summaries: Sequence[Summary], judgement: Judgement) -> str:
    """What was asked and what was measured, then what was found in words and by attack, then what to doubt."""
    lines = [f"### {_cell(title)}: {'passed' if judgement.passed else 'failed'}", ""]
    if judgement.asked:
        lines += _table("asked", "measured", "95 % interval", "of images", "", rows=map(_asked, judgement.asked))
    for summary in summaries:
        if len(summaries) > 1:
            lines += [f"#### {_cell(summary.model)}, {_cell(summary.goal)}", ""]
        lines += [*map(_cell, summary.headline), ""]
        lines += _table("attack", *(MEASURES[key].name for key in _SHOWN), rows=_attacks(summary))
    for code in judgement.doubts:
        said = FLAGS[code].sentence if code in FLAGS else "a doubt of another version"
        lines.append(f"- `{code}`: {_cell(said)}")
    return "\n".join(lines) + "\n"


def _asked(one: Asked) -> list[str]:
    unit = MEASURES[one.key].unit
    value = value_text(one.measured.value, unit)
    said = f"{MEASURES[one.key].name}{one.where} at least {value_text(one.least, unit)}"
    return [said, value, interval_text(one.measured, unit), count_text(one.measured), "met" if one.met else "**under**"]


def _attacks(summary: Summary) -> Iterator[list[str]]:
    for attack in summary.attacks:
        cells = ((attack.measures[key].value, MEASURES[key].unit) for key in _SHOWN)
        yield [f"`{attack.label}`", *(value_text(value, unit, attack.distance_norm) for value, unit in cells)]


def _table(*heads: str, rows: Iterator[list[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [*(f"| {' | '.join(map(_cell, line))} |" for line in lines), ""]


def _cell(text: str) -> str:
    """Text that a table takes as it is: a name may hold anything."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
