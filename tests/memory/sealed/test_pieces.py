"""The form of sealed files: what was written comes back, and nothing else does."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from memory.errors import BrokenSeal
from memory.sealed.pieces import (
    HEAD_BYTES,
    MAGIC,
    PIECE_BYTES,
    TAG_BYTES,
    Sealer,
    is_sealed,
    plain_size,
    sealed_size,
    unsealed,
)

KEY, OTHER = b"k" * 32, b"o" * 32
STORED = PIECE_BYTES + TAG_BYTES
THREE = os.urandom(2 * PIECE_BYTES + 100)


def seal(path: Path, content: bytes, key: bytes = KEY) -> Path:
    with path.open("wb") as file:
        sealer = Sealer(file, key)
        for start in range(0, len(content), 300_000):
            sealer.write(content[start : start + 300_000])
        sealer.finish()
    return path


def read(path: Path, key: bytes = KEY) -> bytes:
    with unsealed(path, key) as reader:
        return reader.read()


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES])
def test_what_is_sealed_comes_back_and_cannot_be_seen(tmp_path: Path, size: int) -> None:
    content = (b"zanzibarine " * (size // 12 + 1))[:size]
    path = seal(tmp_path / "file", content)
    assert read(path) == content
    stored = path.read_bytes()
    assert b"zanzi" not in stored
    assert stored.startswith(MAGIC)
    assert len(stored) == sealed_size(size)
    assert plain_size(len(stored)) == size


def test_the_same_content_is_never_sealed_alike(tmp_path: Path) -> None:
    first, second = seal(tmp_path / "a", b"x" * 100), seal(tmp_path / "b", b"x" * 100)
    assert first.read_bytes()[HEAD_BYTES:] != second.read_bytes()[HEAD_BYTES:]


def test_reading_may_begin_anywhere(tmp_path: Path) -> None:
    path = seal(tmp_path / "file", THREE)
    with unsealed(path, KEY) as reader:
        for place in (PIECE_BYTES - 3, 5, 2 * PIECE_BYTES, PIECE_BYTES + 7):
            reader.seek(place)
            assert reader.read(10) == THREE[place : place + 10]
        assert reader.seek(0, io.SEEK_END) == len(THREE)
        assert reader.read() == b""


def flipped(at: int) -> Callable[[bytes], bytes]:
    def flip(stored: bytes) -> bytes:
        return stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]

    return flip


def piece(stored: bytes, number: int) -> bytes:
    return stored[HEAD_BYTES + number * STORED : HEAD_BYTES + (number + 1) * STORED]


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "another form": flipped(3),
    "another salt": flipped(len(MAGIC) + 5),
    "a bit of the first piece": flipped(HEAD_BYTES + 10),
    "a bit of the second piece": flipped(HEAD_BYTES + STORED + 10),
    "a bit of the last tag": flipped(-1),
    "cut off in a piece": lambda stored: stored[:-50],
    "cut off between pieces": lambda stored: stored[: HEAD_BYTES + STORED],
    "cut off in the head": lambda stored: stored[:20],
    "longer": lambda stored: stored + b"x",
    "a piece dropped": lambda stored: stored[:HEAD_BYTES] + piece(stored, 0) + piece(stored, 2),
    "pieces swapped": lambda stored: (
        stored[:HEAD_BYTES] + piece(stored, 1) + piece(stored, 0) + piece(stored, 2)
    ),
    "a piece twice": lambda stored: stored[:HEAD_BYTES] + piece(stored, 0) * 2 + piece(stored, 2),
    "a zip": lambda stored: b"PK\x03\x04" + stored,
    "nothing": lambda stored: b"",
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_was_changed_is_refused_by_name(tmp_path: Path, how: str) -> None:
    path = seal(tmp_path / "chat.sealed", THREE)
    path.write_bytes(BROKEN[how](path.read_bytes()))
    with pytest.raises(BrokenSeal, match=r"chat\.sealed is damaged or was changed; restore"):
        read(path)


def test_a_piece_of_another_file_is_refused(tmp_path: Path) -> None:
    one, two = seal(tmp_path / "one", THREE), seal(tmp_path / "two", THREE)
    mixed = one.read_bytes()[: HEAD_BYTES + STORED] + two.read_bytes()[HEAD_BYTES + STORED :]
    one.write_bytes(mixed)
    with pytest.raises(BrokenSeal):
        read(one)


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    with pytest.raises(BrokenSeal):
        read(seal(tmp_path / "file", b"words"), OTHER)


def test_a_file_that_was_not_finished_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        Sealer(file, KEY).write(THREE)
    assert is_sealed(path)
    with pytest.raises(BrokenSeal):
        read(path)
