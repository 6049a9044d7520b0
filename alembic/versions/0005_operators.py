"""Operators revoke keys, tokens and devices, hear what happens, label checkpoints, and repeat requests"""

import sqlalchemy as sa

from alembic import op

revision = "0005"
down_revision = "0004"
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

    op.create_table(
        "events",
        sa.Column("event_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("task_id", _ID, nullable=False),
        sa.Column("round_number", sa.Integer(), nullable=True),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.task_id"], name="fk_events_task_id"),
        sa.PrimaryKeyConstraint("event_id", name="pk_events"),
    )
    op.create_index("ix_events_task_id_event_id", "events", ["task_id", "event_id"])

    op.add_column("checkpoints", sa.Column("from_task_id", _ID, nullable=True))
    op.add_column("checkpoints", sa.Column("from_round", sa.Integer(), nullable=True))
    op.create_index("ix_checkpoints_sha256", "checkpoints", ["sha256"])
    op.create_table(
        "labels",
        sa.Column("population", sa.String(length=100), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("task_id", _ID, nullable=False),
        sa.Column("round_number", sa.Integer(), nullable=False),
        sa.Column("labelled_at", sa.Float(), nullable=False),
        sa.Column("model_sha256", _DIGEST, nullable=True),
        sa.Column("model_size_bytes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["population"], ["populations.name"], name="fk_labels_population"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.task_id"], name="fk_labels_task_id"),
        sa.PrimaryKeyConstraint("population", "label", name="pk_labels"),
    )
    op.create_index("ix_labels_task_id", "labels", ["task_id"])


def downgrade() -> None:
    op.drop_table("labels")
    op.drop_index("ix_checkpoints_sha256", "checkpoints")
    op.drop_column("checkpoints", "from_round")
    op.drop_column("checkpoints", "from_task_id")
    op.drop_table("events")
    op.drop_table("answers")
    op.drop_index("ix_devices_enrolled_at_device_id", "devices")
    op.drop_index("ix_tasks_created_at_task_id", "tasks")
    for table in ("devices", "enrolment_tokens", "api_keys"):
        op.drop_column(table, "revoked_at")
