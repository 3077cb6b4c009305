"""The key of an encrypted home: 32 bytes, from a variable of the environment or a file that only its owner can read.

For each purpose another key is derived by HKDF-SHA-256 (RFC 5869), so that none of them tells anything of another.
"""

from __future__ import annotations

import binascii
import hmac
import os
import secrets
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from db.errors import MissingCipher
from memory.errors import BadKeyFile, KeyMissing

KEY_BYTES = 32
Purpose = Literal["store", "files", "names", "backups", "check"]


@dataclass(frozen=True, slots=True)
class HomeKey:
    """Never shown: not by `repr`, and so in no log and no traceback."""

    secret: bytes = field(repr=False)

    def derived(self, purpose: Purpose, of: str = "") -> bytes:
        """The key for one purpose of the home that is named so; backups are of none."""
        return derive(self.secret, of.encode(), f"slowwave {purpose} 1")

    def fits(self, check: str, of: str) -> bool:
        return hmac.compare_digest(self.check(of), check)

    def check(self, of: str) -> str:
        """By which a home tells its key from another; it says nothing of the key."""
        return self.derived("check", of).hex()


def derive(secret: bytes, salt: bytes, info: str) -> bytes:
    try:
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    except ModuleNotFoundError as error:
        raise MissingCipher("cryptography") from error
    return HKDF(SHA256(), KEY_BYTES, salt, info.encode()).derive(secret)


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where a home's key is. A file wins over a variable."""

    variable: str = ""
    file: str = ""

    def is_set(self, environ: Mapping[str, str] = os.environ) -> bool:
        """Whether the variable holds something."""
        return bool(self.variable and environ.get(self.variable))

    def read(self, home: Path, environ: Mapping[str, str] = os.environ) -> HomeKey:
        """Raises KeyMissing, BadKeyFile."""
        if self.file:
            return _from_file(Path(self.file).expanduser(), home)
        value = environ.get(self.variable, "") if self.variable else ""
        if not value:
            raise KeyMissing(self.variable)
        return HomeKey(_bytes_of(value.encode(), f"the variable {self.variable}"))


def _from_file(file: Path, home: Path) -> HomeKey:
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode):
            raise BadKeyFile(str(file), "it is no file")
        if file.resolve().is_relative_to(home.resolve()):
            raise BadKeyFile(str(file), "it lies in the home that it opens; move it out")
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise BadKeyFile(str(file), f"others may read it; run `chmod 600 {file}`")
        return HomeKey(_bytes_of(file.read_bytes(), str(file)))
    except OSError as error:
        raise BadKeyFile(str(file), error.strerror or "it cannot be read") from error


def _bytes_of(content: bytes, where: str) -> bytes:
    """32 bytes as they are, or 64 hex digits."""
    if len(content) == KEY_BYTES:
        return content
    with suppress(binascii.Error, ValueError):
        if len(found := binascii.unhexlify(content.strip())) == KEY_BYTES:
            return found
    raise BadKeyFile(where, "it takes 64 hex digits, as `openssl rand -hex 32` writes them")


def make_key_file(file: Path, home: Path) -> HomeKey:
    """A new random key in a new file that only its owner can read. Raises BadKeyFile where the file is there."""
    secret = secrets.token_bytes(KEY_BYTES)
    file = file.expanduser()
    if file.resolve().is_relative_to(home.resolve()):
        raise BadKeyFile(str(file), "it would lie in the home that it opens; give a place outside of it")
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(f"{secret.hex()}\n")
            opened.flush()
            os.fsync(opened.fileno())
    except OSError as error:
        raise BadKeyFile(str(file), error.strerror or "it cannot be written") from error
    return HomeKey(secret)
