"""SQLite and PostgreSQL: how each is reached, made durable, asked for the time, and kept to one writer at a time.

On PostgreSQL every transaction that writes first takes one advisory lock, which it holds until its commit. So however
many replicas there are, a use case reads all that the one before it wrote, as on SQLite, whose file has one writer
anyway. A replica that stops in the middle of a transaction loses it after ten seconds, and the lock with it.
"""

import sqlite3
import time
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from orchestrator.errors import SettingsError

_BUSY_SECONDS = 30.0
_POSTGRESQL_DRIVER = "postgresql+psycopg"
_PEN = 0x_FEDE_17A0  # the advisory lock of whoever writes

_POSTGRESQL_SETTINGS = {
    "synchronous_commit": "on",
    "lock_timeout": "20s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "10s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


def open_engine(url: str) -> Engine:
    """An engine on the database of this URL.

    Args:
        url: `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`.

    Raises:
        SettingsError: another kind of URL.
    """
    match urlsplit(url).scheme:
        case "sqlite":
            return sqlite_engine(url.removeprefix("sqlite:///"))
        case "postgresql" | "postgres":
            return _postgresql_engine(url)
    kind = url.split(":", 1)[0][:30]
    raise SettingsError(f"a database URL begins with postgresql:// or sqlite:///, found {kind!r}")


def sqlite_engine(path: str) -> Engine:
    """An engine on a SQLite file, with write-ahead logging and every commit flushed.

    WAL with `synchronous=NORMAL` would lose acknowledged rows on a power cut; FULL does not.
    """
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        assert isinstance(connection, sqlite3.Connection)  # noqa: S101 - for the type checker
        connection.isolation_level = None  # SQLAlchemy says BEGIN, not the driver, so that savepoints work
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def _postgresql_engine(url: str) -> Engine:
    try:
        parsed = make_url(url).set(drivername=_POSTGRESQL_DRIVER)
    except (ArgumentError, ValueError):
        # The URL itself is not repeated: it holds a password, and errors end up in logs.
        raise SettingsError("the database URL is not of the form postgresql://USER:PASSWORD@HOST/NAME") from None
    options = " ".join(f"-c {name}={value}" for name, value in _POSTGRESQL_SETTINGS.items())
    return create_engine(
        parsed,
        connect_args={"options": options, "connect_timeout": 10, "application_name": "fedelta"},
        isolation_level="READ COMMITTED",  # each statement sees what was committed before it
        pool_size=20,
        max_overflow=20,
        pool_pre_ping=True,  # connections from before a restart of the database are found out and replaced
    )


def begin_writing(connection: Connection) -> float:
    """Wait until nobody else writes, and give the database's time: UTC seconds since 1970."""
    if connection.dialect.name == "sqlite":
        return time.time()
    connection.execute(text("SELECT pg_advisory_xact_lock(:pen)"), {"pen": _PEN})
    # A statement of its own: one that waits for the lock would tell the time before the wait.
    return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
