"""alerts, what notifiers are told of them, silences, and counts of outcomes

Only adds: workers of the release before go on meanwhile, and look for no alerts.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import VARCHAR

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_ID = sa.String(36).with_variant(VARCHAR(36, collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "perdure_alerts",
        sa.Column("id", _ID, nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        sa.Column("fired_at", sa.Double(), nullable=True),
        sa.Column("clear_since", sa.Double(), nullable=True),
        sa.Column("resolved_at", sa.Double(), nullable=True),
        sa.Column("seen_at", sa.Double(), nullable=False),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_perdure_alerts")),
    )
    is_open = sa.text("phase <> 'resolved'")
    op.create_index(
        "ux_perdure_alerts_open", "perdure_alerts", ["key"], unique=True, sqlite_where=is_open, postgresql_where=is_open
    )
    op.create_index("ix_perdure_alerts_rule", "perdure_alerts", ["rule", "id"])
    op.create_table(
        "perdure_alert_notifications",
        sa.Column("id", _ID, nullable=False),
        sa.Column("notifier", sa.String(64), nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("alerts", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("due_at", sa.Double(), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sender", sa.String(255), nullable=True),
        sa.Column("sent_at", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_perdure_alert_notifications")),
    )
    is_due = sa.text("due_at IS NOT NULL")
    op.create_index(
        "ix_perdure_alert_notifications_due",
        "perdure_alert_notifications",
        ["due_at"],
        sqlite_where=is_due,
        postgresql_where=is_due,
    )
    op.create_table(
        "perdure_alert_silences",
        sa.Column("id", _ID, nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("ends_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_perdure_alert_silences")),
    )
    op.create_index("ix_perdure_alert_silences_ends", "perdure_alert_silences", ["ends_at"])
    op.create_table(
        "perdure_outcome_counts",
        sa.Column("series", sa.String(300), nullable=False),
        sa.Column("span", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("good", sa.BigInteger(), nullable=False),
        sa.Column("bad", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series", "span", "start", name=op.f("pk_perdure_outcome_counts")),
    )
    op.create_index("ix_perdure_outcome_counts_start", "perdure_outcome_counts", ["span", "start"])
