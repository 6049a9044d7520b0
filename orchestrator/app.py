"""Puts an orchestrator together: its parts, its worker and its web application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from typing import IO, TYPE_CHECKING

from alembic.util import CommandError
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError, OperationalError

from orchestrator.api import credentials, devices, events, fleet, health, problems, registry, resources, tasks, uploads
from orchestrator.api.observing import Draining, Timed, Traced
from orchestrator.collector import Collector
from orchestrator.context import Context, WorkerContext
from orchestrator.db import migrate, queries
from orchestrator.db.database import Database
from orchestrator.db.engines import open_engine
from orchestrator.errors import DataFolderError, SettingsError
from orchestrator.services import collecting, first_start
from orchestrator.services.first_start import FirstSecrets
from orchestrator.settings import Settings
from orchestrator.signing import create_key, load_signer
from orchestrator.storage.durable import lock_folder
from orchestrator.storage.opening import open_store
from orchestrator.tracing import Spans
from orchestrator.worker import Worker

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def open_context(settings: Settings, clock: Callable[[], float] | None = None) -> tuple[Context, FirstSecrets | None]:
    """The parts of an orchestrator over its data folder, which is made or brought up to date.

    The secrets are those of the first start, and None later: they exist nowhere else.

    Args:
        clock: UTC seconds since 1970; None for the database's.

    Raises:
        DataFolderError: the folder is in use, incomplete, damaged, or of a newer version.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    data_dir_lock = lock_folder(settings.data_dir)
    try:
        context = _open_parts(settings, data_dir_lock, clock)
    except BaseException:
        data_dir_lock.close()
        raise
    secrets = _first_secrets(context)
    if settings.database_url is None:
        context.database.submit(queries.shards.release_all).result()
    return context, secrets


def open_worker_context(settings: Settings) -> WorkerContext:
    """The parts of a worker: the database and the store that web replicas share, and nothing of its own.

    Raises:
        DataFolderError: the database cannot be used, or nobody has served it yet.
        SettingsError: the database is a file, which one process has to itself.
    """
    if settings.database_url is None:
        raise SettingsError("a worker of its own needs a --database-url; `fedelta serve` works on its own SQLite file")
    engine = open_engine(settings.database)
    try:
        is_first_start = _upgrade(engine)
    except BaseException:
        engine.dispose()
        raise
    if is_first_start:
        engine.dispose()
        raise DataFolderError(f"{_shown(engine)} is empty; start `fedelta serve` on it first")
    database = Database(engine)
    try:
        store = open_store(settings, collecting.noting(database, database.clock))
    except BaseException:
        database.close()
        raise
    return WorkerContext(settings=settings, database=database, store=store, clock=database.clock)


def _first_secrets(context: Context) -> FirstSecrets | None:
    key_id = context.signer.public_key.key_id
    try:
        return context.database.submit(lambda tx: first_start.make_first_secrets(tx, key_id, context.clock())).result()
    except BaseException:
        context.close()
        raise


def _open_parts(settings: Settings, data_dir_lock: IO[bytes], clock: Callable[[], float] | None) -> Context:
    engine = open_engine(settings.database)
    try:
        is_first_start = _upgrade(engine)
        if is_first_start and not settings.signing_key_path.exists():
            create_key(settings.signing_key_path)
        signer = load_signer(settings.signing_key_path)
    except BaseException:
        engine.dispose()
        raise
    database = Database(engine)
    clock = clock or database.clock
    try:
        store = open_store(settings, collecting.noting(database, clock))
    except BaseException:
        database.close()
        raise
    return Context(
        settings=settings,
        database=database,
        store=store,
        signer=signer,
        clock=clock,
        data_dir_lock=data_dir_lock,
    )


def _upgrade(engine: Engine) -> bool:
    """Bring the schema up to date, and say whether nobody has started on this database before."""
    try:
        migrate.upgrade(engine)
        with engine.connect() as connection:
            return not queries.operators.any_api_key(connection)
    except CommandError as error:
        raise DataFolderError(f"{_shown(engine)} is not of this version: {error}; update fedelta") from None
    except OperationalError as error:
        advice = "restore it, or make room on the disk" if engine.dialect.name == "sqlite" else "is it running?"
        raise DataFolderError(f"{_shown(engine)} cannot be used: {error.orig}; {advice}") from None
    except DatabaseError as error:
        raise DataFolderError(f"{_shown(engine)} cannot be used: {error.orig}; restore it from a backup") from None


def _shown(engine: Engine) -> str:
    """A database as messages name it: without its password."""
    return engine.url.database or "" if engine.dialect.name == "sqlite" else engine.url.render_as_string()


@contextlib.asynccontextmanager
async def working(
    context: WorkerContext, tracer_provider: "TracerProvider | None" = None
) -> AsyncIterator[asyncio.Task[None]]:
    """Keep the rounds going and the store tidy beside something else; gives the task that does the first."""
    tidying = asyncio.create_task(Collector(context).run(), name="collector")
    try:
        async with Worker(context, Spans(tracer_provider)).running() as task:
            yield task
    finally:
        tidying.cancel()
        await asyncio.gather(tidying, return_exceptions=True)


def create_app(context: Context, tracer_provider: "TracerProvider | None" = None) -> FastAPI:
    """The web application over an orchestrator's parts. While it serves, its worker keeps the rounds going."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        attending = asyncio.create_task(context.attendance.keep_written(context.database), name="attendance")
        try:
            keeping = working(context, tracer_provider) if context.settings.has_worker else contextlib.nullcontext()
            async with keeping as task:
                app.state.worker = task
                yield
        finally:
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)
            await asyncio.to_thread(context.close)
            if tracer_provider is not None:
                await asyncio.to_thread(tracer_provider.shutdown)

    app = FastAPIOffline(
        title="Fedelta orchestrator",
        summary="Federated learning on real devices: devices send deltas, never data.",
        version=version("fedelta"),
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = context
    # As they are, with what devices ask all the time first: an included router looks for a route by a long detour.
    for module in (devices, uploads, resources, tasks, registry, fleet, credentials, events, health):
        app.router.routes.extend(module.router.routes)
    problems.install(app)
    context.metrics.watch_writer(context.database.waiting)
    app.add_middleware(Draining, draining=context.draining)
    if tracer_provider is not None:
        app.add_middleware(Traced, provider=tracer_provider)
    app.add_middleware(Timed, metrics=context.metrics)
    return app
