"""The form of a sealed file: pieces of 1 MiB, each encrypted and authenticated with its number and whether it is the last.

    slowwave sealed 1\\n | salt, 32 bytes | piece 0 | piece 1 | ...

Every file has a key of its own, derived from its salt; AES-256-GCM takes the piece's number and the mark of the last one as
nonce, as in STREAM (https://eprint.iacr.org/2015/189): a piece that is changed, moved, dropped or added is refused, and a file
that ends early as well. Reading may begin anywhere.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from db.errors import MissingCipher
from memory.errors import BrokenSeal
from memory.sealed.keys import derive

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"slowwave sealed 1\n"
PIECE_BYTES = 1 << 20
_SALT, TAG_BYTES = 32, 16
HEAD_BYTES = len(MAGIC) + _SALT
_STORED_BYTES = PIECE_BYTES + TAG_BYTES


class Writable(Protocol):
    def write(self, data: bytes, /) -> object: ...


def is_sealed(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(len(MAGIC)) == MAGIC


def sealed_size(n_bytes: int) -> int:
    """Of a sealed file with so many bytes inside."""
    return HEAD_BYTES + n_bytes + TAG_BYTES * max(1, -(-n_bytes // PIECE_BYTES))


def plain_size(n_bytes: int) -> int:
    """What a sealed file of so many bytes holds."""
    body = n_bytes - HEAD_BYTES
    return body - TAG_BYTES * -(-body // _STORED_BYTES)


class Sealer:
    """Seals what is written to it. Not seekable; `finish` writes the last piece, without which nothing can be read."""

    def __init__(self, file: Writable, key: bytes) -> None:
        salt = os.urandom(_SALT)
        self._file, self._cipher = file, _cipher(key, salt)
        self._waiting = bytearray()
        self._number = 0
        file.write(MAGIC + salt)

    def write(self, data: bytes) -> int:
        self._waiting += data
        while len(self._waiting) > PIECE_BYTES:  # the last one waits to be marked
            self._put(bytes(self._waiting[:PIECE_BYTES]), is_last=False)
            del self._waiting[:PIECE_BYTES]
        return len(data)

    def flush(self) -> None:
        """Whole pieces are written as they come."""

    def finish(self) -> None:
        self._put(bytes(self._waiting), is_last=True)
        self._waiting.clear()

    def _put(self, piece: bytes, *, is_last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._number, is_last=is_last), piece, MAGIC))
        self._number += 1


class Unsealed(io.RawIOBase):
    """What a sealed file holds, read only. Raises BrokenSeal where the file is not as it was written, or for another key."""

    def __init__(self, file: IO[bytes], key: bytes, name: str) -> None:
        super().__init__()
        self._file, self._name = file, name
        head = file.read(HEAD_BYTES)
        body = os.fstat(file.fileno()).st_size - HEAD_BYTES
        self._n_pieces = -(-body // _STORED_BYTES)
        if not head.startswith(MAGIC) or body < TAG_BYTES:
            raise BrokenSeal(name)
        self._cipher = _cipher(key, head[len(MAGIC) :])
        self.n_bytes = body - TAG_BYTES * self._n_pieces
        self._place = 0
        self._at, self._piece = self._n_pieces - 1, self._read(self._n_pieces - 1)  # proves the length

    def _read(self, number: int) -> bytes:
        from cryptography.exceptions import InvalidTag

        self._file.seek(HEAD_BYTES + number * _STORED_BYTES)
        stored = self._file.read(_STORED_BYTES)
        try:
            return self._cipher.decrypt(_nonce(number, is_last=number == self._n_pieces - 1), stored, MAGIC)
        except (InvalidTag, ValueError) as error:
            raise BrokenSeal(self._name) from error

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.n_bytes}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        number, offset = divmod(self._place, PIECE_BYTES)
        if self._place >= self.n_bytes:
            return 0
        if number != self._at:
            self._at, self._piece = number, self._read(number)
        found = self._piece[offset : offset + len(buffer)]
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)


@contextmanager
def unsealed(file: Path, key: bytes) -> Iterator[IO[bytes]]:
    """What the file holds, from its start. Raises BrokenSeal, also while it is read."""
    with (
        file.open("rb") as opened,
        io.BufferedReader(Unsealed(opened, key, file.name), PIECE_BYTES) as reader,
    ):
        yield reader


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ModuleNotFoundError as error:
        raise MissingCipher("cryptography") from error
    return AESGCM(derive(key, salt, "slowwave file 1"))


def _nonce(number: int, *, is_last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([is_last])
