"""How the operator's commands reach their orchestrator."""

import argparse
import os
import sys
from collections.abc import Callable

from wire.errors import OperatorError
from wire.operator import OperatorClient

URL_VARIABLE, KEY_VARIABLE = "FEDELTA_URL", "FEDELTA_API_KEY"
_DEFAULT_URL = "http://127.0.0.1:8700"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where the orchestrator is and who asks."""
    parser.add_argument(
        "--url",
        default=os.environ.get(URL_VARIABLE, _DEFAULT_URL),
        help=f"the orchestrator's address (default: ${URL_VARIABLE}, or {_DEFAULT_URL})",
    )
    parser.add_argument(
        "--api-key", default=os.environ.get(KEY_VARIABLE), help=f"the operator's API key (default: ${KEY_VARIABLE})"
    )


def connected(run: Callable[[argparse.Namespace, OperatorClient], int]) -> Callable[[argparse.Namespace], int]:
    """A command's `run` from one that needs a client; refusals are printed and end it with status 1."""

    def run_connected(arguments: argparse.Namespace) -> int:
        if not arguments.api_key:
            print(f"no API key: set {KEY_VARIABLE} or give --api-key (the server printed it once)", file=sys.stderr)
            return 2
        try:
            return run(arguments, OperatorClient(arguments.url, arguments.api_key))
        except OperatorError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1

    return run_connected
