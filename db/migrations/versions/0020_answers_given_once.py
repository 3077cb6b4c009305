"""answers to requests that may be repeated

Revision: 0020, after 0019.
"""

import sqlalchemy as sa
from alembic import op

from db.tables import UtcDateTime, Words

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kept_answer",
        sa.Column("space_id", sa.String(64), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("request_sha256", sa.String(64), nullable=False),
        sa.Column("holder", sa.String(255), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("media_type", sa.String(128), nullable=True),
        sa.Column("body", Words(), nullable=True),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name="fk_kept_answer_space_id_space"),
        sa.PrimaryKeyConstraint("space_id", "key", name="pk_kept_answer"),
    )
    op.create_index("ix_kept_answer_at", "kept_answer", ["at"])


def downgrade() -> None:
    op.drop_table("kept_answer")
