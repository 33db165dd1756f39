"""Derived files for people, which can be deleted and made again."""

import os
import tempfile
from pathlib import Path

from brittle.places import is_remote


def replace_file(target: Path, content: bytes) -> None:
    """Writes a file that anybody may read, whole."""
    if is_remote(target):
        target.write_bytes(content)
        return
    handle, name = tempfile.mkstemp(prefix=".report-", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o644)  # mkstemp makes it private, and a report is for showing around
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
