"""what is counted for metrics; faults that come back are told from those that go on

Only adds: workers of the release before go on meanwhile; what they settle is not counted, and they notice no regression.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "perdure_counts",
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("sum", sa.Double(), nullable=False),
    )
    op.create_index("ix_perdure_counts_at", "perdure_counts", ["at"])
    op.create_table(
        "perdure_count_totals",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("sum", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", "place", name=op.f("pk_perdure_count_totals")),
    )
    for column in (
        sa.Column("resolved_at", sa.Double(), nullable=True),
        sa.Column("resolved_in", sa.String(255), nullable=True),
        sa.Column("regressions", sa.Integer(), server_default="0", nullable=False),
        sa.Column("regressed_at", sa.Double(), nullable=True),
        sa.Column("regressed_in", sa.String(255), nullable=True),
        sa.Column("noticed_regressions", sa.Integer(), server_default="0", nullable=False),
    ):
        op.add_column("perdure_dead_letter_groups", column)
