"""how long a statement lasts, where its words say so

Revision: 0011, after 0010.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("fact", sa.Column("volatility", sa.String(length=8), nullable=True))


def downgrade() -> None:
    op.drop_column("fact", "volatility")
