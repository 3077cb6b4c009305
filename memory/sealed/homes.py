"""Encrypted homes: sealed on the disk, readable in memory for as long as a process has them open.

On the disk lie the store (`db.sealing`), `sealed/` with every other file in pieces under a name that tells nothing, the base
model's cache and the settings, which are no secret, and the marker. Opening proves the key, then puts the files in a private
folder of a memory file system; there every program and library reads and writes plain paths, and nothing that it writes
reaches the disk but through `keep` and `sync`. Processes of one machine share the folder; the last one seals what changed and
removes it. What a killed one left there, the next takes over.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import shutil
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from db import sealing
from memory import whole
from memory.errors import BrokenSeal, NoMemoryFolder, WrongKey
from memory.sealed.keys import HomeKey
from memory.sealed.pieces import Sealer, plain_size, sealed_size, unsealed

MARKER = sealing.MARKER
SEALED = "sealed"
PUBLIC = ("cache",)  # of the base model; opened homes have a link to it
CONFIG = "config.toml"
_SESSION, _TEMPORARY = ".session", ".tmp"
_GATE, _USERS = ".gate", ".users"
_INDEX = "index"  # its files fit together only when nobody writes them
_SCRATCH = re.compile(r"\..+\.\d+(\.old)?$")  # memory.whole
_SQLITE, _JOURNALS = b"SQLite format 3\0", ("-wal", "-shm", "-journal")
_MAPPED = ".col"  # columns of an index are written in place, which their time does not tell
_SPARE_BYTES = 16 << 20
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Marker:
    """What says that a folder is an encrypted home."""

    id: str
    check: str  # of its key
    format: int = 1


def is_encrypted(place: Path) -> bool:
    return (place / MARKER).exists()


def make(place: Path, key: HomeKey) -> None:
    """An encrypted home in a folder that is new or empty; the caller has seen to that."""
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = Marker(identity := secrets.token_hex(16), key.check(identity))
    whole.write_text(place / MARKER, json.dumps(asdict(made)))


def marker_of(place: Path) -> Marker:
    """Raises BrokenSeal."""
    try:
        found = json.loads((place / MARKER).read_text(encoding="utf-8"))
        return Marker(str(found["id"]), str(found["check"]), int(found["format"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BrokenSeal(MARKER) from error


def prove_key(place: Path, key: HomeKey) -> Marker:
    """The home's marker, where the key is its own. Raises WrongKey, BrokenSeal, MissingCipher."""
    known = marker_of(place)
    if not key.fits(known.check, known.id):
        raise WrongKey(str(place))
    return known


