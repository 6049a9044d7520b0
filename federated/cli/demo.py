"""`fedelta demo`: a whole federation on this machine."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from federated.cli import table
from wire.command import Command
from wire.errors import OperatorError

if TYPE_CHECKING:
    from federated.demo import federation

_DEVICES, _MOST_DEVICES = 8, 32
_FEWEST_DEVICES = 2


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--devices",
        type=int,
        help=f"how many devices (default: {_DEVICES}; with --data one a client, at most {_MOST_DEVICES})",
    )
    parser.add_argument("--rounds", type=int, default=10, help="how many rounds (default: %(default)s)")
    parser.add_argument("--data", type=Path, metavar="FILE.npz", help="arrays x (images), y (labels) and client")
    parser.add_argument("--keep", action="store_true", help="leave the server running")
    parser.add_argument("--report", type=Path, metavar="FILE.json", help="write what came of it there")
    parser.add_argument("--seed", type=int, default=0, help="decides how the data is dealt (default: %(default)s)")


def _run(arguments: argparse.Namespace) -> int:
    from federated.demo import federation, shards
    from federated.demo.processes import DemoProcessError

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # however it ends, its processes end with it
    if arguments.rounds < 1 or (arguments.devices is not None and arguments.devices < _FEWEST_DEVICES):
        print(f"error: at least 1 round and {_FEWEST_DEVICES} devices (one trains, one evaluates)", file=sys.stderr)
        return 2
    try:
        if arguments.data is None:
            dealt = shards.bundled_digits(arguments.devices or _DEVICES, arguments.seed)
        else:
            dealt = shards.shards_of_file(arguments.data, arguments.devices, _MOST_DEVICES)
        federation.hold(
            dealt, arguments.rounds, arguments.keep, lambda outcome: _tell(outcome, arguments.report, arguments.keep)
        )
    except ModuleNotFoundError as error:
        print(f"fedelta demo needs {error.name}: pip install 'fedelta[all]'", file=sys.stderr)
        return 2
    except (shards.DemoDataError, DemoProcessError, OperatorError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _tell(outcome: "federation.Outcome", report: Path | None, keep: bool) -> None:
    rows = [
        [
            str(round_.round_number),
            f"{round_.reported}/{round_.assigned}",
            f"{round_.metrics['loss']:.4f}" if "loss" in round_.metrics else "–",
            f"{held_out['accuracy']:.4f}" if held_out else "–",
        ]
        for round_, held_out in outcome.rounds
    ]
    print(table.aligned(["round", "reports", "training loss", "held-out accuracy"], rows))
    print(f"\n{outcome.seconds:.1f} s. The accuracy is that on devices that took no part in training.")
    print(f"database    {outcome.database}")
    print(f"checkpoint  {outcome.checkpoint}")
    serve = f"fedelta serve --data-dir {outcome.database.parent}"
    if keep:
        print(f"API page    {outcome.server.url}/docs")
        print(f"API key     {outcome.server.api_key}")
        print(f"The server runs on; stop it with: kill {outcome.server.process.pid}", flush=True)
    else:
        print(f"API page    /docs, after: {serve}", flush=True)
    if report is not None:
        document = {
            "rounds": sum(round_.state == "completed" for round_, _ in outcome.rounds),
            "held_out_accuracy": outcome.held_out_accuracy,
            "seconds": outcome.seconds,
            "database": str(outcome.database),
            "checkpoint": str(outcome.checkpoint),
        }
        report.write_text(json.dumps(document, indent=2) + "\n")


COMMAND = Command("demo", "run a server and its devices on this machine", _add_arguments, _run)
