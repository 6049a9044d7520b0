"""`fedelta device`: the devices of a fleet, as an operator sees them."""

import argparse
import json
from itertools import islice

from federated.cli import connection, table
from wire import codec
from wire.command import Command
from wire.operator import OperatorClient


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the newest devices")
    connection.add_arguments(listing)
    listing.add_argument("--population", help="only of this population")
    listing.add_argument("--state", choices=("active", "revoked"), help="only those")
    listing.add_argument("--most", type=int, default=100, help="at most so many (default: %(default)s)")
    listing.set_defaults(action=_list)
    for name, action, summary in (("show", _show, "one device"), ("revoke", _revoke, "shut a device out for good")):
        parser_of_action = actions.add_parser(name, help=summary, description=summary)
        connection.add_arguments(parser_of_action)
        parser_of_action.add_argument("device_id", help="the device's id")
        parser_of_action.set_defaults(action=action)


def _run(arguments: argparse.Namespace, client: OperatorClient) -> int:
    arguments.action(arguments, client)
    return 0


def _list(arguments: argparse.Namespace, client: OperatorClient) -> None:
    found = client.devices(population=arguments.population, state=arguments.state)
    rows = [
        [
            device.device_id,
            device.population,
            "never" if device.last_seen_at is None else table.moment(device.last_seen_at),
            device.interpreter,
            "active" if device.revoked_at is None else "revoked",
        ]
        for device in islice(found, arguments.most)
    ]
    print(table.aligned(["device", "population", "last seen", "runs", "state"], rows))


def _show(arguments: argparse.Namespace, client: OperatorClient) -> None:
    print(json.dumps(codec.to_json(client.device(arguments.device_id)), indent=2))


def _revoke(arguments: argparse.Namespace, client: OperatorClient) -> None:
    print(f"{client.revoke_device(arguments.device_id).device_id}: revoked")


COMMAND = Command("device", "list, show and revoke devices", _add_arguments, connection.connected(_run))
