"""Databases made by Alembic, and orchestrators that serve on the loopback."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine

from orchestrator.db import migrate
from orchestrator.db.engines import sqlite_engine
from tests.orchestrator import object_store as object_stores
from tests.orchestrator.object_store import ObjectStore
from tests.orchestrator.serving import Orchestrator, Population
from tests.postgresql import PostgresqlServer, engine_on, running


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file that Alembic made, to copy."""
    path = tmp_path_factory.mktemp("migrated") / "fedelta.db"
    engine = sqlite_engine(str(path))
    migrate.upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL with a database `migrated`, to copy, and one like it to look at."""
    with running() as server:
        with engine_on(server.create("migrated")) as engine:
            migrate.upgrade(engine)
        server.create("kept_empty", template="migrated")  # nobody may be connected to what is copied
        yield server


@pytest.fixture
def postgresql_url(postgresql: PostgresqlServer) -> Iterator[str]:
    """An empty database of the test's own on PostgreSQL."""
    name = uuid.uuid4().hex
    yield postgresql.create(name, template="migrated")
    postgresql.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of the test's own, of either kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql_url"))
    path = request.getfixturevalue("tmp_path") / "fedelta.db"
    shutil.copy(request.getfixturevalue("migrated"), path)
    return f"sqlite:///{path}"


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on an empty database of its own, of either kind."""
    with engine_on(database_url) as opened:
        yield opened


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def kept_empty(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine on an empty database, which every test leaves as it was."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").url("kept_empty")
    else:
        url = f"sqlite:///{request.getfixturevalue('migrated')}"
    with engine_on(url) as opened:
        yield opened


@pytest.fixture
def tx(kept_empty: Engine) -> Iterator[Connection]:
    """A transaction on an empty database, rolled back at the end."""
    with kept_empty.connect() as connection:
        yield connection


@pytest.fixture(scope="session")
def object_store() -> Iterator[ObjectStore]:
    """An S3-compatible store that many tests share, each with a prefix of its own."""
    with object_stores.running() as store:
        yield store


@pytest.fixture(scope="session")
def orchestrator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestrator]:
    """An orchestrator that many tests share, each with a population of its own. Its clock may be moved on."""
    shared = Orchestrator(tmp_path_factory.mktemp("shared") / "data")
    shared.start()
    yield shared
    shared.stop()


@pytest.fixture
def population(orchestrator: Orchestrator) -> Iterator[Population]:
    """A new population on the shared orchestrator; its tasks are cancelled at the end."""
    made = orchestrator.population(uuid.uuid4().hex)
    yield made
    made.cancel_tasks()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Orchestrator]:
    """An orchestrator of the test's own, to stop, to start and to damage."""
    made = Orchestrator(tmp_path / "data")
    made.start()
    yield made
    made.stop()


@pytest.fixture
def garden(own: Orchestrator) -> Population:
    """A population on an orchestrator of the test's own."""
    return own.population("garden")
