"""The page's files as they are served: read once, compressed once, named by the hash of all of them.

The page is plain ES modules without a build step, so what is in `service/page/` is what a browser gets. Every address but
`/` holds the hash: it may be kept for ever, and another version of the program is another address.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"
_VERSION = b"{version}"  # stands in the index for the hash


@dataclass(frozen=True, slots=True)
class PageFile:
    body: bytes
    packed: bytes  # gzip
    media_type: str
    etag: str


class Page:
    """All files of the page, by their path below its folder. Safe for threads."""

    @cached_property
    def _raw(self) -> dict[str, bytes]:
        return dict(sorted(_read(files("service").joinpath("page"), "")))

    @cached_property
    def version(self) -> str:
        """The hash of the names and contents of every file."""
        found = hashlib.sha256()
        for name, body in self._raw.items():
            found.update(f"{name}\0{len(body)}\0".encode() + body)
        return found.hexdigest()[:16]

    @cached_property
    def _files(self) -> dict[str, PageFile]:
        return {name: self._served(name, body) for name, body in self._raw.items()}

    def find(self, name: str) -> PageFile | None:
        """The file, or None: there is nothing but what the folder holds, whatever the name says."""
        return self._files.get(name)

    @property
    def index(self) -> PageFile:
        return self._files[_INDEX]

    def _served(self, name: str, body: bytes) -> PageFile:
        if name == _INDEX:
            body = body.replace(_VERSION, self.version.encode())
        digest = hashlib.sha256(body).hexdigest()[:32]
        return PageFile(body, gzip.compress(body, mtime=0), _TYPES[_suffix(name)], f'"{digest}"')


def _suffix(name: str) -> str:
    return name[name.rfind(".") :] if "." in name else ""


def _read(folder: Traversable, before: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _read(entry, f"{before}{entry.name}/")
        elif _suffix(entry.name) in _TYPES:
            found.append((before + entry.name, entry.read_bytes()))
    return found
