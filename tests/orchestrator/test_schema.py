"""The schema is what the migrations say, and they lead up and down."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from alembic import command
from orchestrator.db import migrate, tables
from tests.postgresql import engine_on


def schema_of(engine: Engine) -> dict[str, object]:
    """Every table with its columns, keys and indexes."""
    inspector = inspect(engine)
    return {
        name: (
            [(column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(name)],
            inspector.get_pk_constraint(name)["constrained_columns"],
            sorted(str(key["name"]) for key in inspector.get_foreign_keys(name)),
            sorted(str(key["name"]) for key in inspector.get_unique_constraints(name)),
            sorted(str(index["name"]) for index in inspector.get_indexes(name)),
        )
        for name in inspector.get_table_names()
        if name != "alembic_version"
    }


def test_the_migrations_make_the_tables_of_the_code(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        assert compare_metadata(context, tables.metadata) == []


def test_tables_made_without_migrations_are_the_same(engine: Engine) -> None:
    migrated = schema_of(engine)
    command.downgrade(migrate.alembic_config(engine), "base")
    tables.metadata.create_all(engine)
    assert schema_of(engine) == migrated


def test_the_migrations_lead_up_and_down_and_up_again(engine: Engine) -> None:
    before = schema_of(engine)
    command.downgrade(migrate.alembic_config(engine), "base")
    assert schema_of(engine) == {}
    migrate.upgrade(engine)
    assert schema_of(engine) == before


def test_bringing_up_to_date_what_is_up_to_date_changes_nothing(engine: Engine) -> None:
    before = schema_of(engine)
    migrate.upgrade(engine)
    assert schema_of(engine) == before


def test_the_migrations_are_found_from_a_checkout() -> None:
    assert (migrate.migrations_folder() / "env.py").is_file()


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}  # 2 is FULL


@pytest.mark.parametrize(("pragma", "value"), PRAGMAS.items())
def test_every_connection_writes_ahead_and_flushes_every_commit(migrated: Path, pragma: str, value: object) -> None:
    with engine_on(f"sqlite:///{migrated}") as engine, engine.connect() as one, engine.connect() as other:
        assert [connection.exec_driver_sql(f"PRAGMA {pragma}").scalar() for connection in (one, other)] == [value] * 2
