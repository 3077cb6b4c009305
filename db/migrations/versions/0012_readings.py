"""what a readout found in a message

Revision: 0012, after 0011.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "reading",
        sa.Column("episode_id", sa.String(length=64), nullable=False),
        sa.Column("readout", sa.String(length=64), nullable=False),
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("concepts", sa.JSON(), nullable=False),
        sa.Column("read_at", db.tables.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["episode_id"], ["episode.id"], name=op.f("fk_reading_episode_id_episode")),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_reading_space_id_space")),
        sa.PrimaryKeyConstraint("episode_id", "readout", name=op.f("pk_reading")),
    )
    op.create_index(op.f("ix_reading_space_id"), "reading", ["space_id"])


def downgrade() -> None:
    op.drop_table("reading")
