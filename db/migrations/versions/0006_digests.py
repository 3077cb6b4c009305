"""digests of old talk, and the messages that are their lines

Revision: 0006, after 0005.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "digest",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("space_id", sa.String(64), nullable=False),
        sa.Column("conversation_id", sa.String(64), nullable=False),
        sa.Column("began_at", db.tables.UtcDateTime(), nullable=False),
        sa.Column("ended_at", db.tables.UtcDateTime(), nullable=False),
        sa.Column("n_messages", sa.Integer(), nullable=False),
        sa.Column("made_from", sa.String(64), nullable=False),
        sa.Column("made_at", db.tables.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["id"], ["node.id"], name=op.f("fk_digest_id_node")),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_digest_space_id_space")),
        sa.ForeignKeyConstraint(
            ["conversation_id"], ["conversation.id"], name=op.f("fk_digest_conversation_id_conversation")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_digest")),
    )
    for column in ("space_id", "conversation_id"):
        op.create_index(op.f(f"ix_digest_{column}"), "digest", [column])
    op.create_table(
        "digest_line",
        sa.Column("digest_id", sa.String(64), nullable=False),
        sa.Column("episode_id", sa.String(64), nullable=False),
        sa.Column("space_id", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["digest_id"], ["digest.id"], name=op.f("fk_digest_line_digest_id_digest")),
        sa.ForeignKeyConstraint(
            ["episode_id"], ["episode.id"], name=op.f("fk_digest_line_episode_id_episode")
        ),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_digest_line_space_id_space")),
        sa.PrimaryKeyConstraint("digest_id", "episode_id", name=op.f("pk_digest_line")),
    )
    for column in ("space_id", "episode_id"):
        op.create_index(op.f(f"ix_digest_line_{column}"), "digest_line", [column])


def downgrade() -> None:
    op.drop_table("digest_line")
    op.drop_table("digest")
