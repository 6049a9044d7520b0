"""`fedelta`: finds the sub-commands that the installed packages bring, and runs one."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points, version

from wire.command import ENTRY_POINTS, Command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and give the process's exit status: 0 fine, 1 refused or failed, 2 wrong usage."""
    known = commands()
    parser = argparse.ArgumentParser(prog="fedelta", description="Federated learning on real devices.")
    parser.add_argument("--version", action="version", version=f"fedelta {version('fedelta')}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in known:
        subparser = subparsers.add_parser(command.name, help=command.summary, description=command.summary)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    chosen = parser.parse_args(_joined(sys.argv[1:] if arguments is None else arguments, known))
    try:
        return int(chosen.run(chosen))
    except KeyboardInterrupt:
        return 130


def commands() -> list[Command]:
    """Every sub-command that is installed, by name."""
    return [entry.load() for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)]


def _joined(arguments: Sequence[str], known: Sequence[Command]) -> list[str]:
    """The arguments with a command of two words as one, since `export inspect` stands beside `export MODEL.keras`."""
    first_two = " ".join(arguments[:2])
    return [first_two, *arguments[2:]] if first_two in {command.name for command in known} else list(arguments)
