"""Runs notebooks as a kernel would, one after another in this process: cells in order, what they end with shown.

``python notebooks.py``, with [[file, {parameter: value}], ...] as JSON on stdin.
"""

import ast
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def cells_of(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def run(path: Path, parameters: Mapping[str, Any]) -> int:
    """How many results have shown themselves as HTML. parameters: instead of those of the cell with that tag."""
    scope: dict[str, Any] = {"__name__": "__main__"}
    shown = 0
    for number, cell in enumerate(cells_of(path)):
        tags = cell["metadata"].get("tags", [])
        if cell["cell_type"] != "code" or "skip-execution" in tags:
            continue
        tree = ast.parse("".join(cell["source"]))
        *_, last = tree.body
        if isinstance(last, ast.Expr):
            tree.body[-1] = ast.copy_location(ast.Assign([ast.Name("_", ast.Store())], last.value), last)
        code = compile(ast.fix_missing_locations(tree), f"{path.name}, cell {number}", "exec")
        scope["_"] = None
        exec(code, scope)
        if "parameters" in tags:
            assert set(parameters) <= set(scope), f"{path.name} has no such parameters: {set(parameters) - set(scope)}"
            scope |= parameters
        if hasattr(scope["_"], "_repr_html_"):
            assert scope["_"]._repr_html_(), f"cell {number} of {path.name} shows nothing"
            shown += 1
    return shown


if __name__ == "__main__":
    for name, given in json.load(sys.stdin):
        sys.stderr.write(f"{name} {run(Path(name), given)}\n")
