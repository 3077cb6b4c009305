"""entities, observations and relations as the tools of the MCP memory server keep them

Revision: 0018, after 0017.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

LONG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "memory_graph",
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f("fk_memory_graph_space_id_space")),
        sa.PrimaryKeyConstraint("space_id", name=op.f("pk_memory_graph")),
    )
    _table(
        "memory_entity",
        sa.Column("name", db.tables.Words(), nullable=False),
        sa.Column("entity_type", db.tables.Words(), nullable=False),
        sa.Column("node_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["node_id"], ["node.id"], name=op.f("fk_memory_entity_node_id_node")),
    )
    op.create_index(op.f("ix_memory_entity_node_id"), "memory_entity", ["node_id"])
    _table(
        "memory_observation",
        sa.Column("entity_id", sa.String(length=64), nullable=False),
        sa.Column("text", db.tables.Words(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entity_id"], ["memory_entity.id"], name=op.f("fk_memory_observation_entity_id_memory_entity")
        ),
    )
    op.create_index(op.f("ix_memory_observation_entity_id"), "memory_observation", ["entity_id"])
    _table(
        "memory_relation",
        sa.Column("source", db.tables.Words(), nullable=False),
        sa.Column("target", db.tables.Words(), nullable=False),
        sa.Column("relation_type", db.tables.Words(), nullable=False),
    )


def downgrade() -> None:
    for table in ("memory_relation", "memory_observation", "memory_entity", "memory_graph"):
        op.drop_table(table)


def _table(name: str, *own: sa.Column | sa.ForeignKeyConstraint) -> None:
    columns = [item for item in own if isinstance(item, sa.Column)]
    op.create_table(
        name,
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("space_id", sa.String(length=64), nullable=False),
        sa.Column("position", LONG, nullable=False),
        *columns,
        sa.Column("episode_id", sa.String(length=64), nullable=True),
        *(item for item in own if not isinstance(item, sa.Column)),
        sa.ForeignKeyConstraint(["episode_id"], ["episode.id"], name=op.f(f"fk_{name}_episode_id_episode")),
        sa.ForeignKeyConstraint(["space_id"], ["space.id"], name=op.f(f"fk_{name}_space_id_space")),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
    )
    op.create_index(op.f(f"ix_{name}_space_id"), name, ["space_id"])
    op.create_index(op.f(f"ix_{name}_episode_id"), name, ["episode_id"])
