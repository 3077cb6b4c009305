"""What a backup consists of, and its proof: a manifest that names every member with its size and hash, held against the file.

The proof reads the whole file once in bounded memory and refuses what inflates far beyond what chats do, so that no file
can fill a disk. It runs right after a backup was written and before one is restored.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from db.copying import KINDS, Columns
from db.engine import known_revisions
from memory import tombstones
from memory.errors import BackupTooNew, BadBackup, BrokenSeal, SealedBackup
from memory.sealed.keys import HomeKey
from memory.sealed.pieces import is_sealed, unsealed

FORMAT, VERSION = "slowwave backup", 2  # version 1 had no settings and no lists
MANIFEST = "manifest.json"
PIECE_BYTES = 1 << 20
STAGING = ".restoring"
# what left the home, and what must not come back; a restore adds to those that it finds
LISTS = ("backups.jsonl", "exports.jsonl", tombstones.NAME)
CONFIG = "config.toml"
MOST_INFLATED = 200  # times its packed size; rows of chats stay under 20, since each has an id of its own
LEAST_SUSPECT = 1 << 20  # bytes; what is smaller harms nobody
LONGEST_LINE = 256 << 20  # bytes of one row
_RESERVED = (CONFIG, *LISTS, "index", "cache", STAGING)


class Progress(Protocol):
    """`done` of `total` rows or files; the note names the step."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def silent(done: int, total: int, note: str = "") -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class TablePart:
    name: str
    columns: Columns
    n_rows: int
    sha256: str

    @property
    def member(self) -> str:
        return f"tables/{self.name}.jsonl"


@dataclass(frozen=True, slots=True)
class FilePart:
    path: str  # relative to the home, with slashes
    size_bytes: int
    sha256: str
    folder: str = (
        "files"  # settings: not an artifact, but a list or the settings without addresses and secrets
    )

    @property
    def member(self) -> str:
        return f"{self.folder}/{self.path}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup. `tables` stand in the order in which they can be loaded."""

    made_at: datetime
    revision: str
    tables: tuple[TablePart, ...]
    files: tuple[FilePart, ...]
    missing: tuple[str, ...]
    settings: tuple[FilePart, ...] = ()
    left_out: tuple[str, ...] = ()  # settings that belong to one machine or hold a secret, by their keys

    @property
    def parts(self) -> tuple[TablePart | FilePart, ...]:
        return (*self.tables, *self.files, *self.settings)

    @property
    def n_rows(self) -> int:
        return sum(table.n_rows for table in self.tables)

    def as_json(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, **asdict(self), "made_at": self.made_at.isoformat()}


@contextmanager
def opened(file: Path, key: HomeKey | None = None) -> Iterator[zipfile.ZipFile]:
    """The archive, for as long as the block runs. A sealed one needs its key.

    Raises BadBackup for what is no whole zip or is sealed with another key, and SealedBackup without one.
    """
    try:
        with _readable(file, key) as readable, zipfile.ZipFile(readable) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise BadBackup(file.name, "it is no whole zip") from error
    except BrokenSeal as error:
        raise BadBackup(file.name, "it is damaged or was changed, or sealed with another key") from error


def _readable(file: Path, key: HomeKey | None) -> AbstractContextManager[IO[bytes]]:
    if not is_sealed(file):
        return file.open("rb")
    if key is None:
        raise SealedBackup(file.name)
    return unsealed(file, key.derived("backups"))


def read_manifest(archive: zipfile.ZipFile, name: str) -> Manifest:
    """Raises BadBackup, and BackupTooNew for a format or a revision that this code does not know."""
    try:
        _refuse_bombs(archive, name)
        found = json.loads(archive.read(MANIFEST))
        if found["format"] != FORMAT:
            raise ValueError("another format")
        if found["version"] > VERSION or found["revision"] not in known_revisions():
            raise BackupTooNew(name)
        return Manifest(
            datetime.fromisoformat(found["made_at"]),
            found["revision"],
            tuple(_table(part) for part in found["tables"]),
            tuple(FilePart(**part) for part in found["files"]),
            tuple(found["missing"]),
            tuple(FilePart(**part) for part in found.get("settings", ())),
            tuple(map(str, found.get("left_out", ()))),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadBackup(name, "it has no manifest of a backup") from error


def _refuse_bombs(archive: zipfile.ZipFile, name: str) -> None:
    for member in archive.infolist():
        is_large = member.file_size > LEAST_SUSPECT
        if is_large and member.file_size > MOST_INFLATED * max(member.compress_size, 1):
            raise BadBackup(name, f"{member.filename} would inflate far beyond what a backup holds")


def _table(part: dict[str, Any]) -> TablePart:
    columns = [(str(column), str(kind)) for column, kind in part["columns"]]
    if not all(kind in KINDS for _, kind in columns) or not str(part["name"]).isidentifier():
        raise ValueError("unknown column")
    return TablePart(str(part["name"]), columns, int(part["n_rows"]), part["sha256"])


def prove(archive: zipfile.ZipFile, manifest: Manifest, name: str, progress: Progress) -> None:
    """Every member is there, in its place, and what the manifest says. Raises BadBackup."""
    names = [part.member for part in manifest.parts]
    if sorted([*names, MANIFEST]) != sorted(archive.namelist()):
        raise BadBackup(name, "its parts are not those of its manifest")
    if not all(_is_safe(part.path) for part in manifest.files):
        raise BadBackup(name, "it names a file outside of a home's folders")
    if any((part.folder, part.path) not in _SETTINGS for part in manifest.settings):
        raise BadBackup(name, "it names settings that no home has")
    for done, part in enumerate(manifest.parts):
        progress(done, len(manifest.parts), "verify")
        with archive.open(part.member) as member:
            if _hash_of(member) != part.sha256:
                raise BadBackup(name, f"{part.member} is not what the manifest says")
    progress(len(manifest.parts), len(manifest.parts), "verify")


_SETTINGS = tuple(("settings", name) for name in (CONFIG, *LISTS))


def _is_safe(path: str) -> bool:
    pure = PurePosixPath(path)
    is_inside = not pure.is_absolute() and pure.parts != () and ".." not in pure.parts and "\\" not in path
    return is_inside and pure.parts[0] not in _RESERVED and not pure.parts[0].startswith("graph.db")


def _hash_of(file: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while piece := file.read(PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def lines_of(archive: zipfile.ZipFile, part: TablePart) -> Iterator[bytes]:
    """The rows of a table. Raises ValueError for one of more than LONGEST_LINE bytes."""
    with archive.open(part.member) as member:
        while line := member.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise ValueError("a row is too long")
            yield line
