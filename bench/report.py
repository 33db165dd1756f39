"""What a row of the bench found, as Markdown for people and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """One goal and what was measured."""

    what: str
    goal: str
    measured: str
    met: bool

    @property
    def verdict(self) -> str:
        return "met" if self.met else "short"


@dataclass(frozen=True, slots=True)
class Table:
    """Cells under headings; numbers come formatted."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        lines = [self.headings, tuple("---" for _ in self.headings), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@dataclass(frozen=True, slots=True)
class Section:
    """The outcome of one row. facts: the raw numbers, for the JSON."""

    title: str
    checks: tuple[Check, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def markdown(self) -> str:
        return "\n\n".join([f"## {self.title}", *(table.markdown() for table in self.tables), *self.notes])


def goals_of(sections: Sequence[Section]) -> str:
    """The table of goals."""
    rows = tuple((s.title, c.what, c.goal, c.measured, c.verdict) for s in sections for c in s.checks)
    return Table(("row", "what", "goal", "measured", "verdict"), rows).markdown()


def as_markdown(machine: Mapping[str, str], sections: Sequence[Section]) -> str:
    """The goals first, then how each was measured, then on what."""
    facts = Table(("machine", ""), tuple(machine.items()))
    skipped = [f"{s.title}: {note}" for s in sections if not s.tables for note in s.notes]
    measured = [s.markdown() for s in sections if s.tables]
    return "\n\n".join(["# Bench", goals_of(sections), *skipped, *measured, facts.markdown()]) + "\n"


def as_json(machine: Mapping[str, str], sections: Sequence[Section]) -> str:
    """Everything, with the raw numbers."""
    content = {"machine": dict(machine), "sections": [asdict(section) for section in sections]}
    return json.dumps(content, indent=2) + "\n"
