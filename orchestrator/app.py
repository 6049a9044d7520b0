"""Puts an orchestrator together: its parts, its worker and its web application."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path
from typing import IO

from alembic.util import CommandError
from fastapi import FastAPI
from fastapi_offline import FastAPIOffline
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError

from orchestrator.api import devices, fleet, health, problems, resources, tasks, uploads
from orchestrator.collector import Collector
from orchestrator.context import Context
from orchestrator.db import migrate, queries
from orchestrator.db.database import Database, sqlite_engine
from orchestrator.errors import DataFolderError
from orchestrator.services import collecting, first_start
from orchestrator.services.first_start import FirstSecrets
from orchestrator.settings import Settings
from orchestrator.signing import create_key, load_signer
from orchestrator.storage.durable import lock_folder
from orchestrator.storage.opening import open_store
from orchestrator.worker import Worker


def open_context(settings: Settings, clock: Callable[[], float] = time.time) -> tuple[Context, FirstSecrets | None]:
    """The parts of an orchestrator over its data folder, which is made or brought up to date.

    The secrets are those of the first start, and None later: they exist nowhere else.

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
    secrets = context.database.submit(lambda tx: first_start.make_first_secrets(tx, context.clock())).result()
    return context, secrets


def _open_parts(settings: Settings, data_dir_lock: IO[bytes], clock: Callable[[], float]) -> Context:
    engine = sqlite_engine(str(settings.database_path))
    try:
        is_first_start = _upgrade(settings.database_path, engine)
        if is_first_start and not settings.signing_key_path.exists():
            create_key(settings.signing_key_path)
        signer = load_signer(settings.signing_key_path)
    except BaseException:
        engine.dispose()
        raise
    database = Database(engine)
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


def create_app(context: Context) -> FastAPI:
    """The web application over an orchestrator's parts. While it serves, its worker keeps the rounds going."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker = Worker(context)
        loops = [
            asyncio.create_task(worker.run(), name="worker"),
            asyncio.create_task(Collector(context).run(), name="collector"),
        ]
        try:
            yield
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await asyncio.to_thread(worker.close)
            await asyncio.to_thread(context.store_threads.shutdown)
            await asyncio.to_thread(context.database.close)
            context.data_dir_lock.close()

    app = FastAPIOffline(
        title="Fedelta orchestrator",
        summary="Federated learning on real devices: devices send deltas, never data.",
        version=version("fedelta"),
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = context
    for module in (tasks, fleet, devices, uploads, resources, health):
        app.include_router(module.router)
    problems.install(app)
    return app
