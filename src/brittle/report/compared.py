"""The page of a comparison of audits."""

from collections.abc import Sequence
from pathlib import Path

from brittle.measure import Side, Told, summaries
from brittle.records import FlagRecord
from brittle.report.page import write_page
from brittle.report.plain import plain_page


def write_compared(target: Path, sides: Sequence[Side], told: Sequence[Told]) -> Path:
    """Write one HTML file. told: what ``comparison`` says of the first of the sides and each of the others."""
    names = ", ".join(side.name for side in sides)
    flags = [
        FlagRecord(code=flag.code, message=f"{side.name}: {flag.message}")
        for side in sides
        for summary in summaries(side.manifest, side.records)
        for flag in summary.flags
    ]
    facts = [
        (f"{what} of {side.name}", text)
        for side in sides
        for what, text in (
            ("Command", side.manifest.command),
            ("Fingerprint", ", ".join(model.fingerprint for model in side.manifest.models)),
            ("Created", side.manifest.created),
        )
        if text
    ]
    html = plain_page(
        f"Compared: {names}",
        list(dict.fromkeys(sentence for one in told for sentence in one.sentences)),
        about=(names, ", ".join(dict.fromkeys(side.manifest.data for side in sides))),
        tables=[(one.heads, one.rows) for one in told],
        facts=facts,
        flags=flags,
    )
    return write_page(target, html)
