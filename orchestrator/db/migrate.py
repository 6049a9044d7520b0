"""Brings a database's schema up to date with Alembic."""

from importlib.resources import files
from pathlib import Path

from alembic.config import Config
from sqlalchemy import Engine

from alembic import command


def migrations_folder() -> Path:
    """Where the migrations are: inside an installed package, or at the top of a checkout."""
    packaged = Path(str(files("orchestrator.db"))) / "migrations"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "alembic"


def alembic_config(engine: Engine) -> Config:
    """Alembic's configuration for an engine, without a file."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.attributes["engine"] = engine
    return config


def upgrade(engine: Engine) -> None:
    """Apply every migration that this database does not have yet."""
    command.upgrade(alembic_config(engine), "head")
