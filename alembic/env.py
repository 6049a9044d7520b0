"""How Alembic reaches the database: through the engine that the orchestrator hands it, or DATABASE in the shell.

From a checkout:  FEDELTA_DATABASE=sqlite:///data/fedelta.db alembic --config alembic/alembic.ini history
"""

import os

from sqlalchemy import create_engine

from alembic import context
from orchestrator.db.engines import begin_writing
from orchestrator.db.tables import metadata

engine = context.config.attributes.get("engine") or create_engine(os.environ["FEDELTA_DATABASE"])

with engine.connect() as connection:
    begin_writing(connection)  # replicas that start together migrate one after the other
    # SQLite cannot alter most of a table: batch mode copies it instead.
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
