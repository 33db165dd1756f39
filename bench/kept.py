"""Writes what rows have found into a document that holds what others found before: ``docs/bench.md``."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.report import Section, goals_of

HEAD = re.compile(r"^## (.+)$", re.MULTILINE)
LAST = "Figures behind defaults"
"""The section that no row measures, and that others are put before."""


def keep(path: Path, machine: Mapping[str, str], sections: Sequence[Section]) -> None:
    """The sections that were measured, each with its rows of the table of goals, in the place of their older selves."""
    path.write_text(kept(path.read_text(encoding="utf-8"), machine, sections), encoding="utf-8")


def kept(text: str, machine: Mapping[str, str], sections: Sequence[Section]) -> str:
    """``text`` with them; a section that is new in it comes before the last one."""
    head, *parts = HEAD.split(text)
    bodies = dict(zip(parts[::2], parts[1::2], strict=True))
    last = bodies.pop(LAST, "")
    rows = _rows(head)
    for section in sections:
        if not section.tables:
            continue  # it was skipped
        rows[section.title] = goals_of([section]).splitlines()[2:]
        body = section.markdown().partition("\n")[2]
        bodies[section.title] = f"{body}\n\n{_measured(machine)}\n\n"
    before, table = head.split("\n| row |", 1)
    rule = "\n".join(("| row |" + table).splitlines()[:2])
    goals = "\n".join([rule, *(line for lines in rows.values() for line in lines)])
    written = [f"## {title}{body}" for title, body in bodies.items()]
    return f"{before}\n{goals}\n\n" + "".join(written) + f"## {LAST}{last}"


def _rows(head: str) -> dict[str, list[str]]:
    """The lines of the table of goals by the row of the bench that they are of."""
    found: dict[str, list[str]] = {}
    for line in head.splitlines():
        if line.startswith("| ") and not line.startswith(("| row |", "| --- |")):
            found.setdefault(line[2:].partition(" | ")[0], []).append(line)
    return found


def _measured(machine: Mapping[str, str]) -> str:
    return (
        f"Measured {machine['date'][:10]}: {machine['processor']}, {machine['cores']} cores, load before the start"
        f" {machine['load before the start']}, torch {machine['torch']}."
    )
