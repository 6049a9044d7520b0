"""A round keeps its result, and what its preparation left for its update"""

import sqlalchemy as sa

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("rounds", sa.Column("temp_sha256", sa.String(length=64), nullable=True))
    op.add_column("rounds", sa.Column("temp_size_bytes", sa.BigInteger(), nullable=True))
    op.add_column("rounds", sa.Column("result_sha256", sa.String(length=64), nullable=True))
    op.add_column("rounds", sa.Column("result_size_bytes", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("rounds", "result_size_bytes")
    op.drop_column("rounds", "result_sha256")
    op.drop_column("rounds", "temp_size_bytes")
    op.drop_column("rounds", "temp_sha256")
