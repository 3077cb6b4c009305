"""tokens, and what was done through an entrance

Revision: 0019, after 0018.
"""

import sqlalchemy as sa
from alembic import op

from db.tables import Label, UtcDateTime

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "token",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("space_id", sa.String(64), nullable=True),
        sa.Column("name", Label(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name="fk_token_space_id_space"),
        sa.PrimaryKeyConstraint("id", name="pk_token"),
        sa.UniqueConstraint("sha256", name="uq_token_sha256"),
    )
    op.create_index("ix_token_space_id", "token", ["space_id"])
    op.create_table(
        "act",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("space_id", sa.String(64), nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("via", sa.String(16), nullable=False),
        sa.Column("token_id", sa.String(64), nullable=True),
        sa.Column("what", sa.String(128), nullable=False),
        sa.Column("ids", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name="fk_act_space_id_space"),
        sa.PrimaryKeyConstraint("seq", name="pk_act"),
    )
    op.create_index("ix_act_space_id", "act", ["space_id"])


def downgrade() -> None:
    op.drop_table("act")
    op.drop_table("token")
