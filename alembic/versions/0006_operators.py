"""Operators revoke keys, tokens and devices; answers are kept for repeated requests"""

import sqlalchemy as sa

from alembic import op

revision = "0006"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.String(length=36)
_DIGEST = sa.String(length=64)


def upgrade() -> None:
    for table in ("api_keys", "enrolment_tokens", "devices"):
        op.add_column(table, sa.Column("revoked_at", sa.Float(), nullable=True))
    op.create_index("ix_tasks_created_at_task_id", "tasks", ["created_at", "task_id"])
    op.create_index("ix_devices_enrolled_at_device_id", "devices", ["enrolled_at", "device_id"])
    op.create_table(
        "answers",
        sa.Column("api_key_sha256", _DIGEST, nullable=False),
        sa.Column("idempotency_key", sa.String(length=200), nullable=False),
        sa.Column("request_sha256", _DIGEST, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["api_key_sha256"], ["api_keys.key_sha256"], name="fk_answers_api_key_sha256"),
        sa.PrimaryKeyConstraint("api_key_sha256", "idempotency_key", name="pk_answers"),
    )
    op.create_index("ix_answers_created_at", "answers", ["created_at"])


def downgrade() -> None:
    op.drop_table("answers")
    op.drop_index("ix_devices_enrolled_at_device_id", "devices")
    op.drop_index("ix_tasks_created_at_task_id", "tasks")
    for table in ("devices", "enrolment_tokens", "api_keys"):
        op.drop_column(table, "revoked_at")
