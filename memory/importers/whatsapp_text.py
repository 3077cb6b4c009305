"""What the words of one WhatsApp message are: text, a medium, a deleted message, an edited one, a system notice."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from memory.types import MessageKind

MARK = "\u200e"  # iOS and newer Android put it before words the app wrote itself
_MARGIN = " \t\r\n\u00a0\u202f\u200e\u200f\u202a\u202b\u202c\u2066\u2067\u2068\u2069\ufeff"
_ATTACHED = re.compile(
    r"[\u200e\u200f]*(?:<[^<>:\n]{2,40}: ?[^<>\n]+\.\w{2,5}>"  # iOS: <attached: 00000012-PHOTO-2025.jpg>
    r"|(?:IMG|VID|AUD|PTT|STK|DOC)-\d{8}-WA\d+\.\w{2,5} \([^()\n]+\)"  # Android, in any language
    r"|[^\n/\\:]{1,200}\.\w{2,5} \(file attached\))"
)
_OMITTED = re.compile(r"(?s)(?P<caption>.*?)\s*\u200e(?P<medium>[^\u200e\n]{2,60})")
_QUOTED = re.compile(r"[\"“„«](?P<name>[^\"“”„«»]+)[\"”“»]\s*\.?\s*$")


class _Phrases(NamedTuple):
    media: frozenset[str]
    deleted: frozenset[str]
    edited: tuple[str, ...]
    notice: re.Pattern[str]


@cache
def _phrases() -> _Phrases:
    path = Path(__file__).with_name("phrases.toml")
    lists: dict[str, list[str]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return _Phrases(
        media=frozenset(lists["media"]),
        deleted=frozenset(lists["deleted"]),
        edited=tuple(lists["edited"]),
        notice=re.compile("|".join(f"(?:{pattern})" for pattern in lists["notice"]), re.IGNORECASE),
    )


def classify(raw: str) -> tuple[MessageKind, str, bool]:
    """Kind, words and whether they were edited. A medium with a caption is text: its caption."""
    text, is_edited = _strip_edited(raw.strip(_MARGIN))
    if plain := _plain(text):
        if plain in _phrases().deleted or plain.startswith("this message was deleted by admin "):
            return "deleted", text, is_edited
        if plain in _phrases().media:
            return "media", text, is_edited
    caption = _caption(text)
    if caption is None:
        return "text", text, is_edited
    return ("text", caption, is_edited) if caption else ("media", text.replace(MARK, ""), is_edited)


def is_notice(text: str, *, must_be_marked: bool = True) -> bool:
    """Whether the app wrote this line to tell of an event. In a message's place such a line carries a mark."""
    if must_be_marked and not text.startswith(MARK):
        return False
    line = text.strip(_MARGIN)
    return _plain(line) not in _phrases().deleted and bool(_phrases().notice.search(line))


def subject_of(notice: str) -> str | None:
    """The group's name, where the notice gives one."""
    line = notice.strip(_MARGIN)
    if not re.search(r"(?i)created (the |this )?group|changed the (subject|group name)", line):
        return None
    match = _QUOTED.search(line)
    return match["name"].strip() if match else None


def _plain(text: str) -> str:
    return text.casefold().rstrip(".") if len(text) < 120 else ""


def _strip_edited(text: str) -> tuple[str, bool]:
    if not text.endswith(">"):
        return text, False
    folded = text[-80:].casefold()
    for suffix in _phrases().edited:
        if folded.endswith(suffix):
            return text[: -len(suffix)].rstrip(_MARGIN), True
    return text, False


def _caption(text: str) -> str | None:
    """What was written to a medium ("" for nothing), or None where the message holds no medium."""
    if "<" not in text and "(" not in text and MARK not in text:
        return None
    attached = _ATTACHED.match(text)
    if attached and (attached.end() == len(text) or text[attached.end()] == "\n"):
        return text[attached.end() :].strip(_MARGIN)
    head, newline, after = text.partition("\n")
    if newline and head.startswith("<") and _plain(head.strip(_MARGIN)) in _phrases().media:
        return after.strip(_MARGIN)
    if MARK not in text:
        return None
    omitted = _OMITTED.fullmatch(text)
    if omitted and (
        _plain(omitted["medium"].strip(_MARGIN)) in _phrases().media or _ATTACHED.fullmatch(omitted["medium"])
    ):
        before = omitted["caption"].replace(MARK, "").strip(_MARGIN)
        is_title = "•" in before or re.search("do[ck]ument", omitted["medium"], re.IGNORECASE)
        return "" if is_title else before
    return None
