"""The command `fedelta-device`: arguments in, a command called, an exit status out."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from device_sdk import commands, state_dir
from device_sdk.errors import DeviceError
from device_sdk.state_dir import StateDir

EPILOG = """\
exit status: 0 fine; 1 refused or failed, with the reason on standard error; 2 wrong usage.
The state directory is --state-dir, or $FEDELTA_DEVICE_STATE, or ~/.fedelta-device; one process works in it at a time.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `fedelta-device`; gives the exit status."""
    parsed = parser().parse_args(arguments)
    os.umask(0o077)  # the key and the examples are nobody else's to read
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        return int(parsed.command(state_dir.locate(parsed.state_dir, os.environ), parsed))
    except (DeviceError, OSError) as error:
        print(f"fedelta-device: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("fedelta-device: stopped", file=sys.stderr)
    return 1


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    top = argparse.ArgumentParser(
        prog="fedelta-device",
        description="Federated learning on this device: sends updates, never examples.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--state-dir", metavar="DIR", help="where the device keeps its key, its examples and its work")
    verbs = top.add_subparsers(required=True, metavar="COMMAND")
    enrol = _add(verbs, "enrol", "join an orchestrator with a one-time token", commands.enrol, shared)
    enrol.add_argument("--url", required=True, help="the orchestrator, as https://HOST:PORT")
    enrol.add_argument("--token", required=True, type=_token, help="from `fedelta token`")
    enrol.add_argument(
        "--attribute", action="append", default=[], type=_attribute, metavar="NAME=VALUE", help="said at each check-in"
    )
    _add(verbs, "run", "work until SIGINT or SIGTERM", commands.run, shared)
    _add(verbs, "once", "check in once, and do the work if there is any", commands.once, shared)
    model = _add(verbs, "model", "write the model that was released for this population", commands.save_model, shared)
    model.add_argument("--out", required=True, metavar="FILE", help="a model file, for plans.inference.Model")
    model.add_argument("--label", default="released", help="which one (default: %(default)s)")
    show = _add(verbs, "status", "say who this device is and what it holds", commands.show_status, shared)
    show.add_argument("--json", action="store_true", help="for a program")
    _add(verbs, "forget", "forget what is kept between rounds: personal models, residuals", commands.forget, shared)
    data = verbs.add_parser("data", help="the local examples").add_subparsers(required=True, metavar="COMMAND")
    load = _add(data, "import", "add the examples of an .npz file", commands.import_data, shared)
    load.add_argument("file", metavar="FILE.npz", help="arrays; the first axis of each is the example")
    load.add_argument("--collection", required=True, metavar="NAME", help="where they go; made if new")
    load.add_argument("--client", type=int, metavar="N", help="only the rows whose entry in the array `client` is N")
    _add(data, "list", "list the collections", commands.list_data, shared)
    return top


def _add(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    command: Callable[[StateDir, argparse.Namespace], int],
    shared: argparse.ArgumentParser,
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=summary, description=summary, parents=[shared])
    verb.set_defaults(command=command)
    return verb


def _attribute(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator or not text.isprintable():
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE of printable characters, found {text!r}")
    return name, value


def _token(text: str) -> str:
    if not (text.strip().isascii() and text.strip().isprintable()):
        raise argparse.ArgumentTypeError("a token begins with fde_ and has letters and digits only; copy it anew")
    return text.strip()
