"""``brittle doctor``: whether this machine has what brittle needs. torch is imported inside it."""

import typer

from brittle.cli.app import app


@app.command()
def doctor() -> None:
    """Versions, threads, devices, extras and folders: what is here, and what to do about what is not."""
    from brittle.cli.examined import BAD, examined, print_examined

    found = list(examined())
    print_examined(found)
    if any(one.state == BAD for one in found):
        raise typer.Exit(1)
