"""messages that could not be read yet, and why

Revision: 0010, after 0009.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pending",
        sa.Column("episode_id", sa.String(length=64), nullable=False),
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("since", db.tables.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["episode_id"], ["episode.id"], name=op.f("fk_pending_episode_id_episode")),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_pending_space_id_space")),
        sa.PrimaryKeyConstraint("episode_id", name=op.f("pk_pending")),
    )
    op.create_index(op.f("ix_pending_space_id"), "pending", ["space_id"])


def downgrade() -> None:
    op.drop_table("pending")
