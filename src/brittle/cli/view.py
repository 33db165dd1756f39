"""``brittle view``: the explorer, as a server of this machine. torch is imported inside it."""

from pathlib import Path
from typing import Annotated

import typer

from brittle.cli.app import app
from brittle.cli.arguments import at_least
from brittle.errors import BrittleError


@app.command()
def view(
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="folders with run directories")],
    port: Annotated[int, typer.Option(parser=at_least(0), metavar="N", help="0: one that is free")] = 8765,
    host: Annotated[
        str, typer.Option(metavar="NAME", help="address to listen on; any but this machine's own asks for a token")
    ] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", help="only print the address")] = False,
) -> None:
    """Runs in the browser: filter and compare examples, look at them closely, try an attack on one."""
    import socket
    import webbrowser

    from brittle.extras import needed

    needed("view", "brittle view shows runs in a browser")
    import uvicorn

    from brittle.view.app import LOOPBACK, application, fresh_token

    token = None if host in LOOPBACK else fresh_token()
    served = application(directories, hosts=LOOPBACK if token is None else None, token=token)
    try:
        listening = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise BrittleError(f"cannot listen on {host}:{port} ({error.strerror}); choose another --port") from None
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listening.getsockname()[1]}/{'' if token is None else f'?token={token}'}"
    typer.echo(f"{address}\nCtrl-C ends it")
    if not no_browser:
        webbrowser.open(address)
    uvicorn.Server(uvicorn.Config(served, log_level="warning")).run(sockets=[listening])
