"""Open the store of a home: finish or throw away what a restore left, keep a copy of a store that is about to be upgraded.

An upgrade is one transaction, so that a kill or a full disk leaves the store as it was; the copy is for whoever wants the
earlier program back. Every erasure removes it.
"""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

from db import sealing
from db.engine import Database, known_revisions, open_database, stored_revision
from memory.folders import UPGRADES
from memory.restoring import settle, sqlite_path
from memory.whole import whole_file
from service.settings import Settings

log = logging.getLogger(__name__)


def open_store(settings: Settings) -> Database:
    """The settings' store at the newest revision.

    Raises BeingRestored, and what `open_database` raises, SchemaTooNew before anything is written.
    """
    settings.home.mkdir(parents=True, exist_ok=True)
    settle(settings.home, settings.url)
    revision = stored_revision(settings.url)
    if revision is None or revision == known_revisions()[0]:
        return open_database(settings.url)
    kept = _keep(settings, revision)
    opened = open_database(settings.url)
    log.warning(
        "the store was of an earlier slowwave (revision %s) and is now at %s; %s",
        revision,
        known_revisions()[0],
        f"as it was it is kept in {kept}"
        if kept
        else "a dump of its server is the way back (docs/lasting.md)",
    )
    return opened


def _keep(settings: Settings, revision: str) -> Path | None:
    """A copy of a SQLite store as it is, in place of the one before; a server's backup is its administrator's matter."""
    path = sqlite_path(settings.url)
    if path is None or not path.exists():
        return None
    kept = settings.home / UPGRADES / f"graph-{revision}.db"
    with (
        whole_file(kept) as part,
        closing(sealing.connect(path)) as source,
        closing(sealing.connect_like(path, part)) as copy,
    ):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        part.chmod(0o600)
    for older in kept.parent.glob("graph-*.db"):
        if older != kept:
            older.unlink()
    return kept
