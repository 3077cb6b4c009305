"""E-mail in mbox files: what Thunderbird, Apple Mail, Gmail's Takeout and most servers write (RFC 4155).

Messages begin with a line `From ` after a blank one. Of a message its own words are kept: replies quoted in it, signatures
and footers of lists are left out, as are attachments. HTML is read where there is no plain text. Who was written to heard it;
the conversation is that circle of people, so that nobody is taken to have read what went to others.
"""

from __future__ import annotations

import email
import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from email import policy
from email.errors import MessageError
from email.message import EmailMessage, MIMEPart
from email.policy import EmailPolicy
from email.utils import getaddresses, parsedate_to_datetime
from functools import lru_cache
from typing import Any, cast

from memory import names
from memory.importers.files import File
from memory.importers.mail_text import own_words, text_of_html
from memory.importers.shape import DAMAGE, Reading, ReadOptions, people_of
from memory.importers.values import whole_text
from memory.types import Message, Row, Skipped

MAX_BYTES = 48 << 20  # of one message with its attachments; a larger one is left out and reported
_FROM = re.compile(rb"From \S.*\d{4}\s*$|From \S+\s*$|From - .*")
_HEAD = re.compile(r"From .*\n(?:>?[\w-]+: ?.*\n|[ \t].*\n){1,}")
_REPLY = re.compile(r"(?i)^(?:(?:re|aw|sv|antw|rv|vs|fwd?|wg|tr)(?:\[\d+\])?:\s*)+")
_MAIL_DAMAGE = (*DAMAGE, MessageError)


class _Policy(EmailPolicy):
    """Parses what a part says of its type once and not a dozen times; mails say the same few things there."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        if name.lower() in ("content-type", "content-transfer-encoding"):
            return _of_content(name, value)
        return super().header_fetch_parse(name, value)


@lru_cache(maxsize=512)
def _of_content(name: str, value: str) -> Any:
    return policy.default.header_fetch_parse(name, value)


_POLICY = _Policy()


def looks_like(head: str) -> bool:
    return _HEAD.match(head.lstrip("\ufeff\n")) is not None


def read(file: File, options: ReadOptions) -> Reading:
    def rows() -> Iterator[Row]:
        for number, raw in enumerate(_messages(file)):
            place = f"message {number}"
            if raw is None:
                yield Skipped(place, f"larger than {MAX_BYTES >> 20} MiB")
            else:
                yield _row(raw, place, options.zone)

    return Reading("mbox", ("e-mail, mbox",), rows)


def _messages(file: File) -> Iterator[bytes | None]:
    """The bytes of each message, None for one that is too large."""
    lines: list[bytes] = []
    size, is_after_blank, is_begun = 0, True, False
    with file.open() as stream:
        for line in stream:
            if is_after_blank and _FROM.match(line):
                if is_begun:
                    yield b"".join(lines) if size <= MAX_BYTES else None
                lines, size, is_begun = [], 0, True
                continue
            size += len(line)
            if size <= MAX_BYTES:
                lines.append(line[1:] if line.startswith(b">From ") else line)
            is_after_blank = line in (b"\n", b"\r\n")
    if is_begun:
        yield b"".join(lines) if size <= MAX_BYTES else None


def _row(raw: bytes, place: str, zone: tzinfo) -> Row:
    try:
        mail = cast(EmailMessage, email.message_from_bytes(raw, policy=_POLICY))
        time = _time(mail, zone)
        senders, heard = _people(mail, "from"), _people(mail, "to", "cc")
        if not senders:
            return Skipped(place, "no sender")
        text = _text(mail)
        subject = " ".join(whole_text(str(mail.get("subject") or "")).split())
        identity = str(mail.get("message-id") or "").strip() or None
    except _MAIL_DAMAGE:
        return Skipped(place, "no readable time, sender or text")
    if subject and not _REPLY.match(subject):
        text = f"{subject}\n\n{text}".strip()
    people = tuple(dict.fromkeys((senders[0], *heard)))
    return Message(
        time,
        senders[0],
        text or "<attachment>",
        "text" if text else "media",
        external_id=identity,
        conversation=_circle(people),
        hearers=people,
    )


def _time(mail: EmailMessage, zone: tzinfo) -> datetime:
    """When it was sent; raises TypeError or ValueError."""
    time = parsedate_to_datetime(str(mail["date"]))
    time = time.replace(tzinfo=zone) if time.tzinfo is None else time
    if not 1970 <= time.astimezone(UTC).year <= 2200:
        raise ValueError("a year out of range")
    return time


def _people(mail: EmailMessage, *fields: str) -> list[str]:
    """Names, or addresses where there is no name; each once, in their order."""
    written = [str(value) for name in fields for value in mail.get_all(name, [])]
    found = []
    for name, address in getaddresses(written):
        shown = names.clean(whole_text(name)) or names.clean(address)
        if shown:
            found.append(shown)
    return list(dict.fromkeys(found))


def _circle(people: tuple[str, ...]) -> str:
    """The same name for the same people, whoever wrote; of many the first few and a mark that tells circles apart."""
    ordered = sorted(set(people), key=names.key)
    if len(ordered) <= 4:
        return people_of(ordered)
    mark = hashlib.sha256("\x1f".join(map(names.key, ordered)).encode()).hexdigest()[:6]
    return f"{people_of(ordered[:3])} and {len(ordered) - 3} others ({mark})"


def _text(mail: EmailMessage) -> str:
    part = mail.get_body(("plain", "html"))
    if part is None:
        return ""
    raw = _decoded(part)
    text = text_of_html(raw) if part.get_content_subtype() == "html" else raw
    return own_words(whole_text(text))


def _decoded(part: MIMEPart) -> str:
    """The part's text in the character set it names, else in one that fits."""
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return str(part.get_payload())
    for charset in (part.get_content_charset() or "utf-8", "utf-8"):
        try:
            return payload.decode(charset)
        except (LookupError, UnicodeDecodeError):
            continue
    return payload.decode("cp1252", "replace")
