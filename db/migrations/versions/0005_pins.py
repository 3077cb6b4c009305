"""since when a fact is pinned

Revision: 0005, after 0004.
"""

import sqlalchemy as sa
from alembic import op

import db.tables

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("fact", sa.Column("pinned_at", db.tables.UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("fact", "pinned_at")
