"""`fedelta key`: operators' API keys."""

import argparse

from federated.cli import connection, table
from wire.command import Command
from wire.operator import OperatorClient


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    for name, action, summary, takes in (
        ("list", _list, "the API keys that there are", ()),
        ("create", _create, "make another API key and print it", ("name",)),
        ("rename", _rename, "give an API key another name", ("key_id", "name")),
        ("revoke", _revoke, "end an API key", ("key_id",)),
    ):
        parser_of_action = actions.add_parser(name, help=summary, description=summary)
        connection.add_arguments(parser_of_action)
        for argument in takes:
            parser_of_action.add_argument(argument)
        parser_of_action.set_defaults(action=action)


def _run(arguments: argparse.Namespace, client: OperatorClient) -> int:
    arguments.action(arguments, client)
    return 0


def _list(_: argparse.Namespace, client: OperatorClient) -> None:
    rows = [
        [key.key_id, key.name, table.moment(key.created_at), _standing(key.revoked_at)] for key in client.api_keys()
    ]
    print(table.aligned(["key", "name", "made", "state"], rows))


def _standing(revoked_at: float | None) -> str:
    return "good" if revoked_at is None else f"revoked {table.moment(revoked_at)}"


def _create(arguments: argparse.Namespace, client: OperatorClient) -> None:
    print(client.make_api_key(arguments.name).api_key)


def _rename(arguments: argparse.Namespace, client: OperatorClient) -> None:
    print(client.rename_api_key(arguments.key_id, arguments.name).name)


def _revoke(arguments: argparse.Namespace, client: OperatorClient) -> None:
    print(f"{client.revoke_api_key(arguments.key_id).name}: revoked")


COMMAND = Command("key", "list, make, rename and revoke API keys", _add_arguments, connection.connected(_run))
