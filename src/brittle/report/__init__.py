"""From a run directory to one HTML file, a table in the terminal, and files for others. Computes no measure."""

from brittle.report.page import write_report
from brittle.report.terminal import summary_table

__all__ = ["summary_table", "write_report"]
