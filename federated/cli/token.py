"""`fedelta token`: secrets with which devices enrol."""

import argparse
import sys

from federated.cli import connection
from wire.command import Command
from wire.operator import OperatorClient
from wire.operator_messages import EnrolmentTokenRequest


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    create = parser.add_subparsers(metavar="ACTION", required=True).add_parser(
        "create", help="make an enrolment token and print it"
    )
    connection.add_arguments(create)
    create.add_argument("--population", default="default", help="whom the devices join (default: %(default)s)")
    create.add_argument("--uses", type=int, default=1, help="how many devices may use it (default: %(default)s)")
    create.add_argument("--days", type=float, default=7.0, help="how long it is good (default: %(default)s)")


def _create(arguments: argparse.Namespace, client: OperatorClient) -> int:
    try:
        request = EnrolmentTokenRequest(arguments.population, arguments.uses, arguments.days * 24 * 3600)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(client.mint_token(request).token)
    return 0


COMMAND = Command("token", "make enrolment tokens", _add_arguments, connection.connected(_create))
