"""`fedelta checkpoint`: the model registry."""

import argparse
import hashlib
from pathlib import Path

from federated.cli import connection, table
from wire.command import Command
from wire.errors import OperatorError
from wire.operator import OperatorClient


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for name, action, summary, numbers in (
        ("list", _list, "a task's checkpoints", ()),
        ("label", _label, "put a label on a checkpoint", ("round_number", "label")),
        ("unlabel", _unlabel, "take a label off a checkpoint", ("round_number", "label")),
        ("compare", _compare, "two checkpoints beside each other", ("round_number", "other")),
        ("rollback", _rollback, "let a task go on from an earlier checkpoint", ("round_number",)),
        ("get", _get, "write a checkpoint to a file", ("round_number",)),
    ):
        parser_of_action = actions.add_parser(name, help=summary, description=summary)
        connection.add_arguments(parser_of_action)
        parser_of_action.add_argument("task_id", help="the task's id")
        for number in numbers:
            parser_of_action.add_argument(number, type=str if number == "label" else int)
        if name == "get":
            parser_of_action.add_argument("--out", type=Path, required=True, help="where to write it")
            parser_of_action.add_argument(
                "--as",
                dest="form",
                choices=("safetensors", "model"),
                default="safetensors",
                help="(default: %(default)s)",
            )
        parser_of_action.set_defaults(action=action)


def _run(arguments: argparse.Namespace, client: OperatorClient) -> int:
    return int(arguments.action(arguments, client))


def _list(arguments: argparse.Namespace, client: OperatorClient) -> int:
    rows = [
        [
            str(one.round_number),
            table.moment(one.created_at),
            one.sha256,
            "" if one.from_round is None else f"{one.from_task_id} {one.from_round}",
            ", ".join(one.labels),
        ]
        for one in client.checkpoints(arguments.task_id)
    ]
    print(table.aligned(["round", "made", "sha256", "from", "labels"], rows))
    return 0


def _label(arguments: argparse.Namespace, client: OperatorClient) -> int:
    print(", ".join(client.label(arguments.task_id, arguments.round_number, arguments.label).labels))
    return 0


def _unlabel(arguments: argparse.Namespace, client: OperatorClient) -> int:
    print(", ".join(client.unlabel(arguments.task_id, arguments.round_number, arguments.label).labels) or "no labels")
    return 0


def _compare(arguments: argparse.Namespace, client: OperatorClient) -> int:
    compared = client.compare(arguments.task_id, arguments.round_number, arguments.other)
    rows = [
        [
            one.name,
            *(f"{value:.6g}" for value in (one.norm, one.other_norm, one.difference_norm, one.largest_difference)),
        ]
        for one in compared.tensors
    ]
    print(table.aligned(["tensor", "norm", "other's", "of the difference", "largest element"], rows))
    names = sorted(compared.metrics.keys() | compared.other_metrics.keys())
    found = [
        [name, *(f"{of[name]:.4f}" if name in of else "–" for of in (compared.metrics, compared.other_metrics))]
        for name in names
    ]
    if found:
        print(table.aligned(["metric", str(compared.round_number), str(compared.other_round_number)], found))
    return 0


def _rollback(arguments: argparse.Namespace, client: OperatorClient) -> int:
    made = client.roll_back(arguments.task_id, arguments.round_number)
    print(f"checkpoint {made.round_number} has the state of checkpoint {made.from_round}")
    return 0


def _get(arguments: argparse.Namespace, client: OperatorClient) -> int:
    if arguments.form == "model":
        data = client.model(arguments.task_id, arguments.round_number)
    else:
        kept = {one.round_number: one for one in client.checkpoints(arguments.task_id)}
        if arguments.round_number not in kept:
            raise OperatorError(
                f"the task has no checkpoint {arguments.round_number}; it has {', '.join(map(str, kept))}"
            )
        data = client.resource(kept[arguments.round_number].sha256)
    arguments.out.write_bytes(data)
    print(f"{arguments.out}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    return 0


COMMAND = Command(
    "checkpoint", "list, label, compare, get and go back to checkpoints", _add_arguments, connection.connected(_run)
)
