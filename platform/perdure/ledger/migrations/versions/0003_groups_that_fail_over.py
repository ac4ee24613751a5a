"""groups that promote a backup by themselves"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("perdure_replication_groups", sa.Column("checked_at", sa.Double()))
    failures = sa.Column("failures", sa.Integer(), nullable=False, server_default="0")
    op.add_column("perdure_replication_members", failures)
    op.create_table(
        "perdure_replication_promotions",
        sa.Column("group_name", sa.String(255), primary_key=True),
        sa.Column("epoch", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("primary", sa.String(255), nullable=False),
        sa.Column("before", sa.String(255), nullable=False),
        sa.Column("promoted_by", sa.String(255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("tell_at", sa.Double()),
    )
