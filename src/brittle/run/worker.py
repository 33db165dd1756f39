"""A worker process: it gets a study once, then unit after unit, and ends with its parent."""

import sys
from contextlib import suppress
from multiprocessing.connection import Connection

import cloudpickle
import torch

from brittle.run.workers import made


def serve(connection: Connection) -> None:
    """Does what is sent, until the other end of the pipe closes, as it does when the parent dies."""
    study, manifest, files, threads = cloudpickle.loads(connection.recv_bytes())
    torch.set_num_threads(threads)
    while True:
        unit = cloudpickle.loads(connection.recv_bytes())
        answer: object
        try:
            answer = made(study, manifest, unit, files)
        except Exception as error:  # told to the parent, which raises it as its own
            answer = error
        connection.send_bytes(cloudpickle.dumps(answer))


if __name__ == "__main__":
    with suppress(EOFError, OSError, KeyboardInterrupt):
        serve(Connection(int(sys.argv[1])))
