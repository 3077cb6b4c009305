"""vectors of the width they say; on Postgres pgvector's type, names in the order of code points, seeds of 64 bits

Revision: 0003, after 0002. On Postgres the vectors of before are dropped: the encoder makes them again from the texts.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.exc import DBAPIError

from db.errors import VectorMissing

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NAMES = (("node", "name"), ("node", "name_key"), ("alias", "name"), ("alias", "name_key"), ("conversation", "name"))


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
    op.alter_column("sleep_run", "seed", type_=sa.BigInteger())
    _collate_names("C")


def _collate_names(collation: str) -> None:
    """The triggers on these columns are in the way meanwhile."""
    triggers = op.get_bind().exec_driver_sql(
        "SELECT tgname, tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger "
        "WHERE NOT tgisinternal AND tgrelid IN ('node'::regclass, 'alias'::regclass)"
    ).all()
    for name, table, _ in triggers:
        op.execute(f"DROP TRIGGER {name} ON {table}")
    for table, column in NAMES:
        op.execute(f'ALTER TABLE {table} ALTER COLUMN {column} TYPE varchar(255) COLLATE "{collation}"')
    for _, _, definition in triggers:
        op.execute(definition)


def downgrade() -> None:
    if op.get_bind().dialect.name != "postgresql":
        with op.batch_alter_table("embedding") as batch_op:
            batch_op.drop_constraint(op.f("ck_embedding_width"), type_="check")
        return
    op.drop_constraint(op.f("ck_embedding_width"), "embedding", type_="check")
    op.execute("DELETE FROM embedding")
    op.execute("ALTER TABLE embedding ALTER COLUMN vector TYPE bytea USING NULL")
    op.alter_column("sleep_run", "seed", type_=sa.Integer())
    _collate_names("default")
