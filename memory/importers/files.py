"""The files of an export as streams: a file, the files of a folder, the members of a zip archive.

Every stream counts what is read of it, for progress. Text is UTF-8 (with or without a mark) or UTF-16 with a mark; bytes
that are neither become U+FFFD and are counted. Lines end with LF or CRLF; NUL is dropped. Nothing is unpacked to disk.
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

    @property
    def stem(self) -> str:
        return PurePosixPath(self.name).stem

    def open(self) -> io.BufferedReader:
        """The bytes, from the beginning. Raises BrokenExport where an archive is damaged; OSError if unreadable."""
        return io.BufferedReader(_Counted(self._raw(), self.meter, self.path.name), 1 << 18)

    def _raw(self) -> IO[bytes]:
        if self.member is None:
            return self.path.open("rb")
        try:
            return zipfile.ZipFile(self.path).open(self.member)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise BrokenExport(self.path.name, "a file in the archive cannot be unpacked") from error

    def head(self) -> bytes:
        with self.open() as stream:
            return stream.read(HEAD_BYTES)

    def text(self) -> io.TextIOWrapper:
        """The text from the beginning, line ends as they are; bytes that are no text are lone surrogates in it."""
        stream = self.open()
        head = stream.peek(8192)[:8192]
        is_wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        if not is_wide and b"\0" in head:
            stream.close()
            raise UnknownFormat(self.name)
        if is_wide:
            return io.TextIOWrapper(stream, "utf-16", errors="replace", newline="\n")
        return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="\n")

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
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return raw.decode("utf-16", "replace").replace("\r\n", "\n")
        if b"\0" in raw[:8192]:
            return ""
        return raw.decode("utf-8-sig", "replace").replace("\r\n", "\n")

    def sha256(self) -> str:
        digest = hashlib.sha256()
        with self.open() as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
        return digest.hexdigest()


def gather(path: Path, meter: Meter) -> tuple[File, ...]:
    """The file, or the files of the folder or archive, in order of their names.

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
        return (File(path.name, path.stat().st_size, path, None, meter),)
    return _members(path, meter)


def _members(path: Path, meter: Meter) -> tuple[File, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [
                info for info in archive.infolist() if not info.is_dir() and not _is_hidden(info.filename)
            ]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise BrokenExport(path.name, "the zip archive breaks off or is malformed") from error
    if any(info.flag_bits & 1 for info in infos):
        raise BrokenExport(path.name, "the zip archive is locked with a password; unpack it first")
    for info in infos:
        if info.filename.lower().endswith(".zip"):
            raise ZipInZip(path.name)
    ordered = sorted(infos, key=lambda info: info.filename)
    return tuple(File(info.filename, info.file_size, path, info.filename, meter) for info in ordered)


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
