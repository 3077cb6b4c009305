"""Errors of the store.

DatabaseError
├── SchemaTooNew   the database was written by a newer slowwave
├── StoreFull      the disk is full
├── StoreUnusable  the store cannot be opened, read or written; carries why
├── StoreSealed    the store is encrypted and this process does not have the key
├── MissingCipher  a package that encrypted homes need is not installed
├── BadDatabaseUrl the address is none, or its driver is missing
├── VectorMissing  this Postgres lacks the extension `vector`, or its role may not create it
└── LeaseHeld      somebody else holds the lease
"""

from __future__ import annotations


class DatabaseError(Exception):
    """Base of everything `db` raises on purpose."""


class SchemaTooNew(DatabaseError):
    """The database carries a migration that this code does not know."""

    def __init__(self, revision: str) -> None:
        super().__init__(
            f"the database is at revision {revision}, which this slowwave does not know; "
            "install the newer slowwave that upgraded it; the way back is a backup made before (docs/lasting.md)"
        )
        self.revision = revision


class StoreFull(DatabaseError):
    """The disk has no room left; the transaction was rolled back."""

    def __init__(self, where: str) -> None:
        super().__init__(f"no space left on the disk that holds {where}; free some and run the command again")
        self.where = where


class StoreUnusable(DatabaseError):
    """Not a database, damaged, locked, read-only or out of reach; the transaction was rolled back."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(
            f"the database {where} cannot be used: {why}; check the file and its permissions, "
            "or restore it from a backup"
        )
        self.where = where


class StoreSealed(DatabaseError):
    """Nothing was read or written."""

    def __init__(self, folder: str) -> None:
        super().__init__(
            f"{folder} is encrypted; open it with the key that encryption.key_env or key_file names"
        )


class MissingCipher(DatabaseError):
    """Nothing was read or written."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"this home is encrypted and {module} is not installed; run `pip install 'slowwave[encrypted]'`"
        )


class BadDatabaseUrl(DatabaseError):
    """The setting `database_url` cannot be read, or its driver is not installed. The URL may hold a password."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the setting database_url cannot be used: {why}; write it as sqlite:////path/graph.db "
            "or postgresql://user@host/name"
        )


class VectorMissing(DatabaseError):
    """Postgres needs pgvector. Nothing was written."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Postgres did not create the extension vector: {' '.join(why.split())}; install pgvector on the server and let an "
            "administrator run `CREATE EXTENSION vector` in this database"
        )


class LeaseHeld(DatabaseError):
    """A lease is held by somebody else and has not expired."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(f"{name} is held by {holder}; wait for it to end, or stop that process")
        self.name = name
        self.holder = holder
