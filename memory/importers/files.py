"""The files of an export as streams: a file, the files of a folder, the members of a zip archive.

Every stream counts what is read of it, for progress. Text is UTF-8 or UTF-16, with or without a mark, or Windows-1252; bytes
that are none become U+FFFD and are counted. Lines end with LF or CRLF; NUL is dropped. Nothing is unpacked to disk.
"""

from __future__ import annotations

import codecs
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from memory.errors import BrokenExport, UnknownFormat, ZipInZip

Watch = Callable[[int], None]  # bytes read so far, over all streams and passes

HEAD_BYTES = 65_536  # in which a format must show itself
_LOST = re.compile("[\udc80-\udcff]")
_WATCH_EVERY = 1 << 20
_MOST_ASCII = 0.4  # of the letters of an export are signs and digits, whatever its language
_FEWEST_WESTERN = 3  # bytes beyond ASCII from which on a file may be Windows-1252
_MOST_WESTERN = 0.2  # of a text's bytes; in other scripts most are beyond ASCII
_HIGH = re.compile(rb"[\x80-\xff]")
_LETTERS = re.compile(rb"[\x84\x91-\x97\xa1\xab\xbb\xbf-\xff]")  # of Windows-1252, quotation marks and dashes
_UTF8 = re.compile(rb"[\xc3-\xf4][\x80-\xbf]")
_READ = 1 << 17  # characters of text at a time


@dataclass(slots=True)
class Meter:
    """Counts the bytes read of an export, and of those that were no text."""

    watch: Watch | None = None
    n_bytes: int = 0
    n_lost: int = 0
    _told: int = 0

    def add(self, n_bytes: int) -> None:
        self.n_bytes += n_bytes
        if self.watch is not None and self.n_bytes - self._told >= _WATCH_EVERY:
            self._told = self.n_bytes
            self.watch(self.n_bytes)


class _Counted(io.RawIOBase):
    """A stream that tells a meter what was read of it."""

    def __init__(self, stream: IO[bytes], meter: Meter, name: str) -> None:
        self._stream, self._meter, self._name = stream, meter, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            part = self._stream.read(len(buffer))
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise BrokenExport(self._name, "a file in the archive cannot be unpacked") from error
        buffer[: len(part)] = part
        self._meter.add(len(part))
        return len(part)

    def close(self) -> None:
        self._stream.close()
        super().close()


@dataclass(frozen=True, slots=True)
class File:
    """One file of an export. `name` is as it is called in its folder or archive, with / between folders."""

    name: str
    size_bytes: int
    path: Path  # of the file, or of the archive that holds it
    member: str | None = None
    meter: Meter = field(default_factory=Meter, compare=False)
    archive: zipfile.ZipFile | None = field(
        default=None, compare=False, repr=False
    )  # opened once for all of it

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    def open(self) -> io.BufferedReader:
        """The bytes, from the beginning. Raises BrokenExport where an archive is damaged; OSError if unreadable."""
        return io.BufferedReader(_Counted(self._raw(), self.meter, self.path.name), 1 << 18)

    def _raw(self) -> IO[bytes]:
        if self.member is None or self.archive is None:
            return self.path.open("rb")
        try:
            return self.archive.open(self.member)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, UnicodeDecodeError) as error:
            raise BrokenExport(self.path.name, "a file in the archive cannot be unpacked") from error

    def head(self) -> bytes:
        with self.open() as stream:
            return stream.read(HEAD_BYTES)

    def text(self) -> io.TextIOWrapper:
        """The text from the beginning, line ends as they are; bytes that are no text are lone surrogates in it."""
        stream = self.open()
        encoding = encoding_of(stream.peek(HEAD_BYTES)[:HEAD_BYTES])
        if encoding is None:
            stream.close()
            raise UnknownFormat(self.name)
        errors = "replace" if encoding.startswith("utf-16") else "surrogateescape"
        return io.TextIOWrapper(stream, encoding, errors=errors, newline="\n")

    def lines(self) -> Iterator[str]:
        """The lines, each without its end."""
        with self.text() as text:
            begun: list[str] = []  # of a line that has not ended
            while part := text.read(_READ):
                part = self.mend(part)
                if "\n" not in part:
                    begun.append(part)
                    continue
                whole = "".join((*begun, part))
                lines = (whole.replace("\r\n", "\n") if "\r" in whole else whole).split("\n")
                begun = [lines.pop()]
                yield from lines
            if last := "".join(begun):
                yield last

    def mend(self, text: str) -> str:
        """What `text()` gave, fit for the store: lost bytes are U+FFFD and counted, NUL is gone."""
        if "\0" in text:
            text = text.replace("\0", "")
        try:
            text.encode()
        except UnicodeEncodeError:
            text, n_lost = _LOST.subn("\ufffd", text)
            self.meter.n_lost += n_lost
        return text

    def head_text(self) -> str:
        """The beginning as text, with plain line ends; "" where it is no text."""
        raw = self.head()
        encoding = encoding_of(raw)
        return raw.decode(encoding, "replace").replace("\r\n", "\n") if encoding else ""

    def sha256(self) -> str:
        digest = hashlib.sha256()
        with self.open() as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
        return digest.hexdigest()


