"""Which round counts a report, and quick answers to which devices are at work, for asynchronous rounds"""

import sqlalchemy as sa

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("assignments") as assignments:
        assignments.add_column(sa.Column("counted_in", sa.String(length=36), nullable=True))
        assignments.create_foreign_key(op.f("fk_assignments_counted_in"), "rounds", ["counted_in"], ["round_id"])
        assignments.create_index(op.f("ix_assignments_counted_in_state"), ["counted_in", "state"])
    op.execute("UPDATE assignments SET counted_in = round_id WHERE state = 'reported'")
    is_out = sa.text("state = 'assigned'")
    op.create_index(
        op.f("ix_assignments_assigned_at"),
        "assignments",
        ["assigned_at"],
        sqlite_where=is_out,
        postgresql_where=is_out,
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_assignments_assigned_at"), table_name="assignments")
    with op.batch_alter_table("assignments") as assignments:
        assignments.drop_index(op.f("ix_assignments_counted_in_state"))
        assignments.drop_constraint(op.f("fk_assignments_counted_in"), type_="foreignkey")
        assignments.drop_column("counted_in")
