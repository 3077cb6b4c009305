"""Overwrite what deleted rows leave in the files of the store: free pages, the log, dead tuples."""

from __future__ import annotations

import logging
from contextlib import closing

from sqlalchemy import text
from sqlalchemy.orm import Session

from db.engine import READS_ONLY, Database
from memory.erasure.words import WORDS

_log = logging.getLogger(__name__)
_EXTRA = ("embedding", "emotion_tag", "evidence", "participant", "edge", "change")


def overwrite_deleted(session: Session) -> None:
    """Within the transaction that deletes: SQLite writes zeros over what it frees."""
    if session.get_bind().dialect.name == "sqlite":
        session.connection().exec_driver_sql("PRAGMA secure_delete=ON")


def compact(database: Database) -> str:
    """Rewrite the store's files without anything deleted; repeatable. One sentence about what could not be reached."""
    if database.engine.dialect.name == "sqlite":
        return _compact_sqlite(database)
    if database.engine.dialect.name == "postgresql":
        return _compact_postgres(database)
    return f"{database.engine.dialect.name} was not compacted; do it with its own tools"


def _compact_sqlite(database: Database) -> str:
    with closing(database.engine.raw_connection()) as pooled:
        cursor = pooled.cursor()
        pooled.info.pop(READS_ONLY, None)
        for statement in ("PRAGMA query_only=OFF", "VACUUM"):
            cursor.execute(statement)
        busy, _, _ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        cursor.close()
    if busy:
        _log.warning("the log of the store could not be emptied while another process reads")
        return "another process reads the store: its log was not emptied; stop it and run `slowwave forget resume`"
    return "rewritten, its log emptied"


def _compact_postgres(database: Database) -> str:
    names = [mapped.__tablename__ for mapped in WORDS] + list(_EXTRA)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for name in names:
            connection.execute(text(f'VACUUM FULL "{name}"'))
    return "tables rewritten; the server's write-ahead log, replicas and backups keep what they hold until they expire"
