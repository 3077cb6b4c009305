"""DiscordChatExporter's JSON: one channel, thread or direct chat per file.

People go by the name their channel shows (nickname, else display name); two accounts with the same shown name are told
apart by their account names. Bots are nobody: what they wrote is left out and reported. Written for version 2.46.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import tzinfo
from typing import Any

from memory import names
from memory.importers.files import File
from memory.importers.json_stream import JsonDamage, JsonStream
from memory.importers.shape import DAMAGE, Reading, ReadOptions, broken_off, people_of
from memory.importers.values import parse_time, whole_text
from memory.types import BY_BOT, SYSTEM, Message, Row, Skipped

# message types that a person sends; numbers are what older exporters wrote for the same
# fmt: off
_SENT = frozenset((
    "Default", "Reply", "ThreadStarterMessage", "ChatInputCommand", "ContextMenuCommand", "0", "19",
    "20", "21", "23",
))
# fmt: on


def looks_like(head: str) -> bool:
    return re.search(r'"channel"\s*:\s*\{', head) is not None and '"messages"' in head


def read(file: File, options: ReadOptions) -> Reading:
    """The channel, after one look through the file at who is who."""
    survey = _survey(file)
    shown = _shown_names(survey.authors)
    conversation = _conversation(survey, shown)

    def rows() -> Iterator[Row]:
        try:
            with JsonStream(file) as stream:
                for key in stream.members():
                    if key == "messages":
                        for number, message in enumerate(stream.elements()):
                            yield _row(message, number, shown, conversation, options.zone)
        except JsonDamage as damage:
            yield broken_off(damage)

    return Reading("discord", ("DiscordChatExporter, JSON",), rows)


@dataclass(slots=True)
class _Survey:
    channel: Any = None
    guild: Any = None
    authors: dict[str, dict[str, Any]] = field(default_factory=dict)  # by account


def _survey(file: File) -> _Survey:
    """Names of the channel and its people, as far as the file can be read."""
    survey = _Survey()
    with suppress(JsonDamage), JsonStream(file) as stream:
        for key in stream.members():
            if key == "channel":
                survey.channel = stream.value()
            elif key == "guild":
                survey.guild = stream.value()
            elif key == "messages":
                for message in stream.elements():
                    with suppress(*DAMAGE):
                        if not message["author"].get("isBot"):
                            survey.authors[_account(message["author"])] = message["author"]
    return survey


def _row(row: Any, number: int, shown: dict[str, str], conversation: str, zone: tzinfo) -> Row:
    place = f"message {number}"
    try:
        if row["author"].get("isBot"):
            return Skipped(place, BY_BOT)
        if str(row.get("type", "Default")) not in _SENT:
            return Skipped(place, SYSTEM)
        return replace(_message(row, shown, zone), conversation=conversation)
    except DAMAGE:
        return Skipped(place, "no readable time, text or author")


def _message(row: dict[str, Any], shown: dict[str, str], zone: tzinfo) -> Message:
    text = whole_text(row.get("content") or "").strip()
    return Message(
        time=parse_time(row["timestamp"], zone),
        speaker=shown[_account(row["author"])],
        text=text or f"<{_medium(row)}>",
        kind="text" if text else "media",
        is_edited=bool(row.get("timestampEdited")),
        external_id=str(row.get("id", "")) or None,
    )


def _medium(row: dict[str, Any]) -> str:
    kinds = [kind for kind in ("attachments", "stickers", "embeds", "poll") if row.get(kind)]
    return kinds[0].removesuffix("s") if kinds else "media"


def _account(author: dict[str, Any]) -> str:
    return str(author.get("id") or author["name"])


def _shown_names(authors: dict[str, dict[str, Any]]) -> dict[str, str]:
    """From account to the name it goes by, unique within the file."""
    shown = {}
    for account, author in authors.items():
        with suppress(*DAMAGE):
            shown[account] = _name(author)
    sharing: dict[str, list[str]] = defaultdict(list)
    for account, name in shown.items():
        sharing[names.key(name)].append(account)
    for account, name in list(shown.items()):
        if len(sharing[names.key(name)]) > 1:
            shown[account] = names.clean(f"{name} ({authors[account].get('name') or account})")
    return shown


def _name(author: dict[str, Any]) -> str:
    candidates = (names.clean(whole_text(author.get(field) or "")) for field in ("nickname", "name"))
    return next((name for name in candidates if name), f"Account {author.get('id', '')}".strip())


def _conversation(survey: _Survey, shown: dict[str, str]) -> str:
    channel, guild = _called(survey.channel), _called(survey.guild)
    if channel:
        is_direct = "Direct" in str(survey.channel.get("type", "")) or guild in ("", "Direct Messages")
        return channel if is_direct else f"{guild} / {channel}"
    return people_of(set(shown.values()), guild or "Discord")


def _called(thing: Any) -> str:
    try:
        return names.clean(whole_text(thing.get("name") or ""))
    except DAMAGE:
        return ""
