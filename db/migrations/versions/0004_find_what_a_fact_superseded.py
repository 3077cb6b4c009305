"""an index to find what a fact superseded or took in

Revision: 0004, after 0003.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_fact_superseded_by"), "fact", ["superseded_by"])


def downgrade() -> None:
    op.drop_index(op.f("ix_fact_superseded_by"), "fact")
