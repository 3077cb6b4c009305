"""how a persona's words are drawn, for each person

Revision: 0014, after 0013.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "persona_setting",
        sa.Column("person_id", sa.String(length=64), nullable=False),
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("sampling", sa.JSON(), nullable=False),
        sa.Column("set_at", db.tables.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["node.id"], name=op.f("fk_persona_setting_person_id_node")),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_persona_setting_space_id_space")),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_persona_setting")),
    )
    op.create_index(op.f("ix_persona_setting_space_id"), "persona_setting", ["space_id"])


def downgrade() -> None:
    op.drop_table("persona_setting")
