"""Files and folders that are there whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Where to write the file; it takes its name, in place of what had it, when the block has ended well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _beside(path)
    try:
        yield part
        part.replace(path)
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
        if replaces:
            shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _beside(path: Path) -> Path:
    """On the same file system, out of the way of whoever lists the folder, and of other processes."""
    return path.with_name(f".{path.name}.{os.getpid()}")
