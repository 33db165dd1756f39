"""From what a command raises to one line on stderr and an exit code."""

import difflib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from brittle.errors import BrittleError

_INTERRUPTED = 130
_RESUMABLE = ("audit", "check", "demo", "craft", "fit", "train", "run", "study")


def run(app: typer.Typer) -> int:
    """Runs what the command line says: 0, 2 for a user's mistake, told in one line, 130 for Ctrl-C, or a gate's."""
    with _quiet_libraries():
        return _run(app)


def _run(app: typer.Typer) -> int:
    known = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    known += [group.name for group in app.registered_groups if group.name]
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-") and sys.argv[1] not in known:
        near = difflib.get_close_matches(sys.argv[1], known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        return _failed(f"unknown command {sys.argv[1]!r}; {hint} (see: brittle --help)")
    try:
        code = app(prog_name="brittle", standalone_mode=False)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    except Exception as error:
        if isinstance(error, BrittleError):
            return _failed(str(error))
        # By name: typer has click's classes either from click or as a copy of its own.
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if "ClickException" in kinds:
            return _failed(_usage(error))
        if "Abort" not in kinds:
            raise
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        resumable = bool(sys.argv[1:]) and sys.argv[1] in _RESUMABLE
        kept = "; what is finished is kept, and the same command resumes" if resumable else ""
        typer.echo(f"brittle: stopped{kept}", err=True)
    return code if isinstance(code, int) else 0


def _usage(error: Any) -> str:
    """What typer says, with the nearest option where there is none of that name, and where to read on."""
    context = getattr(error, "ctx", None)
    if context is None:
        return f"{error.format_message()} (see: brittle --help)"
    message = error.format_message()
    if type(error).__name__ == "NoSuchOption":
        options = [one for parameter in context.command.get_params(context) for one in parameter.opts if one[:1] == "-"]
        near = difflib.get_close_matches(error.option_name, options, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(options)}"
        message = f"no such option: {error.option_name}; {hint}"
    return f"{message} (see: {context.command_path} --help)"


def _failed(message: str) -> int:
    typer.echo(f"brittle: {' '.join(message.split())}", err=True)
    return 2


@contextmanager
def _quiet_libraries() -> Iterator[None]:
    """What libraries remark on files, versions and downloads is kept off the terminal; errors say it in one line."""
    for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    before = logging.root.manager.disable
    with warnings.catch_warnings():
        if not sys.warnoptions:  # with python -W they are wanted
            warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)
