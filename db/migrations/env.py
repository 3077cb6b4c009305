"""Alembic's entry: runs migrations on the connection or engine that `db.engine` hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from db.tables import Base

FOREIGN_TABLES = ("apscheduler_jobs",)  # APScheduler makes and keeps its own


def is_ours(_object: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
    return not (kind == "table" and name in FOREIGN_TABLES)


def migrate(connection: Connection) -> None:
    """Within the caller's transaction: all revisions or none, on SQLite too."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        include_object=is_ours,
    )
    with context.begin_transaction():
        context.run_migrations()


if "connection" in context.config.attributes:
    migrate(context.config.attributes["connection"])
else:
    with context.config.attributes["engine"].begin() as opened:
        migrate(opened)
