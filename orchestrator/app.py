"""Puts an orchestrator together: its parts, its worker and its web application."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import IO, TYPE_CHECKING

from alembic.util import CommandError
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from orchestrator.api import credentials, devices, events, fleet, health, problems, registry, tasks
from orchestrator.api.observing import Draining, Timed, Traced
from orchestrator.context import Context
from orchestrator.db import migrate, queries
from orchestrator.db.database import Database, sqlite_engine
from orchestrator.errors import DataFolderError
from orchestrator.services import first_start
from orchestrator.services.first_start import FirstSecrets
from orchestrator.settings import Settings
from orchestrator.signing import create_key, load_signer
from orchestrator.storage import FolderStore, lock_folder
from orchestrator.worker import Worker

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider


def open_context(settings: Settings) -> tuple[Context, FirstSecrets | None]:
    """The parts of an orchestrator over its data folder, which is made or brought up to date.

    The secrets are those of the first start, and None later: they exist nowhere else.

    Raises:
        DataFolderError: the folder is in use, incomplete, damaged, or of a newer version.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    data_dir_lock = lock_folder(settings.data_dir)
    try:
        context = _open_parts(settings, data_dir_lock)
    except BaseException:
        data_dir_lock.close()
        raise
    secrets = context.database.submit(lambda tx: first_start.make_first_secrets(tx, context.clock())).result()
    return context, secrets


def _open_parts(settings: Settings, data_dir_lock: IO[bytes]) -> Context:
    engine = sqlite_engine(str(settings.database_path))
    try:
        is_first_start = _upgrade(settings.database_path, engine)
        if is_first_start and not settings.signing_key_path.exists():
            create_key(settings.signing_key_path)
        signer = load_signer(settings.signing_key_path)
    except BaseException:
        engine.dispose()
        raise
    return Context(
        settings=settings,
        database=Database(engine),
        store=FolderStore(settings.store_dir),
        signer=signer,
        clock=time.time,
        data_dir_lock=data_dir_lock,
    )


def _upgrade(path: Path, engine: Engine) -> bool:
    """Bring the schema up to date, and say whether nobody has started on this database before."""
    try:
        migrate.upgrade(engine)
        with engine.connect() as connection:
            return not queries.operators.any_api_key(connection)
    except CommandError as error:
        raise DataFolderError(f"{path} is not of this version: {error}; update fedelta") from None
    except DatabaseError as error:
        raise DataFolderError(f"{path} cannot be used: {error.orig}; restore it, or make room on the disk") from None


def create_app(context: Context, tracer_provider: "TracerProvider | None" = None) -> FastAPI:
    """The web application over an orchestrator's parts. While it serves, its worker keeps the rounds going."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        worker = Worker(context)
        running = asyncio.create_task(worker.run(), name="worker")
        app.state.worker = running
        try:
            yield
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await asyncio.to_thread(worker.close)
            await asyncio.to_thread(context.database.close)
            context.data_dir_lock.close()
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
    for module in (tasks, registry, fleet, credentials, events, devices, health):
        app.include_router(module.router)
    problems.install(app)
    context.metrics.watch_writer(context.database.waiting)
    app.add_middleware(Draining, draining=context.draining)
    if tracer_provider is not None:
        app.add_middleware(Traced, provider=tracer_provider)
    app.add_middleware(Timed, metrics=context.metrics)
    return app
