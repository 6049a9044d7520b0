"""`fedelta`: finds the sub-commands that the installed packages bring, and runs one."""

import argparse
from importlib.metadata import entry_points, version

from wire.command import ENTRY_POINTS, Command


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and give the process's exit status: 0 fine, 1 refused or failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="fedelta", description="Federated learning on real devices.")
    parser.add_argument("--version", action="version", version=f"fedelta {version('fedelta')}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in commands():
        subparser = subparsers.add_parser(command.name, help=command.summary, description=command.summary)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    chosen = parser.parse_args(arguments)
    try:
        return int(chosen.run(chosen))
    except KeyboardInterrupt:
        return 130


def commands() -> list[Command]:
    """Every sub-command that is installed, by name."""
    return [entry.load() for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name)]
