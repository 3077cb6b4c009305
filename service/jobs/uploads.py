"""What was sent to be imported, kept in the home for as long as it takes: a folder for each, named by us.

A folder holds the bytes as they came, what was said about them, and the records that a child read of them. Nothing of
it is named by a stranger. It goes when its import has ended, when it was left for WAIT_S seconds (the daemon looks
once a minute), with any erasure in the space, and at the next start of the daemon where no job wants it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any
from weakref import WeakValueDictionary

from db.tables import new_id
from memory.whole import keep, write_text
from service.errors import BadUpload, UnknownUpload, UploadTooLarge

FOLDER = "uploads"  # in the home; memory.erasure.files removes it
WAIT_S = 3600.0
MAX_NAME = 200  # characters of a file's name that are kept
_ID = re.compile(r"[0-9a-f]{16}")
_SPARE_BYTES = 256 << 20  # of the disk that an upload leaves free


@dataclass(frozen=True, slots=True)
class About:
    """What the sender said. `name` is shown and may name a conversation; it is never a path."""

    name: str
    me: str = "Me"
    bots: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    size_bytes: int = 0
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Upload:
    id: str
    folder: Path
    about: About

    @property
    def body(self) -> Path:
        return self.folder / "upload"

    @property
    def records(self) -> Path:
        return self.folder / "records"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder for what a reader unpacks; it goes again."""
        path = self.folder / "scratch"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


class Receiving:
    """An upload that is coming in: written piece by piece, within the room that there is. `take` keeps room for bytes."""

    def __init__(self, folder: Path, take: Callable[[int], None]) -> None:
        self._folder, self._take = folder, take
        self._size, self._digest = 0, hashlib.sha256()
        self._stream: IO[bytes] = _private(folder / "upload")

    def write(self, piece: bytes) -> None:
        """Raises UploadTooLarge, OSError."""
        self._take(len(piece))
        self._size += len(piece)
        self._digest.update(piece)
        self._stream.write(piece)

    def finish(self, about: About) -> Upload:
        """Raises BadUpload where nothing came."""
        self._stream.close()
        if not self._size:
            raise BadUpload("it is empty; send the file as the body, or as `file` of a form")
        whole = replace(about, size_bytes=self._size, sha256=self._digest.hexdigest())
        keep(self._folder)
        write_text(self._folder / "about.json", json.dumps(asdict(whole)))
        return Upload(self._folder.name, self._folder, whole)

    @contextmanager
    def whole(self) -> Iterator[IO[bytes]]:
        """What came in, for who reads it at once; nothing of it is left when the block has ended."""
        try:
            self._stream.close()
            with (self._folder / "upload").open("rb") as body:
                yield body
        finally:
            self.give_up()

    def give_up(self) -> None:
        """Leave nothing of it; after `finish` as well."""
        self._stream.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class Spool:
    """The uploads of one space; together they take `spool_mb` at most, those that are coming in with them."""

    def __init__(self, home: Path, space_id: str, *, spool_mb: int) -> None:
        self._folder = home / FOLDER / space_id
        self._max = spool_mb << 20
        self._room = 0  # bytes, as last counted, less what has come in since
        self._lock = threading.Lock()
        self._turns: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    def turn(self, upload: Upload) -> threading.Lock:
        """To be held by whoever lets a child make the upload's records."""
        with self._lock:
            return self._turns.setdefault(upload.id, threading.Lock())

    def receive(self) -> Receiving:
        """Begin to take one in. Raises UploadTooLarge where the disk has no room for any."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.drop_left()
        with self._lock:
            self._room = self._count_room()
            if self._room <= 0:
                raise UploadTooLarge(
                    "there is no room for uploads; let those that wait be imported, or drop them"
                )
        folder = self._folder / new_id()
        folder.mkdir(mode=0o700)
        return Receiving(folder, self._take)

    def find(self, upload_id: str) -> Upload:
        """Raises UnknownUpload."""
        folder = self._folder / upload_id
        if not _ID.fullmatch(upload_id):
            raise UnknownUpload(upload_id)
        try:
            told = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UnknownUpload(upload_id) from error
        return Upload(upload_id, folder, About(**_listed(told)))

    def every(self) -> list[Upload]:
        """Those that came in whole, the oldest first."""
        found = []
        for folder in sorted(self._folders(), key=_changed_at):
            try:
                found.append(self.find(folder.name))
            except UnknownUpload:
                continue
        return found

    def drop(self, upload_id: str) -> None:
        """Remove it; one that is gone already is no error."""
        if _ID.fullmatch(upload_id):
            shutil.rmtree(self._folder / upload_id, ignore_errors=True)

    def keep_only(self, wanted: Collection[str]) -> int:
        """Remove all others, as after a crash; how many."""
        gone = [folder for folder in self._folders() if folder.name not in wanted]
        for folder in gone:
            shutil.rmtree(folder, ignore_errors=True)
        return len(gone)

    def keep(self, upload: Upload) -> None:
        """A job wants it: it waits for as long as the job does. Raises UnknownUpload where it has just gone."""
        try:
            (upload.folder / "wanted").touch(mode=0o600)
        except FileNotFoundError as error:
            raise UnknownUpload(upload.id) from error

    def is_kept(self, upload: Upload) -> bool:
        return (upload.folder / "wanted").exists()

    def drop_left(self) -> None:
        """Remove what nobody has wanted for WAIT_S seconds."""
        before = time.time() - WAIT_S
        for folder in self._folders():
            if not (folder / "wanted").exists() and _changed_at(folder) < before:
                shutil.rmtree(folder, ignore_errors=True)

    def _folders(self) -> list[Path]:
        return [path for path in self._folder.glob("*") if path.is_dir()] if self._folder.is_dir() else []

    def _take(self, n_bytes: int) -> None:
        """Keep room for bytes that are about to be written. Raises UploadTooLarge."""
        with self._lock:
            if n_bytes > self._room:
                self._room = self._count_room()
            if n_bytes > self._room:
                raise UploadTooLarge("there is no room for all of it beside the other uploads")
            self._room -= n_bytes

    def _count_room(self) -> int:
        free = shutil.disk_usage(self._folder).free - _SPARE_BYTES
        return min(free, self._max - self._kept_bytes())

    def _kept_bytes(self) -> int:
        files = (path for folder in self._folders() for path in folder.rglob("*"))
        return sum(path.lstat().st_size for path in files if path.is_file())


def shown_name(name: str) -> str:
    """The last part of what a file is called, short and printable: a name to show, and no path."""
    last = PureWindowsPath(PurePosixPath(name).name).name
    kept = "".join(char for char in last if char.isprintable()).strip().strip(".")
    if len(kept) > MAX_NAME:
        kept = kept[: MAX_NAME - 20] + kept[-20:]
    return kept or "upload"


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _changed_at(folder: Path) -> float:
    """When anything in it was last written."""
    try:
        return max(map(_written_at, (folder, *folder.iterdir())))
    except OSError:
        return 0.0


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # a reader has just removed it, which changed its folder
        return 0.0


def _listed(told: dict[str, Any]) -> dict[str, Any]:
    return {**told, "bots": tuple(told["bots"]), "patterns": tuple(told["patterns"])}
