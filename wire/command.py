"""What a package gives the `fedelta` command: one record a sub-command.

A package names its records in the entry-point group `fedelta.commands`; `federated.cli.main` finds them there, so
that a sub-command is installed with the package that brings it and costs nothing until it is called.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

ENTRY_POINTS = "fedelta.commands"


@dataclass(frozen=True)
class Command:
    """A sub-command of `fedelta`.

    Attributes:
        add_arguments: declares the command's arguments on its own parser.
        run: does the work and returns the process's exit status.
    """

    name: str
    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
