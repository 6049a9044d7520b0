"""Puts an orchestrator together: its parts, its worker and its web application."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from orchestrator.api import devices, fleet, health, problems, tasks
from orchestrator.context import Context
from orchestrator.db import migrate
from orchestrator.db.database import Database, sqlite_engine
from orchestrator.services import first_start
from orchestrator.services.first_start import FirstSecrets
from orchestrator.settings import Settings
from orchestrator.signing import load_or_create_signer
from orchestrator.storage import FolderStore, lock_folder
from orchestrator.worker import Worker


def open_context(settings: Settings) -> tuple[Context, FirstSecrets | None]:
    """The parts of an orchestrator over its data folder, which is made or brought up to date.

    The secrets are those of the first start, and None later: they exist nowhere else.

    Raises:
        FolderInUseError: another orchestrator serves this folder.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    data_dir_lock = lock_folder(settings.data_dir)
    engine = sqlite_engine(str(settings.database_path))
    migrate.upgrade(engine)
    context = Context(
        settings=settings,
        database=Database(engine),
        store=FolderStore(settings.store_dir),
        signer=load_or_create_signer(settings.signing_key_path),
        clock=time.time,
        data_dir_lock=data_dir_lock,
    )
    secrets = context.database.submit(lambda tx: first_start.make_first_secrets(tx, context.clock())).result()
    return context, secrets


def create_app(context: Context) -> FastAPI:
    """The web application over an orchestrator's parts. While it serves, its worker keeps the rounds going."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker = Worker(context)
        running = asyncio.create_task(worker.run(), name="worker")
        try:
            yield
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await asyncio.to_thread(worker.close)
            await asyncio.to_thread(context.database.close)
            context.data_dir_lock.close()

    app = FastAPIOffline(
        title="Fedelta orchestrator",
        summary="Federated learning on real devices: devices send deltas, never data.",
        version=version("fedelta"),
        lifespan=lifespan,
        redoc_url=None,
    )
    app.state.context = context
    for module in (tasks, fleet, devices, health):
        app.include_router(module.router)
    problems.install(app)
    return app
