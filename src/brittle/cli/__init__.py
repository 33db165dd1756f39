"""The command line: thin. torch is imported inside the sub-commands only, so that help is instant."""

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


def main() -> None:
    """The entry point."""
    sys.exit(run(app))
