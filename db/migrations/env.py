"""Alembic's entry: runs migrations on the connection or engine that `db.engine` hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from db.tables import Base


def migrate(connection: Connection) -> None:
    """Within the caller's transaction: all revisions or none, on SQLite too."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if "connection" in context.config.attributes:
    migrate(context.config.attributes["connection"])
else:
    with context.config.attributes["engine"].begin() as opened:
        migrate(opened)
