"""Files and folders that are there whole or not at all: written beside their place, brought to the disk, then renamed.

After a power cut a row of the store may name no file that the disk never got.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol


class Keeper(Protocol):
    """Whoever has to know what was written or removed: an open encrypted home (memory.sealed.homes)."""

    def keep(self, path: Path) -> None: ...

    def drop(self, path: Path) -> None: ...


KEEPERS: list[Keeper] = []  # none in a process that has plain homes only


def keep(path: Path) -> None:
    """A file or folder of a home that was written otherwise than by the functions here: it is to last from now on."""
    for keeper in KEEPERS:
        keeper.keep(path)


def drop(path: Path) -> None:
    """A file or folder of a home was removed for good: no sealed copy of it may stay."""
    for keeper in KEEPERS:
        keeper.drop(path)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write the file; it takes its name, in place of what had it, when the block has ended well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _beside(path)
    try:
        yield part
        on_disk(part)
        part.replace(path)
        on_disk(path.parent)
        keep(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


@contextmanager
def whole_folder(folder: Path, *, replaces: bool = False, mode: int = 0o777) -> Iterator[Path]:
    """An empty folder that takes its name when the block has ended well.

    What has the name then goes where `replaces` says so; else raises OSError, unless that is an empty folder.
    """
    folder = folder.absolute()
    part = _beside(folder)
    shutil.rmtree(part, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    part.mkdir(mode=mode)
    try:
        yield part
        for path in (*part.rglob("*"), part):
            on_disk(path)
        old = _aside(folder) if replaces and folder.exists() else None
        part.rename(folder)
        on_disk(folder.parent)
        keep(folder)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def on_disk(path: Path) -> None:
    """Wait until the disk has the file's bytes, or the folder's names."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _aside(folder: Path) -> Path:
    """The folder under another name, so that a kill leaves it whole."""
    old = _beside(folder).with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    return folder.rename(old)


def _beside(path: Path) -> Path:
    """On the same file system, out of the way of whoever lists the folder, and of other processes."""
    return path.with_name(f".{path.name}.{os.getpid()}")