class OpenHome:
    """An encrypted home that this process has open. `place` is the folder on the disk, `home` the one in memory."""

    def __init__(self, place: Path, home: Path, key: HomeKey, users: IO[str]) -> None:
        self.place, self.home, self.key = place, home, key
        identity = marker_of(place).id
        self._users = users
        self._files, self._names = key.derived("files", identity), key.derived("names", identity)
        self._lock = threading.RLock()
        self._hidden: dict[str, str] = {}  # variables that no child process is to inherit
        self.n_users = 1

    def hide(self, variable: str) -> None:
        """Take a variable out of the environment for as long as the home is open."""
        if (value := os.environ.pop(variable, None)) is not None:
            self._hidden[variable] = value

    def keep(self, path: Path) -> None:
        """Seal the file, or what changed in the folder: it is on the disk when this returns."""
        with self._lock:
            for file in self._within(path):
                self._seal(file)

    def sync(self, *, with_index: bool = False) -> None:
        """Everything that changed; and sealed files of what is not there any more go."""
        with self._lock:
            before = set(_sealed_files(self.place))
            here = list(self._within(self.home))
            settings = self.home / CONFIG
            if settings.is_file() and not settings.is_symlink():  # of a restore
                whole.write_text(self.place / CONFIG, settings.read_text(encoding="utf-8"))
            for path in here:
                if with_index or path.relative_to(self.home).parts[0] != _INDEX:
                    self._seal(path)
            for gone in before - {self._sealed(path) for path in here}:
                gone.unlink(missing_ok=True)

    def contents(self) -> Iterator[tuple[str, IO[bytes]]]:
        """Every sealed file as it is inside: its path in the home, and a stream. Raises BrokenSeal."""
        for sealed in sorted(_sealed_files(self.place)):
            with self._opened(sealed) as (name, _, reader):
                yield name, reader

    def unseal(self) -> None:
        """Fill the folder in memory. Raises BrokenSeal, NoMemoryFolder."""
        for begun in (self.place / SEALED).glob("??/.*"):  # by a process that was killed
            begun.unlink()
        files = sorted(_sealed_files(self.place))
        needed = sum(plain_size(sealed.stat().st_size) for sealed in files) + _SPARE_BYTES
        if shutil.disk_usage(self.home).free < needed:
            raise NoMemoryFolder(
                f"{self.home.parent} has less than the {needed >> 20} MiB that this home needs"
            )
        for sealed in files:
            with self._opened(sealed) as (name, modified_ns, reader):
                target = self.home / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(reader, file, _PIECE)
            os.utime(target, ns=(modified_ns, modified_ns))

    def _within(self, path: Path) -> Iterator[Path]:
        """The files at or under a path of the open home that are to be sealed."""
        parts = path.relative_to(self.home).parts
        if any(map(_SCRATCH.match, parts)) or (parts and parts[0] in (*PUBLIC, _TEMPORARY)):
            return
        if path.is_dir() and not path.is_symlink():
            for item in sorted(path.iterdir()):
                yield from self._within(item)
        elif path.is_file() and not path.is_symlink() and _is_ours(parts):
            yield path

    def _sealed(self, path: Path) -> Path:
        name = path.relative_to(self.home).as_posix()
        said = hmac.new(self._names, name.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:40]
        return self.place / SEALED / said[:2] / said[2:]

    def _seal(self, path: Path) -> None:
        sealed = self._sealed(path)
        with suppress(FileNotFoundError):  # gone since
            modified_ns, size = _state(path)
            head = _head(path.relative_to(self.home).as_posix(), modified_ns)
            if self._is_kept(path, sealed, modified_ns, len(head) + size):
                return
            with whole.whole_file(sealed) as part, part.open("wb") as file:
                part.chmod(0o600)
                sealer = Sealer(file, self._files)
                sealer.write(head)
                for piece in _plain(path):
                    sealer.write(piece)
                sealer.finish()
                file.flush()
                os.utime(file.fileno(), ns=(modified_ns, modified_ns))

    def _is_kept(self, path: Path, sealed: Path, modified_ns: int, size: int) -> bool:
        try:
            known = sealed.stat()
        except FileNotFoundError:
            return False
        if path.suffix == _MAPPED:
            newest = max(_state(item)[0] for item in path.parent.iterdir() if item.is_file())
            if newest > known.st_ctime_ns:
                return False
        is_copy = not _is_store(path)  # a store is sealed as its pages say, whatever its file's size
        return known.st_mtime_ns == modified_ns and (not is_copy or known.st_size == sealed_size(size))

    @contextmanager
    def _opened(self, sealed: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
        shown = f"{SEALED}/{sealed.parent.name}/{sealed.name}"
        try:
            with unsealed(sealed, self._files) as reader:
                length = int.from_bytes(reader.read(2), "big")
                name = reader.read(length).decode("utf-8", "surrogateescape")
                modified_ns = int.from_bytes(reader.read(8), "big")
                relative = PurePosixPath(name)
                is_inside = name and not relative.is_absolute() and ".." not in relative.parts
                if not is_inside or self._sealed(self.home / name) != sealed:
                    raise BrokenSeal(shown)  # it has another file's name
                yield name, modified_ns, reader
        except BrokenSeal as error:
            raise BrokenSeal(shown) from error

    def close(self) -> None:
        """Seal what changed; the last process removes the folder in memory. Raises OSError, with the folder kept."""
        self.sync()
        with _gate(self.place):
            if _alone(self._users):
                self.sync(with_index=True)
                shutil.rmtree(self.home)
        self._users.close()
        os.environ.update(self._hidden)


# Opening and closing

_open: dict[Path, OpenHome] = {}  # by their folders in memory
_changing = threading.RLock()


def open_home(place: Path, key: HomeKey, memory_folder: Path) -> OpenHome:
    """The home with its files in a folder on that memory file system. Close it with `close_home`, as often as it was opened.

    Raises WrongKey, BrokenSeal, MissingCipher and NoMemoryFolder with nothing changed.
    """
    known = prove_key(place, key)
    with _changing, _gate(place):
        if (opened := open_in_this_process(place)) is not None:
            opened.n_users += 1
            return opened
        made = _attached(place, key, memory_folder)
        sealing.use_key(place, key.derived("store", known.id))
        if not _open:
            _keep_temporary(made.home)
            whole.KEEPERS.append(_Keeper())
        _open[made.home] = made
    return made


def close_home(opened: OpenHome) -> None:
    """Raises OSError where something could not be sealed; it stays in memory then, for whoever opens the home next."""
    with _changing:
        opened.n_users -= 1
        if opened.n_users:
            return
        try:
            opened.close()
        finally:
            sealing.forget_key(opened.place)
            del _open[opened.home]
            if not _open:
                whole.KEEPERS.clear()
                _forget_temporary()


def opened_at(home: Path) -> OpenHome | None:
    """The encrypted home that is open in that folder; None for a plain one."""
    return _open.get(home)


def open_in_this_process(place: Path) -> OpenHome | None:
    return next((opened for opened in _open.values() if opened.place == place), None)


def place_of(home: Path) -> Path:
    """Where the home lies on the disk: itself, unless it is the open folder of an encrypted one."""
    opened = _open.get(home)
    return home if opened is None else opened.place


def folder_in_memory(place: Path) -> Path | None:
    """Where an encrypted home is open now, in whichever process, or was left by one that was killed."""
    try:
        folder = Path((place / _USERS).read_text(encoding="utf-8"))
    except OSError:
        return None
    return folder if _is_left_by_us(folder, place) else None


class _Keeper:
    """What `memory.whole` tells of files that are written and removed."""

    def keep(self, path: Path) -> None:
        if (opened := _of(path)) is not None:
            opened.keep(path)

    def drop(self, path: Path) -> None:
        if (opened := _of(path)) is not None:
            opened.sync()


def _of(path: Path) -> OpenHome | None:
    return next((opened for home, opened in _open.items() if path.is_relative_to(home)), None)


def _attached(place: Path, key: HomeKey, memory_folder: Path) -> OpenHome:
    users = (place / _USERS).open("a+", encoding="utf-8")
    try:
        users.seek(0)
        told = users.read()
        if not _alone(users):
            fcntl.flock(users, fcntl.LOCK_SH)
            return OpenHome(place, Path(told), key, users)
        left = Path(told) if told else None
        if left is not None and _is_left_by_us(left, place):
            home = left
        else:
            home = _private_folder(memory_folder)
            users.truncate(0)
            users.write(str(home))
            users.flush()
        opened = OpenHome(place, home, key, users)
        if home != left:
            _fill(opened)
        fcntl.flock(users, fcntl.LOCK_SH)
    except BaseException:
        users.close()
        raise
    return opened


def _fill(opened: OpenHome) -> None:
    try:
        opened.unseal()
        for name in PUBLIC:
            (opened.place / name).mkdir(exist_ok=True)
            (opened.home / name).symlink_to(opened.place / name)
        if (opened.place / CONFIG).exists():
            (opened.home / CONFIG).symlink_to(opened.place / CONFIG)
        (opened.home / _TEMPORARY).mkdir()
        session = secrets.token_hex(16)
        whole.write_text(opened.place / _SESSION, session)
        (opened.home / _SESSION).write_text(_said_of(session, opened.place), encoding="utf-8")
    except BaseException:
        shutil.rmtree(opened.home, ignore_errors=True)
        raise


def _private_folder(memory_folder: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="slowwave-", dir=memory_folder))
    except OSError as error:
        raise NoMemoryFolder(f"{memory_folder} cannot be used ({error.strerror})") from error


