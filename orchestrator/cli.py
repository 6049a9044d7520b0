"""`fedelta serve`: the orchestrator as a process."""

import argparse
import logging
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wire.command import Command

if TYPE_CHECKING:
    from orchestrator.services.first_start import FirstSecrets

_BACKLOG = 2048
_LAST_PORT = 65535
_GRACE_SECONDS = 10


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="the folder of the database, the store and the key"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8700, help="the port to listen on, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--check-in-seconds",
        type=float,
        default=2.0,
        help="about how often a device without work comes back (default: %(default)s)",
    )
    parser.add_argument(
        "--storage-url",
        metavar="s3://BUCKET/PREFIX",
        help="an S3-compatible store for plans, models and updates; AWS_* name the credentials (default: the folder)",
    )
    parser.add_argument(
        "--public-resources",
        action="store_true",
        help="let whoever knows a digest fetch its bytes, so that a content network may keep them",
    )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"a port is 0 to {_LAST_PORT}, found {port}")
    return port


def _run(arguments: argparse.Namespace) -> int:
    try:
        import uvicorn

        from orchestrator.app import create_app, open_context
        from orchestrator.buffering import let_uploads_flow
        from orchestrator.errors import DataFolderError
        from orchestrator.settings import Settings
    except ModuleNotFoundError as error:
        print(f"fedelta serve needs {error.name}: pip install 'fedelta[orchestrator]'", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for library in ("alembic", "sqlalchemy"):
        logging.getLogger(library).setLevel(logging.WARNING)
    os.umask(0o077)  # the database, the key and single updates are nobody else's to read
    try:
        settings = Settings(
            data_dir=arguments.data_dir,
            check_in_seconds=arguments.check_in_seconds,
            storage_url=arguments.storage_url,
            public_resources=arguments.public_resources,
        )
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        listening = socket.create_server((arguments.host, arguments.port), backlog=_BACKLOG)
        context, secrets = open_context(settings)
    except (DataFolderError, OSError) as error:
        print(
            f"error: cannot serve {arguments.data_dir} on {arguments.host}:{arguments.port}: {error}", file=sys.stderr
        )
        return 1
    if secrets is not None:
        _show(secrets)
    print(f"Serving on http://{arguments.host}:{listening.getsockname()[1]}; the API's page is /docs", flush=True)
    let_uploads_flow()
    config = uvicorn.Config(create_app(context), log_level="warning", timeout_graceful_shutdown=_GRACE_SECONDS)
    uvicorn.Server(config).run([listening])
    return 0


def _show(secrets: "FirstSecrets") -> None:
    print("This is the first start. Keep these; they are shown once:")
    print(f"  operator API key   {secrets.api_key}")
    print(f"  enrolment token    {secrets.enrolment_token}  (one device, population {secrets.population})")


COMMAND = Command("serve", "run the orchestrator", _add_arguments, _run)
