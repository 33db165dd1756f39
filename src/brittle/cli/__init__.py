"""The command line: thin. torch is imported inside the sub-commands only, so that help is instant."""

import os
import sys

import brittle.cli.check
import brittle.cli.explain
import brittle.cli.looking
import brittle.cli.machine
import brittle.cli.study
import brittle.cli.training
import brittle.cli.trust
import brittle.cli.view  # noqa: F401 - and this
from brittle.cli.app import app
from brittle.cli.ending import run

_SPINS = 20_000
"""Times that a thread of torch looks whether there is work, before it sleeps: a millisecond. OpenMP's own 300,000 keep
a processor from those that work, which on a machine that others use too takes all of them twice as long."""


def main() -> None:
    """The entry point."""
    if "OMP_WAIT_POLICY" not in os.environ:  # else it has been thought of
        os.environ.setdefault("GOMP_SPINCOUNT", str(_SPINS))
    sys.exit(run(app))
