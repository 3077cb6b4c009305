"""sessions with personas, their turns, and what the personas claimed

Revision: 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chat_session",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("conversation_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("began_at", db.tables.UtcDateTime(), nullable=False),
        sa.Column("ended_at", db.tables.UtcDateTime(), nullable=True),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("engine", db.tables.Label(length=255), nullable=False),
        sa.Column("recipe", sa.String(length=64), nullable=True),
        sa.Column("readout", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name=op.f("fk_chat_session_conversation_id_conversation"),
        ),
        sa.ForeignKeyConstraint(["person_id"], ["node.id"], name=op.f("fk_chat_session_person_id_node")),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_chat_session_space_id_space")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_session")),
    )
    op.create_index(op.f("ix_chat_session_conversation_id"), "chat_session", ["conversation_id"])
    op.create_index(op.f("ix_chat_session_person_id"), "chat_session", ["person_id"])
    op.create_index(op.f("ix_chat_session_space_id"), "chat_session", ["space_id"])
    op.create_table(
        "chat_turn",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("episode_id", sa.String(length=64), nullable=True),
        sa.Column("answers_id", sa.String(length=64), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("recipe", sa.String(length=64), nullable=True),
        sa.Column("adapters", sa.JSON(), nullable=False),
        sa.Column("seed", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("n_draws", sa.Integer(), nullable=False),
        sa.Column("objections", sa.JSON(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("deliberation", db.tables.Words(), nullable=False),
        sa.ForeignKeyConstraint(["answers_id"], ["episode.id"], name=op.f("fk_chat_turn_answers_id_episode")),
        sa.ForeignKeyConstraint(["episode_id"], ["episode.id"], name=op.f("fk_chat_turn_episode_id_episode")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["chat_session.id"], name=op.f("fk_chat_turn_session_id_chat_session")
        ),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_chat_turn_space_id_space")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_chat_turn")),
        sa.UniqueConstraint("session_id", "number", name=op.f("uq_chat_turn_session_id_number")),
    )
    op.create_index(op.f("ix_chat_turn_answers_id"), "chat_turn", ["answers_id"])
    op.create_index(op.f("ix_chat_turn_episode_id"), "chat_turn", ["episode_id"])
    op.create_index(op.f("ix_chat_turn_space_id"), "chat_turn", ["space_id"])
    op.create_table(
        "claim",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("episode_id", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=True),
        sa.Column("subject", db.tables.Words(), nullable=False),
        sa.Column("predicate", db.tables.Label(length=64), nullable=False),
        sa.Column("object", db.tables.Words(), nullable=False),
        sa.Column("object_key", db.tables.Words(), nullable=False),
        sa.Column("is_negated", sa.Boolean(), nullable=False),
        sa.Column("valid_from", db.tables.UtcDateTime(), nullable=True),
        sa.Column("valid_to", db.tables.UtcDateTime(), nullable=True),
        sa.Column("basis", sa.String(length=16), nullable=False),
        sa.Column("fact_id", sa.String(length=64), nullable=True),
        sa.Column("line", sa.String(length=64), nullable=True),
        sa.Column("earlier_id", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("said_at", db.tables.UtcDateTime(), nullable=False),
        sa.Column("withdrawn_at", db.tables.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["episode_id"], ["episode.id"], name=op.f("fk_claim_episode_id_episode")),
        sa.ForeignKeyConstraint(["fact_id"], ["fact.id"], name=op.f("fk_claim_fact_id_fact")),
        sa.ForeignKeyConstraint(["person_id"], ["node.id"], name=op.f("fk_claim_person_id_node")),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_claim_space_id_space")),
        sa.ForeignKeyConstraint(["subject_id"], ["node.id"], name=op.f("fk_claim_subject_id_node")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claim")),
    )
    op.create_index(op.f("ix_claim_episode_id"), "claim", ["episode_id"])
    op.create_index(op.f("ix_claim_fact_id"), "claim", ["fact_id"])
    op.create_index(op.f("ix_claim_person_id"), "claim", ["person_id"])
    op.create_index("ix_claim_slot", "claim", ["space_id", "person_id", "predicate"])
    op.create_index(op.f("ix_claim_subject_id"), "claim", ["subject_id"])
    op.create_table(
        "turn_fact",
        sa.Column("turn_id", sa.String(length=64), nullable=False),
        sa.Column("fact_id", sa.String(length=64), nullable=False),
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("place", sa.String(length=8), nullable=False),
        sa.ForeignKeyConstraint(["fact_id"], ["fact.id"], name=op.f("fk_turn_fact_fact_id_fact")),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_turn_fact_space_id_space")),
        sa.ForeignKeyConstraint(["turn_id"], ["chat_turn.id"], name=op.f("fk_turn_fact_turn_id_chat_turn")),
        sa.PrimaryKeyConstraint("turn_id", "fact_id", name=op.f("pk_turn_fact")),
    )
    op.create_index(op.f("ix_turn_fact_fact_id"), "turn_fact", ["fact_id"])
    op.create_index(op.f("ix_turn_fact_space_id"), "turn_fact", ["space_id"])


def downgrade() -> None:
    for table in ("turn_fact", "claim", "chat_turn", "chat_session"):
        op.drop_table(table)
