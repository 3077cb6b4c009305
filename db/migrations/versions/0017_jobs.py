"""what waits, runs and has ended in the queue of a space

Revision: 0017, after 0016.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    long = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "job",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("queued_at", db.tables.UtcDateTime(), nullable=False),
        sa.Column("started_at", db.tables.UtcDateTime(), nullable=True),
        sa.Column("finished_at", db.tables.UtcDateTime(), nullable=True),
        sa.Column("step", sa.String(length=32), nullable=False),
        sa.Column("done", long, nullable=False),
        sa.Column("total", long, nullable=False),
        sa.Column("n_tries", sa.Integer(), nullable=False),
        sa.Column("is_unwanted", sa.Boolean(), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_job_space_id_space")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_job")),
    )
    op.create_index(op.f("ix_job_space_id"), "job", ["space_id"])
    op.create_index("ix_job_queue", "job", ["space_id", "state", "queued_at"])


def downgrade() -> None:
    op.drop_table("job")
