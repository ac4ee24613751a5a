"""what jobs say is kept with them; schedules can be paused

Only adds: workers of the release before go on meanwhile, and neither keep lines nor know of a pause.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "perdure_job_logs",
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("fence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("first", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "fence", "first", name=op.f("pk_perdure_job_logs")),
    )
    op.add_column("perdure_schedules", sa.Column("paused_at", sa.Double(), nullable=True))
    op.add_column("perdure_schedules", sa.Column("paused_by", sa.String(255), nullable=True))
    op.add_column("perdure_schedules", sa.Column("pause_reason", sa.Text(), nullable=True))
