"""entities that agents keep know the file or channel that they came by

Revision: 0022, after 0021.
"""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

NOTED = (  # of the note of its type, else of the first of its observations
    "COALESCE((SELECT episode.source_id FROM episode WHERE episode.id = memory_entity.episode_id), "
    "(SELECT min(episode.source_id) FROM episode JOIN memory_observation ON memory_observation.episode_id = episode.id "
    "WHERE memory_observation.entity_id = memory_entity.id))"
)


def upgrade() -> None:
    op.add_column("memory_entity", sa.Column("source_id", sa.String(length=64), nullable=True))
    op.create_index("ix_memory_entity_source_id", "memory_entity", ["source_id"])
    op.execute(f"UPDATE memory_entity SET source_id = {NOTED}")


def downgrade() -> None:
    op.drop_index("ix_memory_entity_source_id", "memory_entity")
    op.drop_column("memory_entity", "source_id")
