"""What an index's folder holds, in one small file that is replaced as a whole; and the lock before its writers.

    manifest.json     points to the build that is in use, and says up to where the feed of changes was read
    lock              held by whoever writes
    <build>/          one folder per full build: columns, vectors, text, links, lists

A full build makes a new folder, so that readers of the old one keep what they have mapped. Smaller changes are made
in place; while they are, the manifest says `dirty`, and whoever finds that without the lock held repeats them. Such
changes are not forced to the disk one by one: the manifest says under which start of the machine they were made, and
after another start without `Index.close` in between the index is made again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

FORMAT = 4  # raise it when the layout changes; an index of another format is made again


@dataclass(frozen=True, slots=True)
class Manifest:
    build: str  # folder name
    generation: int  # grows with every write
    encoder: str
    width: int
    n: int  # rows of the columns
    n_episodes: int
    n_facts: int
    seen: int  # sequence number of the last change that was read; 0 for none
    seen_owner: str  # whose change it was, so that another history is noticed
    base: int  # which links and lists files
    n_base: int  # rows that they cover
    has_lists: bool
    texts: int = 0  # which file of recent texts
    texts_bytes: int = 0  # how much of it counts
    dirty: bool = False
    boot: str = ""  # the start of the machine since which not all is on the disk; "" where all is
    format: int = FORMAT


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def _manifest(self) -> Path:
        return self.path / "manifest.json"

    def stamp(self) -> tuple[int, int] | None:
        """Changes whenever the manifest is replaced; None without one."""
        try:
            found = self._manifest.stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino

    def read(self) -> Manifest | None:
        """The manifest, or None where there is none that can be used."""
        try:
            found = json.loads(self._manifest.read_text(encoding="utf-8"))
            manifest = Manifest(**found)
        except (OSError, ValueError, TypeError):
            return None
        is_whole = manifest.boot in ("", boot_id())
        usable = is_whole and manifest.format == FORMAT and (self.path / manifest.build).is_dir()
        return manifest if usable else None

    def write(self, manifest: Manifest) -> None:
        temporary = self._manifest.with_suffix(".new")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(asdict(manifest), file)
            file.flush()
            if not manifest.boot:
                os.fsync(file.fileno())
        temporary.replace(self._manifest)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among the writers of all processes."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


@lru_cache(maxsize=1)
def boot_id() -> str:
    """Which start of the machine this is; "" where it does not say, and everything is forced to the disk."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
