"""How Alembic reaches the database: through the engine that the orchestrator hands it, or DATABASE in the shell.

From a checkout:  FEDELTA_DATABASE=sqlite:///data/fedelta.db alembic --config alembic/alembic.ini history
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, create_engine, text

from alembic import context
from orchestrator.db.engines import begin_writing
from orchestrator.db.tables import metadata

engine = context.config.attributes.get("engine") or create_engine(os.environ["FEDELTA_DATABASE"])


@contextmanager
def migrating(connection: Connection) -> Iterator[None]:
    """A transaction in which tables may be rebuilt, for as long as that takes.

    SQLite cannot alter most of a table: batch mode copies it and drops the old one, which rows of other tables refer
    to. So references are not enforced meanwhile, and all are looked at in the end.
    """
    if connection.dialect.name != "sqlite":
        begin_writing(connection)  # replicas that start together migrate one after the other
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        yield
        connection.commit()
        return
    file: Any = connection.connection.driver_connection
    file.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
        broken = connection.execute(text("PRAGMA foreign_key_check")).all()
        if broken:
            raise RuntimeError(f"the migration would leave rows that refer to nothing: {broken[:3]}")
        connection.commit()
    finally:
        connection.rollback()
        file.execute("PRAGMA foreign_keys=ON")


with engine.connect() as connection, migrating(connection):
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
