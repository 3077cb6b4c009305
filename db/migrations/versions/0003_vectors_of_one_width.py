"""vectors of the width they say, and pgvector's type on Postgres

Revision: 0003, after 0002. On Postgres the vectors of before are dropped: the encoder makes them again from the texts.
"""

from alembic import op
from sqlalchemy.exc import DBAPIError

from db.errors import VectorMissing

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        with op.batch_alter_table("embedding") as batch_op:
            batch_op.create_check_constraint(op.f("ck_embedding_width"), "length(vector) = 4 * width")
        return
    try:
        op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except DBAPIError as error:
        raise VectorMissing(str(error.orig)) from error
    op.execute("DELETE FROM embedding")
    op.execute("ALTER TABLE embedding ALTER COLUMN vector TYPE vector USING NULL")
    op.create_check_constraint(op.f("ck_embedding_width"), "embedding", "vector_dims(vector) = width")


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        with op.batch_alter_table("embedding") as batch_op:
            batch_op.drop_constraint(op.f("ck_embedding_width"), type_="check")
        return
    op.drop_constraint(op.f("ck_embedding_width"), "embedding", type_="check")
    op.execute("DELETE FROM embedding")
    op.execute("ALTER TABLE embedding ALTER COLUMN vector TYPE bytea USING NULL")
