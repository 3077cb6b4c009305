"""Alembic's entry: runs migrations on the engine that `db.engine` hands over."""

from __future__ import annotations

from alembic import context

from db.tables import Base

engine = context.config.attributes["engine"]
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
