"""From a run directory to one self-contained HTML file, and to a table in the terminal. Computes no measure."""

from brittle.report.page import write_report
from brittle.report.terminal import summary_table

__all__ = ["summary_table", "write_report"]
