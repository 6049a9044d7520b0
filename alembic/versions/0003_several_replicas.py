"""Several replicas share a database: which key signs its plans, and sums that workers claim"""

import sqlalchemy as sa

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plan_keys",
        sa.Column("key_id", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_plan_keys")),
    )
    op.create_table(
        "shards",
        sa.Column("shard_id", sa.String(length=36), nullable=False),
        sa.Column("round_id", sa.String(length=36), nullable=False),
        sa.Column("worker", sa.String(length=100), nullable=False),
        sa.Column("lease_until", sa.Float(), nullable=False),
        sa.Column("lease_token", sa.Integer(), nullable=False),
        sa.Column("sum_sha256", sa.String(length=64), nullable=True),
        sa.Column("sum_size_bytes", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["round_id"], ["rounds.round_id"], name=op.f("fk_shards_round_id")),
        sa.PrimaryKeyConstraint("shard_id", name=op.f("pk_shards")),
    )
    op.create_index(op.f("ix_shards_round_id"), "shards", ["round_id"])
    op.add_column("rounds", sa.Column("sharded", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("rounds", sa.Column("worker", sa.String(length=100), nullable=True))
    op.add_column("rounds", sa.Column("lease_until", sa.Float(), nullable=True))
    op.add_column("rounds", sa.Column("lease_token", sa.Integer(), nullable=False, server_default="0"))
    with op.batch_alter_table("assignments") as assignments:
        assignments.add_column(sa.Column("shard_id", sa.String(length=36), nullable=True))
        assignments.create_foreign_key(op.f("fk_assignments_shard_id"), "shards", ["shard_id"], ["shard_id"])
        assignments.create_index(op.f("ix_assignments_shard_id"), ["shard_id"])


def downgrade() -> None:
    with op.batch_alter_table("assignments") as assignments:
        assignments.drop_index(op.f("ix_assignments_shard_id"))
        assignments.drop_constraint(op.f("fk_assignments_shard_id"), type_="foreignkey")
        assignments.drop_column("shard_id")
    op.drop_column("rounds", "lease_token")
    op.drop_column("rounds", "lease_until")
    op.drop_column("rounds", "worker")
    op.drop_column("rounds", "sharded")
    op.drop_index(op.f("ix_shards_round_id"), table_name="shards")
    op.drop_table("shards")
    op.drop_table("plan_keys")
