"""Look for what was erased in every byte that the store owns: the home folder, archives in it, and every row.

Files are read in blocks that overlap, archives are opened, names of files count as well. What is found is reported by
file, kind and count, never by its words. Files of base models hold everybody's words: one-word names are not looked
for in them, nor in the numbers of weights, where three letters come up by chance.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Protocol, cast

from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session

from db import sealing, tables
from db.engine import Database
from memory.erasure import files
from memory.erasure.needles import AROUND, OVERLAP, Held, Needle, Scanner
from memory.erasure.words import WORDS, of_space
from memory.sealed.homes import OpenHome, opened_at

BLOCK = 1 << 20  # bytes; what the arrays made of it take stays in the cache
_NUMBERS = (".safetensors", ".gguf", ".bin", ".pt", ".npy", ".npz", ".f32")
_PACKED = (".zst", ".lz4", ".br", ".7z", ".rar")  # archives that Python cannot open


class Progress(Protocol):
    """`done` of `total`; the note holds nobody's words."""

    def __call__(self, done: int, total: int, note: str = "") -> None: ...


def no_progress(done: int, total: int, note: str = "") -> None:
    """A progress that nobody watches."""


@dataclass(frozen=True, slots=True)
class Residue:
    """Something left: a file (relative to home) or `table.column`, what kind it is, and how often."""

    where: str
    kind: str
    n_texts: int
    n_names: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scan saw. `n_shared` stretches were said by others too and were not looked for."""

    n_files: int
    n_bytes: int
    n_needles: int
    n_shared: int
    found: tuple[Residue, ...] = ()
    unread: tuple[str, ...] = ()  # files that could not be looked into

    @property
    def is_clean(self) -> bool:
        return not self.found and not self.unread

    def as_json(self) -> dict[str, Any]:
        return {
            "files": self.n_files,
            "bytes": self.n_bytes,
            "needles": self.n_needles,
            "shared": self.n_shared,
            "found": [asdict(item) for item in self.found],
            "unread": list(self.unread),
            "clean": self.is_clean,
        }

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()


def scan(
    database: Database,
    home: Path,
    scanner: Scanner,
    *,
    space_id: str | None = None,
    elsewhere: Collection[Needle] = (),
    n_shared: int = 0,
    left_out: Collection[Path] = (),
    progress: Progress = no_progress,
) -> Scan:
    """Every file under home but those in `left_out` (backups, which are listed by themselves), and every row.

    `elsewhere` are names that another space has as well: they are looked for in the rows of `space_id` only.
    """
    in_rows = scanner
    if elsewhere:
        scanner = Scanner(needle for needle in scanner.needles if needle not in elsewhere)
    paths = [path for path in sorted(home.rglob("*")) if path.is_file() or path.is_symlink()]
    paths = [path for path in paths if path not in left_out]
    total = sum(_size(path) for path in paths)
    found: list[Residue] = []
    unread: list[str] = []
    seen = _Bytes(0, total, progress)
    for path in paths:
        kind = files.kind_of(home, path)
        name = path.relative_to(home).as_posix()
        counts: Counter[int] = Counter()
        _in_block(scanner, name.encode("utf-8", "surrogateescape"), counts)
        try:
            if path.is_file() and not path.is_symlink():
                _scan_file(path, scanner, kind, counts, seen)
        except (OSError, EOFError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, RuntimeError):
            unread.append(_shown(scanner, name))
        if path.suffix in _PACKED:
            unread.append(_shown(scanner, name))
        if counts:
            found.append(_residue(scanner, _shown(scanner, name), kind, counts))
    sealed, n_sealed = _scan_sealed(database, home, scanner, seen)
    found += sealed
    if len(in_rows):
        found += _scan_rows(database, in_rows, space_id)
    return Scan(
        len(paths) + n_sealed, seen.done, len(in_rows), n_shared + len(elsewhere), tuple(found), tuple(unread)
    )


def _shown(scanner: Scanner, name: str) -> str:
    """A path to print and keep: where it holds an erased word itself, its hash stands for it."""
    if next(scanner.find(name.encode("utf-8", "surrogateescape")), None) is None:
        return name
    return f"(file {hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:12]})"


@dataclass(slots=True)
class _Bytes:
    done: int
    total: int
    progress: Progress

    def read(self, n_bytes: int) -> None:
        self.done += n_bytes
        self.progress(min(self.done, self.total), max(1, self.total))


def _size(path: Path) -> int:
    return path.lstat().st_size


def _scan_file(path: Path, scanner: Scanner, kind: str, counts: Counter[int], seen: _Bytes) -> None:
    is_wide = kind == "base model" or path.suffix in _NUMBERS
    relevant = _not_by_chance if is_wide else _any
    with path.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        _scan_stream(file, scanner, counts, relevant, seen.read, _held(kind))
    if path.suffix == ".safetensors" and kind != "base model":
        _scan_header(path, scanner, counts)
    for inner in _inside(path, head):
        _scan_stream(inner, scanner, counts, relevant, lambda n_bytes: None)


def _scan_sealed(database: Database, home: Path, scanner: Scanner, seen: _Bytes) -> tuple[list[Residue], int]:
    """What an encrypted home keeps on the disk, as it is inside: pages of its store, freed ones with them, and sealed files."""
    opened = opened_at(home)
    if opened is None:
        return [], 0
    found, n_files = [], 0
    store = Path(database.engine.url.database or "")
    pages = sealing.pages(store) if store.parent == opened.place else iter(())
    for where, kind, stream in _unsealed(opened, home, store.name, pages):
        counts: Counter[int] = Counter()
        relevant = _not_by_chance if where.endswith(_NUMBERS) else _any
        _scan_stream(stream, scanner, counts, relevant, seen.read, _held(kind))
        n_files += 1
        if counts:
            found.append(_residue(scanner, _shown(scanner, where), kind, counts))
    return found, n_files


def _unsealed(
    opened: OpenHome, home: Path, store: str, pages: Iterator[bytes]
) -> Iterator[tuple[str, str, IO[bytes]]]:
    yield store, "database", cast(IO[bytes], _Joined(pages))
    for name, stream in opened.contents():
        yield f"sealed: {name}", files.kind_of(home, home / name), stream


class _Joined:
    """Blocks as a stream."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks

    def read(self, n_bytes: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        for block in self._blocks:
            parts.append(block)
            size += len(block)
            if size >= n_bytes:
                break
        return b"".join(parts)


def _held(kind: str) -> Held:
    return "packed" if kind in ("database", "index") else "bytes"


def _any(needle: Needle) -> bool:
    return True


def _not_by_chance(needle: Needle) -> bool:
    return not needle.is_single


def _scan_header(path: Path, scanner: Scanner, counts: Counter[int]) -> None:
    """The part of a safetensors file that holds text: one-word names count there."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, 100 << 20))
    for found in scanner.find(header, lambda needle: needle.is_single):
        counts[found.needle] += 1


def _scan_stream(
    stream: IO[bytes],
    scanner: Scanner,
    counts: Counter[int],
    relevant: Callable[[Needle], bool],
    seen: Callable[[int], None],
    held: Held = "bytes",
) -> None:
    tail, block = b"", stream.read(BLOCK)
    while block:
        following = stream.read(BLOCK)
        whole = tail + block
        # what begins in the last stretch is counted with the next block, which begins with it
        edge = len(whole) - OVERLAP if following else len(whole)
        for found in scanner.find(whole, relevant, held=held):
            if found.offset < edge and (not tail or found.offset >= _MARGIN):
                counts[found.needle] += 1
        tail = whole[max(0, edge - _MARGIN) :]
        seen(len(block))
        block = following


_MARGIN = AROUND  # bytes before a place that tell whether a name is a whole word, and stands in text


def _in_block(scanner: Scanner, block: bytes, counts: Counter[int]) -> None:
    for found in scanner.find(block):
        counts[found.needle] += 1


def _inside(path: Path, head: bytes) -> Iterator[IO[bytes]]:
    """What an archive holds, unpacked: zip, tar, gzip, bzip2 and xz, and a tar inside of the last three."""
    if head.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                with archive.open(member) as file:
                    yield file
        return
    for magic, open_packed in _PACKERS.items():
        if head.startswith(magic):
            with open_packed(path) as opened:
                yield opened


_PACKERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def _residue(scanner: Scanner, where: str, kind: str, counts: Counter[int]) -> Residue:
    n_names = sum(count for number, count in counts.items() if scanner.needles[number].is_name)
    return Residue(where, kind, sum(counts.values()) - n_names, n_names)


def _scan_rows(database: Database, scanner: Scanner, space_id: str | None) -> list[Residue]:
    """The same over every column with words in it, of one space or all: for stores that are no files of the home."""
    found = []
    with database.reading() as session:
        for mapped, columns in WORDS.items():
            for column in columns:
                counts: Counter[int] = Counter()
                here = None if space_id is None else of_space(mapped, space_id)
                for block in _blocks(session, mapped, column, where=here):
                    _in_block(scanner, block, counts)
                if counts:
                    where = f"{mapped.__tablename__}.{column}"
                    found.append(_residue(scanner, where, "row", counts))
    return found


def _blocks(
    session: Session, mapped: Any, column: str, gone: Collection[str] = (), where: Any = None
) -> Iterator[bytes]:
    """The column's values as UTF-8 (JSON as JSON), many to a block, parted by zeros; without the rows in `gone`."""
    parts: list[bytes] = []
    size = 0
    query = select(inspect(mapped).primary_key[0], getattr(mapped, column))
    if where is not None:
        query = query.where(where)
    for key, value in session.execute(query).yield_per(1000):
        if value is None or key in gone:
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        parts.append(text.encode("utf-8", "surrogatepass"))
        size += len(parts[-1])
        if size > BLOCK:
            yield b"\0\0".join(parts)
            parts, size = [], 0
    if parts:
        yield b"\0\0".join(parts)


def shared(
    session: Session,
    needles: Iterable[Needle],
    gone: Collection[str] = (),
    *,
    by_people: bool = False,
) -> set[Needle]:
    """Stretches of text that a message which stays says as well: nothing that a scan could hold against anybody.

    `gone` are ids of messages and of what messages were before. With `by_people` no simulated message counts: it may
    quote what is erased.
    """
    scanner = Scanner(needle for needle in needles if not needle.is_name)
    if not len(scanner):
        return set()
    version = tables.EpisodeVersion
    versions = select(version.id, version.episode_id)
    gone_versions = {row.id for row in session.execute(versions) if row.id in gone or row.episode_id in gone}
    said = tables.Episode.origin != "simulated"
    said_before = version.episode_id.in_(select(tables.Episode.id).where(said))
    return {
        scanner.needles[found.needle]
        for mapped, left_out, where in ((tables.Episode, gone, said), (version, gone_versions, said_before))
        for block in _blocks(session, mapped, "text", left_out, where if by_people else None)
        for found in scanner.find(block)
    }


def elsewhere(session: Session, space_id: str, needles: Iterable[Needle]) -> set[Needle]:
    """Names that rows of another space of this store hold too: they stay in its files, rightly."""
    scanner = Scanner(needles)
    n_spaces = session.scalar(select(func.count()).select_from(tables.Space)) or 0
    if not len(scanner) or n_spaces < 2:
        return set()
    return {
        scanner.needles[found.needle]
        for mapped, columns in WORDS.items()
        for column in columns
        for block in _blocks(session, mapped, column, where=mapped.space_id != space_id)  # type: ignore[attr-defined]
        for found in scanner.find(block)
    }