def _is_left_by_us(home: Path, place: Path) -> bool:
    """Whether that folder is ours and of this home's last opening, so that it may hold more than is sealed."""
    try:
        about = home.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
            return False
        session = (place / _SESSION).read_text(encoding="utf-8")
        return (home / _SESSION).read_text(encoding="utf-8") == _said_of(session, place)
    except OSError:
        return False


def _said_of(session: str, place: Path) -> str:
    """A copy of a home has its session too, and lies elsewhere."""
    return f"{session} {place}"


@contextmanager
def _gate(place: Path) -> Iterator[None]:
    """Opening and closing are for one process at a time."""
    with (place / _GATE).open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _alone(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


_before: list[tuple[str | None, str | None]] = []  # where temporary files went


def _keep_temporary(home: Path) -> None:
    """Temporary files of this process, its libraries and its children lie in memory as well."""
    _before.append((tempfile.tempdir, os.environ.get("TMPDIR")))
    tempfile.tempdir = os.environ["TMPDIR"] = str(home / _TEMPORARY)


def _forget_temporary() -> None:
    tempfile.tempdir, variable = _before.pop()
    if variable is None:
        os.environ.pop("TMPDIR", None)
    else:
        os.environ["TMPDIR"] = variable


# Files


def _sealed_files(place: Path) -> Iterator[Path]:
    for path in (place / SEALED).glob("??/*"):
        if not path.name.startswith("."):
            yield path


def _is_ours(parts: tuple[str, ...]) -> bool:
    return parts not in ((_SESSION,), (CONFIG,)) and not parts[-1].endswith(_JOURNALS)


def _head(name: str, modified_ns: int) -> bytes:
    said = name.encode("utf-8", "surrogateescape")
    return len(said).to_bytes(2, "big") + said + modified_ns.to_bytes(8, "big")


def _state(path: Path) -> tuple[int, int]:
    """When it was written last, its log counted, and its size."""
    about = path.stat()
    with suppress(FileNotFoundError):
        return max(about.st_mtime_ns, path.with_name(f"{path.name}-wal").stat().st_mtime_ns), about.st_size
    return about.st_mtime_ns, about.st_size


def _is_store(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _plain(path: Path) -> Iterator[bytes]:
    """The file's bytes; of a small SQLite file a snapshot with its log, since somebody may be writing it."""
    if _is_store(path):
        with closing(sqlite3.connect(path)) as store:
            yield store.serialize()
        return
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


# Memory file systems

_USUAL = Path("/dev/shm")  # on Linux always a tmpfs
_MOUNTS = Path("/proc/mounts")
_KINDS = ("tmpfs", "ramfs")


def memory_folder(wanted: str = "") -> Path:
    """The folder to open homes in: the wanted one, else the system's. Raises NoMemoryFolder for one that a disk holds."""
    folder = Path(wanted).expanduser().absolute() if wanted else _USUAL
    if not folder.is_dir():
        raise NoMemoryFolder(f"{folder} is not there")
    kind = _file_system(folder.resolve())
    if kind is not None and kind not in _KINDS:
        raise NoMemoryFolder(f"{folder} lies on a {kind}, which is a disk")
    return folder


def _file_system(folder: Path) -> str | None:
    """Of what kind it is, None where the system does not tell: there its owner's word holds."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    mounts = [(Path(fields[1]), fields[2]) for line in lines if len(fields := line.split()) > 2]
    over = [mount for mount in mounts if folder.is_relative_to(mount[0])]
    return max(over, key=lambda mount: len(mount[0].parts))[1] if over else None
