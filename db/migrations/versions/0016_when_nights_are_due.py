"""when a space's nights are due, without a pickle

Revision: 0016, after 0015.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schedule",
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("settled_until", db.tables.UtcDateTime(), nullable=False),
        sa.Column("idle_at", db.tables.UtcDateTime(), nullable=True),
        sa.Column("tried_at", db.tables.UtcDateTime(), nullable=True),
        sa.Column("asked_by", sa.String(length=16), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("error", sa.String(length=64), nullable=True),
        sa.Column("run_id", sa.String(length=64), nullable=True),
        sa.Column("waits_since", db.tables.UtcDateTime(), nullable=True),
        sa.Column("waits_for", sa.String(length=16), nullable=True),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_schedule_space_id_space")),
        sa.PrimaryKeyConstraint("space_id", name=op.f("pk_schedule")),
    )
    op.execute("DROP TABLE IF EXISTS apscheduler_jobs")  # pickles; what they said is in the settings


def downgrade() -> None:
    op.drop_table("schedule")