def encoding_of(head: bytes) -> str | None:
    """In what these first bytes of a file are written; None where they are no text.

    UTF-16 is known by its mark, or by a zero in every other place. Windows-1252 is believed where some bytes are beyond
    ASCII, all of these are its letters and quotation marks, and no two of them make a letter of UTF-8.
    """
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in head[:8192]:
        pairs = len(head[:8192]) // 2
        even, odd = head[:8192:2].count(0), head[1:8192:2].count(0)
        if min(even, odd) == 0 and max(even, odd) > _MOST_ASCII * pairs:
            return "utf-16-le" if odd else "utf-16-be"
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        n_high, n_letters = len(_HIGH.findall(head)), len(_LETTERS.findall(head))
        is_western = _FEWEST_WESTERN <= n_letters == n_high < _MOST_WESTERN * len(head)
        if is_western and not _UTF8.search(head):
            return "cp1252"
    return "utf-8-sig"


def gather(path: Path, meter: Meter, name: str = "") -> tuple[File, ...]:
    """The file, or the files of the folder or archive, in order of their names; `name` is a single file's, where its
    path does not tell it.

    Raises ZipInZip, BrokenExport for a damaged or locked archive, and OSError.
    """
    if path.is_dir():
        found = sorted(inner for inner in path.rglob("*") if inner.is_file())
        return tuple(
            File(inner.relative_to(path).as_posix(), inner.stat().st_size, inner, None, meter)
            for inner in found
            if not _is_hidden(inner.relative_to(path).as_posix())
        )
    with path.open("rb") as stream:
        is_zip = stream.read(4) == b"PK\x03\x04"
    if not is_zip:
        return (File(name or path.name, path.stat().st_size, path, None, meter),)
    return _members(path, meter)


def _members(path: Path, meter: Meter) -> tuple[File, ...]:
    try:
        archive = zipfile.ZipFile(path)
        every = [info for info in archive.infolist() if info.filename]  # without a name it is nothing
        infos = [info for info in every if not info.is_dir() and not _is_hidden(info.filename)]
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise BrokenExport(path.name, "the zip archive breaks off or is malformed") from error
    if any(info.flag_bits & 1 for info in infos):
        raise BrokenExport(path.name, "the zip archive is locked with a password; unpack it first")
    for info in infos:
        if info.filename.lower().endswith(".zip"):
            raise ZipInZip(path.name)
    ordered = sorted(infos, key=lambda info: info.filename)
    return tuple(File(info.filename, info.file_size, path, info.filename, meter, archive) for info in ordered)


def _is_hidden(name: str) -> bool:
    """What file systems and archivers add of their own."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def digest(files: tuple[File, ...]) -> str:
    """The sha256 of the bytes, which is that of the file where there is only one that was given by itself."""
    if files[0].member is not None:
        return File("", 0, files[0].path).sha256()
    if len(files) == 1:
        return files[0].sha256()
    whole = hashlib.sha256()
    for file in files:
        whole.update(f"{file.name}\x1f{file.sha256()}\x1e".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()
