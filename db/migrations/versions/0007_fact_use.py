"""how often a fact was asked for

Revision: 0007, after 0006.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fact_use",
        sa.Column("fact_id", sa.String(length=64), nullable=False),
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("last_at", db.tables.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["fact_id"], ["fact.id"], name=op.f("fk_fact_use_fact_id_fact")),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_fact_use_space_id_space")),
        sa.PrimaryKeyConstraint("fact_id", name=op.f("pk_fact_use")),
    )
    op.create_index(op.f("ix_fact_use_space_id"), "fact_use", ["space_id"])


def downgrade() -> None:
    op.drop_table("fact_use")
