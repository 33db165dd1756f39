"""Tables of a run in LaTeX. Numbers read as they do on the page."""

from collections.abc import Iterator, Sequence

from brittle.measure import MEASURES, Measured, Sized, Summary, TransferCell, TransferMatrix
from brittle.measure.told import Cell
from brittle.pages.words import norm_text, value_text
from brittle.report.transfer import title_of
from brittle.report.worded import interval_text
from brittle.text import plain

SHOWN = ("fooling_rate", "fooling_rate_8bit", "robust_accuracy", "median_distance")
_ESCAPED = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "\u221e": r"$\infty$",
    "\u2013": "--",
    "-": r"{-}",  # two of them are a dash
    "[": "{[}",  # which after a row's end is an option
    "`": r"\textasciigrave{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def latex_table(summaries: Sequence[Summary]) -> str:
    """A ``tabular`` with the rules of booktabs: a row for each attack, its 95 % intervals in brackets.

    A group of rows for each model and goal; its first row is clean accuracy, its second all attacks together, where
    there are several.
    """
    heads = ["Attack", *(MEASURES[key].name for key in SHOWN)]
    lines = []
    for summary in summaries:
        lines.append("\\midrule")
        if len(summaries) > 1:
            name = escaped(f"{summary.model}, {summary.goal}")
            lines.append(f"\\multicolumn{{{len(heads)}}}{{l}}{{{name}}} \\\\")
        lines += _rows(summary)
    return _tabular(heads, lines)


def latex_matrix(matrix: TransferMatrix) -> str:
    """A ``tabular`` of what was made for one model (rows) on others (columns); noise of the same size in brackets."""
    lines = ["\\midrule"]
    for source in matrix.models:
        if source not in matrix.unable:
            cells = [matrix.cell(source, target) for target in matrix.models]
            lines.append(_line([escaped(source), *map(_transferred, cells)], done=True))
    return _tabular(["made for", *matrix.models], lines, title_of(matrix))


def _transferred(cell: TransferCell | None) -> str:
    if cell is None:
        return ""
    texts = (value_text(one.value, "fraction") for one in (cell.fooled, cell.noise))
    return escaped("{} ({})".format(*texts))


def latex_of(heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Any table as a ``tabular`` with the rules of booktabs."""
    return _tabular(heads, ["\\midrule", *(_line([_text(cell) for cell in row], done=True) for row in rows)])


def _tabular(heads: Sequence[str], lines: Sequence[str], title: str = "") -> str:
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            *([f"% {escaped(title)}"] if title else []),
            f"\\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            "\\toprule",
            _line(heads),
            *lines,
            "\\bottomrule",
            "\\end{tabular}",
            "",
        ]
    )


def _text(cell: Cell) -> str:
    if isinstance(cell, Measured):
        return _cell(cell, "fraction")
    if isinstance(cell, Sized):
        return _cell(cell.measured, cell.unit, cell.norm)
    return escaped(plain(cell) if isinstance(cell, (int, float)) else cell)


def escaped(text: str) -> str:
    """Text as LaTeX prints it; what is no printable character is a space."""
    return "".join(_ESCAPED.get(letter, letter if letter.isprintable() else " ") for letter in text)


def _rows(summary: Summary) -> Iterator[str]:
    clean = summary.overall["clean_accuracy"]
    if clean.value is not None:
        yield _line([MEASURES["clean_accuracy"].name, "", "", _cell(clean, "fraction"), ""], done=True)
    if len(summary.attacks) > 1:
        cells = [_cell(summary.overall[key], MEASURES[key].unit) if key in summary.overall else "" for key in SHOWN]
        yield _line(["all attacks", *cells], done=True)
    for attack in summary.attacks:
        cells = [_cell(attack.measures[key], MEASURES[key].unit, attack.distance_norm) for key in SHOWN]
        yield _line([escaped(attack.label), *cells], done=True)


def _line(cells: Sequence[str], *, done: bool = False) -> str:
    return " & ".join(cells if done else map(escaped, cells)) + " \\\\"


def _cell(measured: Measured, unit: str, norm: str = "l2") -> str:
    text = value_text(measured.value, unit, norm)
    if unit == "distance" and measured.value is not None:
        text += f" {norm_text(norm)}"
    interval = interval_text(measured, unit, norm)
    return escaped(f"{text} ({interval})" if interval else text)
