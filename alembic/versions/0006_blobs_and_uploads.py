"""The store's blobs and the announced updates, so that what nothing needs can be deleted

Blobs that were put before this migration are not noted, and stay until they are put again.
"""

import sqlalchemy as sa

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("room", sa.String(length=10), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("put_at", sa.Float(), nullable=False),
        sa.Column("claimed_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("room", "sha256", name=op.f("pk_blobs")),
    )
    op.create_table(
        "uploads",
        sa.Column("assignment_id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("announced_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["assignment_id"], ["assignments.assignment_id"], name=op.f("fk_uploads_assignment_id")
        ),
        sa.PrimaryKeyConstraint("assignment_id", "sha256", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_rounds_result_sha256"), "rounds", ["result_sha256"])


def downgrade() -> None:
    op.drop_index(op.f("ix_rounds_result_sha256"), table_name="rounds")
    op.drop_table("uploads")
    op.drop_table("blobs")
