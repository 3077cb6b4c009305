"""Stores that are encrypted: which folders hold them, a connection to one, and its pages as they are inside.

SQLCipher (https://www.zetetic.net/sqlcipher/design/) stands in for SQLite where a process knows the key of the folder that a
store lies in, and nowhere else: a plain store imports nothing of it. A folder that says it is encrypted opens with its key or
not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from db.errors import MissingCipher, StoreSealed

if TYPE_CHECKING:
    from types import ModuleType

MARKER = "encrypted.json"  # in a folder whose stores are encrypted (memory.sealed)
_PAGE, _IV, _MAC = 4096, 16, 64  # of SQLCipher 4: a page ends with its vector and HMAC-SHA-512
_SALT = 16  # in place of the first page's first bytes
_WAL_HEAD, _FRAME_HEAD = 32, 24  # https://sqlite.org/fileformat.html, 4.1 and 4.2
_keys: dict[Path, bytes] = {}


def use_key(folder: Path, key: bytes) -> None:
    """From now on this process opens stores in that folder by SQLCipher, with these 32 bytes."""
    _driver()
    _keys[folder] = key


def forget_key(folder: Path) -> None:
    _keys.pop(folder, None)


def key_of(path: str | Path | None) -> bytes | None:
    """The key of the store at `path`, None where it is plain. Raises StoreSealed where the key is not at hand."""
    if not path or str(path) == ":memory:":
        return None
    folder = Path(path).parent
    key = _keys.get(folder)
    if key is None and (folder / MARKER).exists():
        raise StoreSealed(str(folder))
    return key


def connect(path: Path, **options: Any) -> sqlite3.Connection:
    """A connection of Python's own kind, plain or encrypted as the folder is. Raises StoreSealed."""
    key = key_of(path)
    return sqlite3.connect(path, **options) if key is None else connect_sealed(path, key, **options)


def connect_like(path: Path, other: Path) -> sqlite3.Connection:
    """A connection to another file, which gets the key of the store at `path`: for a copy of it."""
    key = key_of(path)
    return sqlite3.connect(other) if key is None else connect_sealed(other, key)


def connect_sealed(path: str | Path, key: bytes, **options: Any) -> sqlite3.Connection:
    connection: sqlite3.Connection = _driver().connect(str(path), **options)
    connection.execute("PRAGMA cipher_log_level=NONE")  # a wrong key is ours to say
    connection.execute(f"PRAGMA key=\"x'{key.hex()}'\"")
    return connection


def _driver() -> ModuleType:
    try:
        from sqlcipher3 import dbapi2
    except ModuleNotFoundError as error:
        raise MissingCipher("sqlcipher3") from error
    return dbapi2  # type: ignore[no-any-return]


def driver_of(key: bytes | None) -> dict[str, Any]:
    """What SQLAlchemy's engine takes to speak to such a store."""
    return {} if key is None else {"module": _driver()}


def pages(path: Path) -> Iterator[bytes]:
    """Every page of an encrypted store and of its log, freed ones with them, as they are inside; for scans. No page is proved."""
    key = key_of(path)
    if key is None:
        return
    for number, page in _stored(path):
        yield _opened(page, key, is_first=number == 0)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        with log.open("rb") as file:
            file.seek(_WAL_HEAD)
            while len(frame := file.read(_FRAME_HEAD + _PAGE)) == _FRAME_HEAD + _PAGE:
                is_first = int.from_bytes(frame[:4], "big") == 1
                yield _opened(frame[_FRAME_HEAD:], key, is_first=is_first)


def _stored(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        number = 0
        while len(page := file.read(_PAGE)) == _PAGE:
            yield number, page
            number += 1


def _opened(page: bytes, key: bytes, *, is_first: bool) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    end = _PAGE - _IV - _MAC
    vector = page[end : end + _IV]
    decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    return decryptor.update(page[_SALT if is_first else 0 : end]) + decryptor.finalize()
