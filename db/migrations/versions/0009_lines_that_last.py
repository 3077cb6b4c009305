"""lines of a constitution that keep their identity, and what changed with each version

Revision: 0009, after 0008.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("principle") as table:
        table.add_column(sa.Column("line", sa.String(64), nullable=False, server_default=""))
        table.add_column(sa.Column("about_id", sa.String(64), nullable=True))
        table.add_column(sa.Column("author", sa.String(16), nullable=False, server_default="night"))
        table.add_column(sa.Column("is_weak", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("rank", sa.Integer(), nullable=False, server_default="0"))
        table.create_foreign_key(op.f("fk_principle_about_id_node"), "node", ["about_id"], ["id"])
        table.create_index(op.f("ix_principle_about_id"), ["about_id"])
    op.create_table(
        "constitution",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("space_id", sa.String(64), nullable=False),
        sa.Column("person_id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("author", sa.String(16), nullable=False),
        sa.Column("run_id", sa.String(64), nullable=True),
        sa.Column("created_at", db.tables.UtcDateTime(), nullable=False),
        sa.Column("n_messages", sa.Integer(), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_constitution_space_id_space")),
        sa.ForeignKeyConstraint(["person_id"], ["node.id"], name=op.f("fk_constitution_person_id_node")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_constitution")),
    )
    for column in ("space_id", "person_id"):
        op.create_index(op.f(f"ix_constitution_{column}"), "constitution", [column])


def downgrade() -> None:
    op.drop_table("constitution")
    with op.batch_alter_table("principle") as table:
        table.drop_index(op.f("ix_principle_about_id"))
        table.drop_constraint(op.f("fk_principle_about_id_node"), type_="foreignkey")
        for column in ("rank", "is_weak", "author", "about_id", "line"):
            table.drop_column(column)
