"""`fedelta token`: secrets with which devices enrol."""

import argparse
import sys
from itertools import islice

from federated.cli import connection, table
from wire.command import Command
from wire.operator import OperatorClient
from wire.operator_messages import EnrolmentTokenRequest


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make an enrolment token and print it")
    connection.add_arguments(create)
    create.add_argument("--population", default="default", help="whom the devices join (default: %(default)s)")
    create.add_argument("--uses", type=int, default=1, help="how many devices may use it (default: %(default)s)")
    create.add_argument("--days", type=float, default=7.0, help="how long it is good (default: %(default)s)")
    create.set_defaults(action=_create)
    listing = actions.add_parser("list", help="the newest enrolment tokens")
    connection.add_arguments(listing)
    listing.add_argument("--population", help="only of this population")
    listing.add_argument("--most", type=int, default=100, help="at most so many (default: %(default)s)")
    listing.set_defaults(action=_list)
    revoke = actions.add_parser("revoke", help="end an enrolment token")
    connection.add_arguments(revoke)
    revoke.add_argument("token_id", help="the token's id, as `list` shows it")
    revoke.set_defaults(action=_revoke)


def _run(arguments: argparse.Namespace, client: OperatorClient) -> int:
    return int(arguments.action(arguments, client))


def _create(arguments: argparse.Namespace, client: OperatorClient) -> int:
    try:
        request = EnrolmentTokenRequest(arguments.population, arguments.uses, arguments.days * 24 * 3600)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(client.mint_token(request).token)
    return 0


def _list(arguments: argparse.Namespace, client: OperatorClient) -> int:
    rows = [
        [
            token.token_id,
            token.population,
            f"{token.uses_left}/{token.uses}",
            table.moment(token.expires_at),
            "" if token.revoked_at is None else "revoked",
        ]
        for token in islice(client.tokens(population=arguments.population), arguments.most)
    ]
    print(table.aligned(["token", "population", "uses left", "expires", "state"], rows))
    return 0


def _revoke(arguments: argparse.Namespace, client: OperatorClient) -> int:
    print(f"{client.revoke_token(arguments.token_id).token_id}: revoked")
    return 0


COMMAND = Command("token", "make, list and revoke enrolment tokens", _add_arguments, connection.connected(_run))
