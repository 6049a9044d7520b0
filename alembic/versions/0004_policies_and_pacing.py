"""Rounds have richer policies, and populations remember how their devices come"""

import sqlalchemy as sa

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "traffic",
        sa.Column("population", sa.String(length=100), nullable=False),
        sa.Column("counted_at", sa.Float(), nullable=False),
        sa.Column("exposure_seconds", sa.Float(), nullable=False),
        sa.Column("check_ins", sa.Float(), nullable=False),
        sa.Column("device_seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["population"], ["populations.name"], name=op.f("fk_traffic_population")),
        sa.PrimaryKeyConstraint("population", name=op.f("pk_traffic")),
    )
    op.add_column("devices", sa.Column("expected_by", sa.Float(), nullable=True))
    op.create_index(op.f("ix_devices_population_expected_by"), "devices", ["population", "expected_by"])
    op.add_column("tasks", sa.Column("completed_because", sa.String(length=500), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("tasks", "completed_because")
    op.drop_index(op.f("ix_devices_population_expected_by"), table_name="devices")
    op.drop_column("devices", "expected_by")
    op.drop_table("traffic")
