"""`fedelta serve` and `fedelta work`: the orchestrator as processes."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wire.command import Command
from wire.operator_messages import check_name

if TYPE_CHECKING:
    from orchestrator.services.first_start import FirstSecrets
    from orchestrator.settings import Settings

_BACKLOG = 2048
_LAST_PORT = 65535


def _add_shared_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", type=Path, required=True, help="the folder of the database, the store and the key"
    )
    parser.add_argument(
        "--database-url",
        metavar="URL",
        default=os.environ.get("FEDELTA_DATABASE_URL"),
        help="a PostgreSQL database that several processes share, postgresql://USER:PASSWORD@HOST/NAME "
        "(default: $FEDELTA_DATABASE_URL, or a SQLite file in the data folder)",
    )
    parser.add_argument(
        "--storage-url",
        metavar="URL",
        default=os.environ.get("FEDELTA_STORAGE_URL"),
        help="where plans, models and updates are: s3://BUCKET/PREFIX with credentials in AWS_*, or file:///FOLDER "
        "(default: $FEDELTA_STORAGE_URL, or a folder in the data folder)",
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="how logs are written (default: %(default)s)"
    )


def _add_serve_arguments(parser: argparse.ArgumentParser) -> None:
    _add_shared_arguments(parser)
    parser.add_argument(
        "--signing-key",
        type=Path,
        metavar="FILE",
        help="the key that signs plans, the same for all who share a database (default: one in the data folder)",
    )
    parser.add_argument(
        "--no-worker", action="store_true", help="leave sums and new rounds to `fedelta work` and to other replicas"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=_port, default=8700, help="the port to listen on, 0 for a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--check-in-seconds",
        type=float,
        default=2.0,
        help="no device without work comes back more often than about this (default: %(default)s)",
    )
    parser.add_argument(
        "--check-ins-per-second",
        type=float,
        default=500.0,
        help="how many are welcome; with more devices each comes less often (default: %(default)s)",
    )
    parser.add_argument(
        "--new-api-key",
        metavar="NAME",
        help="make another operator API key of this name, print it and end: for when the others are lost",
    )
    parser.add_argument(
        "--grace-seconds",
        type=float,
        default=30.0,
        help="told to stop, how long to finish what has begun (default: %(default)s)",
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


def _serve(arguments: argparse.Namespace) -> int:
    try:
        from orchestrator import logs, tracing
        from orchestrator.app import create_app, open_context
        from orchestrator.buffering import let_uploads_flow
        from orchestrator.errors import DataFolderError, SettingsError
        from orchestrator.server import Server
        from orchestrator.settings import Settings
        from plans import freed_memory
    except ModuleNotFoundError as error:
        print(f"fedelta serve needs {error.name}: pip install 'fedelta[orchestrator]'", file=sys.stderr)
        return 2
    logs.configure(arguments.log_format)
    os.umask(0o077)  # the database, the key and single updates are nobody else's to read
    freed_memory.share_pools()
    try:
        settings = Settings(
            data_dir=arguments.data_dir,
            database_url=arguments.database_url,
            signing_key=arguments.signing_key,
            has_worker=not arguments.no_worker,
            check_in_seconds=arguments.check_in_seconds,
            check_ins_per_second=arguments.check_ins_per_second,
            storage_url=arguments.storage_url,
            public_resources=arguments.public_resources,
        )
        tracer_provider = tracing.provider_from(os.environ)
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if arguments.new_api_key is not None:
        return _make_api_key(settings, arguments.new_api_key)
    try:
        listening = socket.create_server((arguments.host, arguments.port), backlog=_BACKLOG)
        context, secrets = open_context(settings)
    except (DataFolderError, SettingsError, OSError) as error:
        print(
            f"error: cannot serve {arguments.data_dir} on {arguments.host}:{arguments.port}: {error}", file=sys.stderr
        )
        return 1
    if secrets is not None:
        _show(secrets)
    print(f"Serving on http://{arguments.host}:{listening.getsockname()[1]}; the API's page is /docs", flush=True)
    let_uploads_flow()
    Server(create_app(context, tracer_provider), context, arguments.grace_seconds).run([listening])
    return 0


def _make_api_key(settings: "Settings", name: str) -> int:
    from orchestrator.app import open_context
    from orchestrator.errors import DataFolderError
    from orchestrator.services import operators

    try:
        check_name(name)
        context, secrets = open_context(settings)
    except (DataFolderError, OSError, ValueError) as error:
        print(f"error: no API key was made: {error}", file=sys.stderr)
        return 1
    if secrets is None:
        made = context.database.submit(lambda tx: operators.make_api_key(tx, name, context.clock())).result()
        print(made.api_key)
    else:
        _show(secrets)
    context.close()
    return 0


def _work(arguments: argparse.Namespace) -> int:
    try:
        from orchestrator import logs, tracing
        from orchestrator.app import open_worker_context, working
        from orchestrator.errors import DataFolderError, SettingsError
        from orchestrator.settings import Settings
        from plans import freed_memory
    except ModuleNotFoundError as error:
        print(f"fedelta work needs {error.name}: pip install 'fedelta[orchestrator]'", file=sys.stderr)
        return 2
    logs.configure(arguments.log_format)
    os.umask(0o077)
    freed_memory.share_pools()
    try:
        settings = Settings(
            data_dir=arguments.data_dir, database_url=arguments.database_url, storage_url=arguments.storage_url
        )
        tracer_provider = tracing.provider_from(os.environ)
        context = open_worker_context(settings)
    except (DataFolderError, SettingsError, OSError) as error:
        print(f"error: cannot work: {error}", file=sys.stderr)
        return 1

    async def until_stopped() -> None:
        stopped = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        async with working(context, tracer_provider):
            print("Working; rounds are summed and opened here", flush=True)
            await stopped.wait()

    asyncio.run(until_stopped())
    context.close()
    if tracer_provider is not None:
        tracer_provider.shutdown()
    return 0


def _show(secrets: "FirstSecrets") -> None:
    print("This is the first start. Keep these; they are shown once:")
    print(f"  operator API key   {secrets.api_key}")
    print(f"  enrolment token    {secrets.enrolment_token}  (one device, population {secrets.population})")


COMMAND = Command("serve", "run the orchestrator", _add_serve_arguments, _serve)
WORK_COMMAND = Command("work", "sum and open the rounds of a shared database", _add_shared_arguments, _work)
